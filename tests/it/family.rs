//! What is done to a stored thread as a whole: archive, delete, fork, revert, metadata; and its one writer.

use serde_json::{Value, json};

use crate::support::client::{Client, column, text};
use crate::support::home::Home;
use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

const NOBODY: &str = "01890000-0000-7000-8000-000000000000";

over_stdio_and_websocket!(
    an_archived_thread_is_out_of_the_way_until_it_is_unarchived,
    a_deleted_thread_is_gone,
    a_fork_has_the_turns_that_were_asked_for,
    a_fork_of_a_running_turn_shows_it_interrupted,
    reverting_takes_turns_back,
    metadata_is_changed_field_by_field,
    refusals_are_told_in_the_words_of_each_method,
);

fn listed(client: &mut Client, archived: bool) -> Vec<String> {
    column(&client.ok("thread/list", json!({ "archived": archived }))["data"], "id")
}

fn status_of(message: &Value) -> String {
    text(&message["params"]["status"]["type"])
}

fn an_archived_thread_is_out_of_the_way_until_it_is_unarchived(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    client.turn(&thread, "keep me");
    client.start_turn(&thread, "slow: 1s\nI am cut off");
    client.next_notification("item/agentMessage/delta");

    let asked = client.send("thread/archive", json!({ "threadId": thread }));
    let until = client.all_until("thread/archived");
    assert_eq!(client.answer(&asked).expect("it is archived"), json!({}));
    let interrupted = until.iter().find(|message| message["method"] == "turn/completed");
    assert_eq!(interrupted.expect("the turn ends first")["params"]["turn"]["status"], "interrupted");
    let statuses: Vec<String> =
        until.iter().filter(|message| message["method"] == "thread/status/changed").map(status_of).collect();
    assert_eq!(statuses.last().map(String::as_str), Some("notLoaded"));
    assert_eq!(
        (listed(&mut client, /*archived*/ false), listed(&mut client, /*archived*/ true)),
        (vec![], vec![thread.clone()])
    );
    client.refused("thread/archive", json!({ "threadId": thread }));
    client.refused("thread/resume", json!({ "threadId": thread }));

    let shown = client.ok("thread/unarchive", json!({ "threadId": thread }))["thread"].take();
    assert_eq!((&shown["id"], &shown["status"]["type"]), (&json!(thread), &json!("notLoaded")));
    client.next_notification("thread/unarchived");
    assert_eq!(listed(&mut client, /*archived*/ false), [thread.as_str()]);
    let resumed = client.ok("thread/resume", json!({ "threadId": thread }));
    assert_eq!(column(&resumed["thread"]["turns"], "status"), ["completed", "interrupted"]);
}

fn a_deleted_thread_is_gone(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let (kept, thread) = (client.thread(), client.thread());
    client.turn(&kept, "kept");
    client.turn(&thread, "gone");
    client.ok("thread/delete", json!({ "threadId": thread }));
    let deleted = client.next_notification("thread/deleted");
    assert_eq!(deleted["threadId"], thread.as_str());
    assert_eq!(listed(&mut client, /*archived*/ false), [kept.as_str()]);
    assert_eq!(column_of_loaded(&mut client), [kept.as_str()]);
    client.refused("thread/read", json!({ "threadId": thread }));
    let ephemeral = client.thread_with(json!({ "ephemeral": true }));
    let refused = client.refused("thread/delete", json!({ "threadId": ephemeral }));
    let expected = format!("thread is not persisted and cannot be deleted: {ephemeral}");
    assert_eq!(refused["message"], expected);
}

fn column_of_loaded(client: &mut Client) -> Vec<String> {
    let loaded = client.ok("thread/loaded/list", json!({}))["data"].take();
    loaded.as_array().expect("a list").iter().map(text).collect()
}

fn a_fork_has_the_turns_that_were_asked_for(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let source = client.thread_with(json!({ "cwd": "/srv/source", "sandbox": "workspace-write" }));
    let turns: Vec<String> =
        ["one", "two", "three"].iter().map(|prompt| text(&client.turn(&source, prompt)["id"])).collect();
    let before = client.read(&source);

    let mut fork = |params: Value| {
        let mut all = params;
        all["threadId"] = source.as_str().into();
        let answer = client.ok("thread/fork", all);
        let started = client.next_notification("thread/started");
        assert_eq!(started["thread"]["id"], answer["thread"]["id"]);
        answer
    };
    let all = fork(json!({}));
    assert_eq!(column(&all["thread"]["turns"], "id"), turns);
    assert_eq!((&all["thread"]["forkedFromId"], &all["cwd"]), (&json!(source), &json!("/srv/source")));
    assert_eq!(all["sandbox"]["type"], "workspaceWrite", "settings go along");
    assert_eq!(all["thread"]["preview"], "one");
    let through = fork(json!({ "lastTurnId": turns[1] }));
    assert_eq!(column(&through["thread"]["turns"], "id"), turns[..2]);
    let until = fork(json!({ "beforeTurnId": turns[1], "excludeTurns": true, "cwd": "/srv/other" }));
    assert_eq!((&until["thread"]["turns"], &until["cwd"]), (&json!([]), &json!("/srv/other")));
    let ephemeral = fork(json!({ "ephemeral": true }));
    assert_eq!(column(&ephemeral["thread"]["turns"], "id"), turns);

    let (all, until) = (text(&all["thread"]["id"]), text(&until["thread"]["id"]));
    assert_eq!(column(&client.read(&until)["turns"], "id"), turns[..1]);
    client.turn(&all, "only in the fork");
    assert_eq!(client.read(&all)["turns"].as_array().map(Vec::len), Some(4));
    assert_eq!(client.read(&source)["turns"], before["turns"], "the source stays as it was");
    assert!(listed(&mut client, /*archived*/ false).contains(&all), "a fork is listed");
}

