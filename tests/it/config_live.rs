//! Changes of the configuration reach new threads without a restart; projects have a part of their own.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::client::{Client, text};
use crate::support::home::Home;
use crate::support::mock_model::{Answer, MockModel};
use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

over_stdio_and_websocket!(
    a_file_edited_by_hand_counts_for_the_next_thread,
    what_clients_write_counts_for_the_next_thread_and_for_others_on_demand,
    a_file_that_is_wrong_costs_new_threads_only,
    a_trusted_project_says_how_its_threads_run,
    a_project_without_trust_says_nothing,
);

fn edit(home: &Home, text: &str) {
    std::fs::write(home.path().join("config.toml"), text).expect("the file is written");
}

fn write(client: &mut Client, key: &str, value: Value) {
    let params = json!({ "keyPath": key, "value": value, "mergeStrategy": "replace" });
    client.ok("config/value/write", params);
}

/// Starts a thread and gives what it is started with.
fn start(client: &mut Client, params: Value) -> Value {
    client.ok("thread/start", params)
}

fn a_file_edited_by_hand_counts_for_the_next_thread(transport: Transport) {
    let (first, second) = (MockModel::start(), MockModel::start());
    for mock in [&first, &second] {
        mock.respond(|_| Some(Answer::text("yes")));
    }
    let home = Home::with_config(&first.config(""));
    let mut server = Server::start_in(transport, &home);
    let mut client = server.client();
    let old = client.thread();
    assert_eq!(client.turn(&old, "one")["status"], "completed");

    edit(&home, &format!("approval_policy = \"never\"\n{}", second.config("")));
    let started = start(&mut client, json!({}));
    assert_eq!(started["approvalPolicy"], "never");
    let new = text(&started["thread"]["id"]);
    assert_eq!(client.turn(&new, "two")["status"], "completed");
    // The thread from before asks whom it asked before.
    assert_eq!(client.turn(&old, "three")["status"], "completed");
    assert_eq!((first.seen().len(), second.seen().len()), (2, 1));

    // A provider that was not there at the start, by its id; and one that is gone.
    edit(&home, &second.config("").replace("mock", "other"));
    let started = start(&mut client, json!({ "modelProvider": "other" }));
    let other = text(&started["thread"]["id"]);
    assert_eq!(client.turn(&other, "four")["status"], "completed");
    assert_eq!(second.seen().len(), 2);
    let refused = client.refused("thread/start", json!({ "modelProvider": "mock" }));
    assert!(text(&refused["message"]).contains("mock"), "{refused}");
    let providers = client.ok("modelProvider/list", json!({}));
    assert_eq!(
        (&providers["defaultProviderId"], &providers["data"][0]["id"]),
        (&json!("other"), &json!("other"))
    );
}

fn what_clients_write_counts_for_the_next_thread_and_for_others_on_demand(transport: Transport) {
    let (first, second) = (MockModel::start(), MockModel::start());
    for mock in [&first, &second] {
        mock.respond(|_| Some(Answer::text("yes")));
    }
    let home = Home::with_config(&first.config(""));
    let mut server = Server::start_in(transport, &home);
    let mut client = server.client();
    let old = client.thread();
    write(&mut client, "model", json!("another"));
    write(&mut client, "model_providers.mock.base_url", json!(second.base_url()));
    let new = start(&mut client, json!({}));
    assert_eq!(new["model"], "another");
    assert_eq!(client.turn(&old, "one")["status"], "completed");
    assert_eq!((first.seen().len(), second.seen().len()), (1, 0), "it goes on as it began");

    let edits =
        json!([{ "keyPath": "sandbox_mode", "value": "danger-full-access", "mergeStrategy": "replace" }]);
    client.ok("config/batchWrite", json!({ "edits": edits, "reloadUserConfig": true }));
    assert_eq!(client.turn(&old, "two")["status"], "completed");
    assert_eq!((first.seen().len(), second.seen().len()), (1, 1), "it follows");
    // Model and sandbox are the thread's own settings.
    assert_eq!(second.seen()[0].body["model"], "some-model");
    let resumed = client.ok("thread/resume", json!({ "threadId": old, "excludeTurns": true }));
    assert_eq!((&resumed["model"], &resumed["sandbox"]["type"]), (&json!("some-model"), &json!("readOnly")));
    assert_eq!(start(&mut client, json!({}))["sandbox"]["type"], "dangerFullAccess");
}

fn a_file_that_is_wrong_costs_new_threads_only(transport: Transport) {
    let home = Home::with_config("model = \"m\"\nmodel_provider = \"offline\"\n");
    let mut server = Server::start_in(transport, &home);
    let mut client = server.client();
    let thread = client.thread();
    for (wrong, said) in [("model = \n", "config.toml:1:"), ("model = 3\n", "model (from ")] {
        edit(&home, wrong);
        let refused = client.refused("thread/start", json!({}));
        assert_eq!(refused["code"], -32600);
        let message = text(&refused["message"]);
        assert!(message.starts_with("failed to load configuration: ") && message.contains(said), "{message}");
        client.refused("config/mcpServer/reload", Value::Null);
        client.ok("skills/list", json!({}));
        assert_eq!(client.turn(&thread, "hello")["status"], "completed");
    }
    edit(&home, "model = \"mended\"\n");
    assert_eq!(start(&mut client, json!({}))["model"], "mended");
    std::fs::remove_file(home.path().join("config.toml")).expect("it goes");
    assert_eq!(start(&mut client, json!({}))["model"], "offline");
}

