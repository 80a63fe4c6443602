//! `thread/settings/update`: how the turns to come run.

use serde_json::{Value, json};

use crate::support::inside::{Inside, Peer};

/// Changes settings of a thread and returns what its subscribers are told of them.
fn update(peer: &mut Peer, thread: &str, change: Value) -> Value {
    let mut params = change;
    params["threadId"] = thread.into();
    assert_eq!(peer.ask("thread/settings/update", params), Ok(json!({})));
    peer.hear("thread/settings/updated", thread)["params"]["threadSettings"].take()
}

#[test]
fn what_is_named_changes_is_told_and_outlives_the_server() {
    let mut inside = Inside::start(&[]);
    let (mut peer, mut bystander) = (inside.connect(), inside.connect());
    let thread = peer.start_thread(json!({ "cwd": "/srv" }));
    peer.run_turn(&thread, "hello");
    bystander.heard_so_far();
    let first = update(&mut peer, &thread, json!({ "effort": "low", "approvalPolicy": "never" }));
    assert_eq!((&first["effort"], &first["approvalPolicy"]), (&json!("low"), &json!("never")));
    assert_eq!(first["sandboxPolicy"]["type"], "readOnly", "what is not named stays");
    let rest = json!({ "sandboxPolicy": { "type": "dangerFullAccess" }, "cwd": "below", "serviceTier": "flex",
        "summary": "concise", "model": "other", "effort": null });
    let second = update(&mut peer, &thread, rest);
    assert_eq!((&second["effort"], &second["cwd"]), (&json!("low"), &json!("/srv/below")));
    assert_eq!((&second["model"], &second["serviceTier"]), (&json!("other"), &json!("flex")));
    // The speed tier alone can be taken away.
    let third = update(&mut peer, &thread, json!({ "serviceTier": null, "permissions": ":workspace" }));
    assert_eq!((&third["serviceTier"], &third["summary"]), (&Value::Null, &json!("concise")));
    assert_eq!(third["sandboxPolicy"]["type"], "workspaceWrite");
    // Nothing changes: nothing is told.
    for same in [json!({ "threadId": thread }), json!({ "threadId": thread, "effort": "low" })] {
        assert_eq!(peer.ask("thread/settings/update", same), Ok(json!({})));
    }
    assert!(!peer.heard_so_far().contains(&"thread/settings/updated".to_owned()));
    assert!(!bystander.heard_so_far().contains(&"thread/settings/updated".to_owned()), "it does not listen");
    drop((peer, bystander));
    inside.restart();
    let mut peer = inside.connect();
    let resumed = peer.ask("thread/resume", json!({ "threadId": thread })).expect("it is stored");
    for (key, expected) in
        [("model", json!("other")), ("cwd", json!("/srv/below")), ("serviceTier", Value::Null)]
    {
        assert_eq!(resumed[key], expected, "{key}");
    }
    assert_eq!(
        (&resumed["reasoningEffort"], &resumed["sandbox"]["type"]),
        (&json!("low"), &json!("workspaceWrite"))
    );
}

#[test]
fn a_running_turn_goes_on_as_it_began() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({ "cwd": "/" }));
    let turn = peer.start_turn(&thread, "slow: 60s\nhello");
    peer.hear("item/completed", &thread);
    update(&mut peer, &thread, json!({ "sandboxPolicy": { "type": "dangerFullAccess" } }));
    let status = peer.ask("thread/read", json!({ "threadId": thread })).expect("it is there");
    assert_eq!(status["thread"]["status"]["type"], "active");
    peer.ask("turn/interrupt", json!({ "threadId": thread, "turnId": turn })).expect("it runs");
    peer.hear("turn/completed", &thread);
    // Only the next turn says to its model what is new.
    peer.run_turn(&thread, "again");
    let database = rusqlite::Connection::open(inside.database()).expect("the database opens");
    let sql = "SELECT turns.id FROM conversation JOIN turns ON turns.key = conversation.turn
        WHERE body LIKE '%Commands run without a sandbox.%'";
    let told: Vec<String> = database
        .prepare(sql)
        .and_then(|mut rows| rows.query_map([], |row| row.get(0))?.collect())
        .expect("rows");
    assert_eq!(told.len(), 1);
    assert_ne!(told[0], turn);
}

#[test]
fn a_mode_brings_model_and_effort_and_is_said_to_the_model_until_it_is_left() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    let mode = |name: &str, instructions: Value| {
        let (model, effort) = ("planner", "medium");
        let settings = json!({ "model": model, "reasoning_effort": effort,
            "developer_instructions": instructions });
        json!({ "collaborationMode": { "mode": name, "settings": settings }, "effort": "low" })
    };
    let said = |inside: &Inside| -> Vec<String> {
        let database = rusqlite::Connection::open(inside.database()).expect("the database opens");
        let sql = "SELECT body FROM conversation WHERE body LIKE '%<collaboration_mode>%' ORDER BY rowid";
        let mut rows = database.prepare(sql).expect("it reads");
        let rows = rows.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<Result<_, _>>().expect("texts")
    };
    peer.run_turn(&thread, "before");
    assert!(said(&inside).is_empty(), "the usual mode needs no word");
    let told = update(&mut peer, &thread, mode("plan", Value::Null));
    assert_eq!((&told["model"], &told["effort"]), (&json!("planner"), &json!("medium")));
    assert_eq!(told["collaborationMode"]["mode"], "plan");
    for _ in 0..2 {
        peer.run_turn(&thread, "plan");
    }
    assert_eq!(said(&inside).len(), 1, "it is said once");
    update(&mut peer, &thread, mode("plan", json!("mine alone")));
    peer.run_turn(&thread, "plan");
    assert!(said(&inside)[1].contains("mine alone"));
    // A turn's own words change it as well, and it stays changed.
    let mut start = mode("default", Value::Null);
    start["threadId"] = thread.clone().into();
    start["input"] = json!([{ "type": "text", "text": "now do it" }]);
    peer.ask("turn/start", start).expect("it starts");
    let told = peer.hear("thread/settings/updated", &thread);
    assert_eq!(told["params"]["threadSettings"]["collaborationMode"]["mode"], "default");
    peer.hear("turn/completed", &thread);
    peer.run_turn(&thread, "and more");
    assert_eq!(said(&inside).len(), 3, "that it is over is said once");
}

#[test]
fn what_cannot_be_set_is_refused() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    let nobody = "00000000-0000-7000-8000-000000000000";
    let both =
        json!({ "threadId": thread, "permissions": ":workspace", "sandboxPolicy": { "type": "readOnly" } });
    for (params, words) in [
        (json!({ "threadId": nobody }), format!("thread not found: {nobody}")),
        (json!({ "threadId": "not-a-uuid" }), "invalid thread id: ".to_owned()),
        (both.clone(), "`permissions` cannot be combined with `sandboxPolicy`".to_owned()),
        (
            json!({ "threadId": thread, "permissions": "mine" }),
            "unknown permission profile `mine`".to_owned(),
        ),
    ] {
        let error = peer.ask("thread/settings/update", params).expect_err(&words);
        assert!(error["message"].as_str().is_some_and(|text| text.contains(&words)), "{error}");
        assert_eq!(error["code"], -32600);
    }
    let mut start = both;
    start["input"] = json!([]);
    peer.ask("turn/start", start).expect_err("nor with a turn");
    let mut plain = inside.connect_with(json!({}));
    plain.ask("thread/settings/update", json!({ "threadId": thread })).expect_err("it is experimental");
}