fn a_fork_of_a_running_turn_shows_it_interrupted(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let source = client.thread();
    client.start_turn(&source, &format!("slow: 100ms\n{}", "word ".repeat(500)));
    client.next_notification("item/agentMessage/delta");
    let fork = client.ok("thread/fork", json!({ "threadId": source }))["thread"].take();
    assert_eq!(column(&fork["turns"], "status"), ["interrupted"]);
    assert_eq!(fork["status"]["type"], "idle");
    assert_eq!(client.read(&source)["turns"][0]["status"], "inProgress");
    client.turn(&text(&fork["id"]), "the fork runs by itself");
    client.ok("turn/interrupt", json!({ "threadId": source, "turnId": "" }));
    client.next_fitting("the source's end", |message| {
        message["method"] == "turn/completed" && message["params"]["threadId"] == source.as_str()
    });
}

fn reverting_takes_turns_back(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    let turns: Vec<String> =
        ["one", "two", "three"].iter().map(|prompt| text(&client.turn(&thread, prompt)["id"])).collect();
    let refused = client.refused("thread/revert", json!({ "threadId": thread, "beforeTurnId": "nowhere" }));
    assert_eq!(refused["message"], "turn not found: nowhere");
    let answer = client.ok("thread/revert", json!({ "threadId": thread, "beforeTurnId": turns[1] }));
    assert_eq!(answer["thread"]["id"], thread.as_str());
    client.next_notification("thread/reverted");
    assert_eq!(column(&client.read(&thread)["turns"], "id"), turns[..1]);
    let page = client.ok(
        "thread/turns/list",
        json!({ "threadId": thread, "cursor": answer["turnsBackwardsCursor"], "sortDirection": "desc" }),
    );
    assert_eq!(column(&page["data"], "id"), turns[..1]);
    client.turn(&thread, "another way");
    assert_eq!(client.read(&thread)["turns"].as_array().map(Vec::len), Some(2));
}

fn metadata_is_changed_field_by_field(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    let mut update = |git: Value| {
        let params = json!({ "threadId": thread, "gitInfo": git });
        client.ok("thread/metadata/update", params)["thread"]["gitInfo"].take()
    };
    let set = update(json!({ "branch": "main", "sha": "abc" }));
    assert_eq!(set, json!({ "branch": "main", "sha": "abc", "originUrl": null }));
    let cleared = update(json!({ "branch": null }));
    assert_eq!(cleared, json!({ "branch": null, "sha": "abc", "originUrl": null }));
    assert_eq!(client.read(&thread)["gitInfo"]["sha"], "abc");
}

fn refusals_are_told_in_the_words_of_each_method(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let mut refused = |method: &str, more: Value| {
        let mut params = more;
        params["threadId"] = NOBODY.into();
        text(&client.refused(method, params)["message"])
    };
    let nothing = format!("no rollout found for thread id {NOBODY}");
    for method in ["thread/archive", "thread/delete", "thread/fork"] {
        assert_eq!(refused(method, json!({})), nothing, "{method}");
    }
    assert_eq!(refused("thread/metadata/update", json!({ "gitInfo": { "sha": "x" } })), nothing);
    assert_eq!(
        refused("thread/unarchive", json!({})),
        format!("no archived rollout found for thread id {NOBODY}")
    );
    assert_eq!(
        refused("thread/revert", json!({ "beforeTurnId": "x" })),
        format!("thread not found: {NOBODY}")
    );
    let both = refused("thread/fork", json!({ "beforeTurnId": "x", "lastTurnId": "y" }));
    assert_eq!(both, "`beforeTurnId` cannot be combined with `lastTurnId`");
    assert!(refused("thread/metadata/update", json!({})).contains("at least one field"));
    assert!(refused("thread/metadata/update", json!({ "gitInfo": {} })).contains("at least one field"));
}

/// Two live processes on one home: the second is refused by name until the first lets go, however it ends.
#[test]
fn a_thread_has_one_writer_at_a_time() {
    let home = Home::new();
    let mut first = Server::start_in(Transport::Stdio, &home);
    let mut writer = first.client();
    let thread = writer.thread();
    let turn = writer.start_turn(&thread, &format!("slow: 100ms\n{}", "word ".repeat(500)));
    writer.next_notification("item/agentMessage/delta");

    let mut second = Server::start_in(Transport::WebSocket, &home);
    let mut other = second.client();
    let refused = other.refused("thread/resume", json!({ "threadId": thread }));
    let expected = format!("thread {thread} already has an active writer: process ");
    assert!(text(&refused["message"]).starts_with(&expected), "{refused}");
    assert_eq!(refused["data"]["reason"], "activeWriter");
    for method in ["thread/archive", "thread/delete"] {
        assert_eq!(other.refused(method, json!({ "threadId": thread }))["data"]["reason"], "activeWriter");
    }
    let shown = other.read(&thread)["turns"][0].take();
    assert_eq!((&shown["id"], &shown["status"]), (&json!(turn), &json!("inProgress")), "it runs, over there");

    first.kill();
    let resumed = other.ok("thread/resume", json!({ "threadId": thread }));
    assert_eq!(column(&resumed["thread"]["turns"], "status"), ["interrupted"]);
    other.turn(&thread, "mine now");
}