/// A project with a configuration at its root and one further down.
fn project() -> (std::sync::Arc<Home>, PathBuf, PathBuf) {
    let place = Home::new();
    let (root, deep) = (place.path().join("repo"), place.path().join("repo/deep/er"));
    std::fs::create_dir_all(root.join(".git")).expect("a folder");
    let lay = |folder: &Path, text: &str| {
        let own = folder.join(".codex");
        std::fs::create_dir_all(&own).expect("a folder");
        std::fs::write(own.join("config.toml"), text).expect("a file");
    };
    lay(
        &root,
        "model = \"roots\"\napproval_policy = \"never\"\nsandbox_mode = \"workspace-write\"\n\
         model_provider = \"openai\"\n[sandbox_workspace_write]\nnetwork_access = true\n\
         [features]\ngoals = false\n",
    );
    lay(&deep, "model = \"deepest\"\nmodel_reasoning_effort = \"low\"\n");
    (place, root, deep)
}

fn a_trusted_project_says_how_its_threads_run(transport: Transport) {
    let (place, root, deep) = project();
    let mut server = Server::start(transport);
    let mut client = server.client();
    write(&mut client, &format!("projects.\"{}\".trust_level", root.display()), json!("trusted"));
    let read = client.ok("config/read", json!({ "cwd": deep, "includeLayers": true }));
    assert_eq!(
        (&read["config"]["model"], &read["config"]["sandbox_mode"]),
        (&json!("deepest"), &json!("workspace-write"))
    );
    let folder = |folder: &Path| json!({ "type": "project", "dotCodexFolder": folder.join(".codex") });
    assert_eq!(read["origins"]["model"]["name"], folder(&deep));
    assert_eq!(read["origins"]["approval_policy"]["name"], folder(&root));
    let layers = read["layers"].as_array().expect("layers");
    assert_eq!((&layers[0]["name"], &layers[1]["name"]), (&folder(&deep), &folder(&root)));
    assert_eq!((&layers[2]["name"]["type"], layers.len()), (&json!("user"), 3));
    assert!(layers[1].get("disabledReason").is_none() && layers[1]["config"].get("model_provider").is_none());
    assert_eq!(client.ok("config/read", json!({}))["config"]["model"], "offline");

    let started = start(&mut client, json!({ "cwd": deep }));
    let expected = json!({ "type": "workspaceWrite", "writableRoots": [], "networkAccess": true,
        "excludeTmpdirEnvVar": false, "excludeSlashTmp": false });
    assert_eq!((&started["model"], &started["modelProvider"]), (&json!("deepest"), &json!("offline")));
    assert_eq!((&started["approvalPolicy"], &started["sandbox"]), (&json!("never"), &expected));
    assert_eq!(started["reasoningEffort"], "low");
    // What the client says is stronger; what the project switches off is off, also after a fork.
    let own = start(&mut client, json!({ "cwd": root, "model": "mine", "approvalPolicy": "on-request" }));
    assert_eq!((&own["model"], &own["approvalPolicy"]), (&json!("mine"), &json!("on-request")));
    let thread = text(&started["thread"]["id"]);
    assert!(answer(&mut client, &thread, "goal: show").contains("get_goal"), "not offered, and said so");
    let fork = client.ok("thread/fork", json!({ "threadId": thread }));
    assert_eq!((&fork["model"], &fork["cwd"]), (&json!("deepest"), &json!(deep)));
    let features = client.ok("experimentalFeature/list", json!({ "threadId": fork["thread"]["id"] }));
    let goals = |list: &Value| {
        let list = list["data"].as_array().expect("a list");
        list.iter().find(|feature| feature["name"] == "goals").expect("goals")["enabled"].clone()
    };
    assert_eq!(goals(&features), false);
    assert_eq!(goals(&client.ok("experimentalFeature/list", json!({}))), true);

    // The user's word is asked anew for each thread.
    std::fs::write(deep.join(".codex/config.toml"), "model = \n").expect("a file");
    let refused = client.refused("thread/start", json!({ "cwd": deep }));
    assert!(text(&refused["message"]).contains("er/.codex/config.toml:1:"), "{refused}");
    write(&mut client, "projects", json!({ root.to_str().expect("text"): { "trust_level": "untrusted" } }));
    let started = start(&mut client, json!({ "cwd": deep }));
    assert_eq!((&started["model"], &started["approvalPolicy"]), (&json!("offline"), &json!("untrusted")));
    assert_eq!(started["sandbox"]["type"], "workspaceWrite");
    drop(place);
}

/// The last words of a turn.
fn answer(client: &mut Client, thread: &str, prompt: &str) -> String {
    let turn = client.turn(thread, prompt);
    assert_eq!(turn["status"], "completed", "{turn}");
    text(&turn["items"][0]["text"])
}

fn a_project_without_trust_says_nothing(transport: Transport) {
    let (place, root, deep) = project();
    let mut server = Server::start(transport);
    let mut client = server.client();
    let started = start(&mut client, json!({ "cwd": deep }));
    assert_eq!((&started["model"], &started["approvalPolicy"]), (&json!("offline"), &json!("on-request")));
    assert_eq!(started["sandbox"]["type"], "readOnly");
    let read = client.ok("config/read", json!({ "cwd": deep, "includeLayers": true }));
    assert_eq!(read["config"]["model"], "offline");
    let layers = read["layers"].as_array().expect("layers");
    let reason = text(&layers[0]["disabledReason"]);
    let named = root.display().to_string();
    assert!(reason.contains(&named) && reason.contains("trust_level"), "{reason}");
    assert_eq!((layers.len(), &layers[0]["config"]["model"]), (3, &json!("deepest")));
    // Trusting itself is not for a project.
    let itself = format!("[projects.\"{named}\"]\ntrust_level = \"trusted\"\nmodel = \"x\"\n");
    std::fs::write(root.join(".codex/config.toml"), itself).expect("a file");
    assert_eq!(start(&mut client, json!({ "cwd": root }))["model"], "offline");
    drop(place);
}
