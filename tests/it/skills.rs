//! Skills and features: switched by clients and by hand, told of, and offered to the model or not.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::client::{Client, text};
use crate::support::home::Home;
use crate::support::mock_model::{Answer, MockModel, Seen};
use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

over_stdio_and_websocket!(
    a_skill_that_is_switched_off_is_not_offered,
    changes_of_skills_are_told,
    features_that_are_off_are_not_offered,
);

fn lay(folder: &Path, name: &str) -> PathBuf {
    std::fs::create_dir_all(folder).expect("a folder");
    let path = folder.join("SKILL.md");
    let text = format!("---\nname: {name}\ndescription: for {name}\n---\nDo it.\n");
    std::fs::write(&path, text).expect("a file");
    path
}

/// Name and switch of each skill.
fn skills(client: &mut Client) -> Vec<(String, bool)> {
    let listed = client.ok("skills/list", json!({}));
    let skills = listed["data"][0]["skills"].as_array().expect("skills").clone();
    skills.iter().map(|skill| (text(&skill["name"]), skill["enabled"] == true)).collect()
}

fn offers(request: &Seen, name: &str) -> bool {
    request.body["input"].to_string().contains(&format!("- {name}: for {name} "))
}

fn a_skill_that_is_switched_off_is_not_offered(transport: Transport) {
    let mock = MockModel::start();
    mock.respond(|_| Some(Answer::text("yes")));
    let home = Home::with_config(&format!("# mine\n{}\n", mock.config("").trim_end()));
    let alpha = lay(&home.path().join("skills/a"), "alpha");
    lay(&home.path().join("skills/b"), "beta");
    let mut server = Server::start_in(transport, &home);
    let mut client = server.client();
    let file = || std::fs::read_to_string(home.path().join("config.toml")).expect("the file");
    let before = file();
    let is = |name: &str, on| (name.to_owned(), on);
    assert_eq!(skills(&mut client), [is("alpha", true), is("beta", true)]);
    let off = client.ok("skills/config/write", json!({ "path": alpha, "enabled": false }));
    assert_eq!(off, json!({ "effectiveEnabled": false }));
    let entry = format!("\n[[skills.config]]\npath = \"{}\"\nenabled = false\n", alpha.display());
    assert_eq!(file(), format!("{before}{entry}"));
    assert_eq!(skills(&mut client), [is("alpha", false), is("beta", true)]);
    let thread = client.thread();
    client.turn(&thread, "hello");
    assert!(!offers(&mock.seen()[0], "alpha") && offers(&mock.seen()[0], "beta"));

    // The thread that runs hears of the next change.
    client.ok("skills/config/write", json!({ "name": "beta", "enabled": false }));
    client.ok("skills/config/write", json!({ "path": alpha, "enabled": true }));
    assert_eq!(skills(&mut client), [is("alpha", true), is("beta", false)]);
    client.turn(&thread, "again");
    let seen = &mock.seen()[1];
    let news = seen.body["input"].as_array().expect("entries").iter().rev();
    let last = news.map(Value::to_string).find(|entry| entry.contains("<skills>")).expect("skills");
    assert!(last.contains("- alpha: ") && !last.contains("- beta: "), "{last}");
    client.ok("skills/config/write", json!({ "name": "beta", "enabled": true }));
    assert_eq!(file(), before);

    for wrong in [json!({}), json!({ "path": alpha, "name": "alpha" }), json!({ "name": " " })] {
        let mut params = wrong;
        params["enabled"] = json!(false);
        let refused = client.refused("skills/config/write", params);
        let expected = "skills/config/write requires exactly one of path or name";
        assert_eq!((&refused["code"], &refused["message"]), (&json!(-32602), &json!(expected)));
    }
    client.refused("skills/config/write", json!({ "path": "rel/SKILL.md", "enabled": false }));
    assert_eq!(file(), before);
}

fn changes_of_skills_are_told(transport: Transport) {
    let home = Home::new();
    let more = Home::new();
    lay(&home.path().join("skills/a"), "alpha");
    let mut server = Server::start_in(transport, &home);
    let mut client = server.client();
    assert_eq!(skills(&mut client).len(), 1);
    // Its text, a new one further down, its end; each is there once it was told.
    lay(&home.path().join("skills/a"), "other");
    client.next_notification("skills/changed");
    until(&mut client, &["other"]);
    lay(&home.path().join("skills/group/deep/b"), "beta");
    until(&mut client, &["other", "beta"]);
    std::fs::remove_dir_all(home.path().join("skills/a")).expect("it goes");
    until(&mut client, &["beta"]);
    lay(&more.path().join("c"), "gamma");
    assert_eq!(client.ok("skills/extraRoots/set", json!({ "extraRoots": [more.path()] })), json!({}));
    until(&mut client, &["beta", "gamma"]);
    lay(&more.path().join("d"), "delta");
    until(&mut client, &["beta", "gamma", "delta"]);
    let many: Vec<String> = (0..65).map(|number| format!("/{number}")).collect();
    let refused = client.refused("skills/extraRoots/set", json!({ "extraRoots": many }));
    assert!(text(&refused["message"]).contains("64"), "{refused}");
    client.ok("skills/config/write", json!({ "name": "beta", "enabled": false }));
    client.next_notification("skills/changed");
}

/// Lists skills again at each `skills/changed`, until it is these.
fn until(client: &mut Client, expected: &[&str]) {
    loop {
        let mut found: Vec<String> = skills(client).into_iter().map(|(name, _)| name).collect();
        found.sort();
        let mut expected: Vec<&str> = expected.to_vec();
        expected.sort_unstable();
        if found == expected {
            return;
        }
        client.next_notification("skills/changed");
    }
}

fn features_that_are_off_are_not_offered(transport: Transport) {
    let mock = MockModel::start();
    mock.respond(|_| Some(Answer::text("yes")));
    let home = Home::with_config(&format!("{}\n[features]\nview_image = false\n", mock.config("")));
    let mut server = Server::start_in(transport, &home);
    let mut client = server.client();
    let first = client.ok("experimentalFeature/list", json!({ "limit": 2 }));
    let shown = json!({ "name": "shell_tool", "stage": "stable", "displayName": null, "description": null,
        "announcement": null, "enabled": true, "defaultEnabled": true });
    assert_eq!((&first["data"][0], &first["nextCursor"]), (&shown, &json!("2")));
    assert_eq!(
        (&first["data"][1]["name"], &first["data"][1]["enabled"]),
        (&json!("view_image"), &json!(false))
    );
    let rest = client.ok("experimentalFeature/list", json!({ "cursor": "2" }));
    assert_eq!((&rest["data"][0]["name"], &rest["nextCursor"]), (&json!("goals"), &Value::Null));
    for wrong in ["x", "4"] {
        client.refused("experimentalFeature/list", json!({ "cursor": wrong }));
    }
    let tools = |seen: &Seen| -> Vec<String> {
        seen.body["tools"].as_array().expect("tools").iter().map(|tool| text(&tool["name"])).collect()
    };
    let thread = client.thread();
    client.turn(&thread, "one");
    // The configuration is stronger than what is switched; a name that means nothing is not answered.
    let asked = json!({ "shell_tool": false, "view_image": true, "nonsense": true });
    let set = client.ok("experimentalFeature/enablement/set", json!({ "enablement": asked }));
    assert_eq!(set, json!({ "enablement": { "shell_tool": false, "view_image": true } }));
    client.turn(&thread, "two");
    let seen = mock.seen();
    let (before, after) = (tools(&seen[0]), tools(&seen[1]));
    assert!(before.contains(&"exec_command".to_owned()) && !before.contains(&"view_image".to_owned()));
    let expected: Vec<String> =
        before.into_iter().filter(|tool| !["exec_command", "write_stdin"].contains(&&**tool)).collect();
    assert_eq!(after, expected);
    let modes = client.ok("collaborationMode/list", json!({}));
    assert_eq!(
        modes["data"],
        json!([
            { "name": "Plan", "mode": "plan", "model": null, "reasoning_effort": "medium" },
            { "name": "Default", "mode": "default", "model": null, "reasoning_effort": null },
        ])
    );
    let profiles = client.ok("permissionProfile/list", json!({ "limit": 1, "cursor": "1" }));
    assert_eq!((&profiles["data"][0]["id"], &profiles["nextCursor"]), (&json!(":workspace"), &json!("2")));
}
