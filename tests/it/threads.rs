//! Threads: made, named, let go, resumed, and how they look before their first turn.

use serde_json::{Value, json};

use crate::support::client::{column, said, text};
use crate::support::home::Home;
use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

over_stdio_and_websocket!(
    starting_a_thread_is_answered_then_told,
    a_thread_names_the_files_that_instruct_it,
    a_thread_can_be_read_before_its_first_turn,
    names_are_trimmed_and_told,
    unsubscribing_says_what_was_the_case,
    loaded_threads_are_listed_in_pages,
    an_ephemeral_thread_leaves_nothing,
    unknown_threads_are_told_in_the_words_of_each_method,
    a_thread_comes_back_in_a_new_process,
);

const NOBODY: &str = "01990000-0000-7000-8000-000000000000";

fn starting_a_thread_is_answered_then_told(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    client.settle();
    let asked = client.send("thread/start", json!({ "cwd": "relative/and missing" }));
    let messages = client.all_until("thread/started");
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0]["id"], asked);
    let (answer, told) = (&messages[0]["result"], &messages[1]["params"]["thread"]);
    assert_eq!(&answer["thread"], told);
    let cwd = std::env::current_dir().expect("a folder").join("relative/and missing");
    assert_eq!((&answer["cwd"], &told["cwd"]), (&json!(cwd), &json!(cwd)));
    assert_eq!((&told["status"], &told["turns"]), (&json!({ "type": "idle" }), &json!([])));
    assert_eq!((&told["historyMode"], &told["path"]), (&json!("paginated"), &Value::Null));
    assert_eq!((&answer["model"], &answer["modelProvider"]), (&json!("offline"), &json!("offline")));
}

fn a_thread_names_the_files_that_instruct_it(transport: Transport) {
    let home = Home::new();
    let project = home.path().join("project");
    std::fs::create_dir_all(project.join(".git")).expect("a folder");
    std::fs::create_dir_all(project.join("deep")).expect("a folder");
    let [everywhere, above, over, empty] =
        ["AGENTS.md", "project/AGENTS.md", "project/AGENTS.override.md", "project/deep/AGENTS.md"]
            .map(|name| home.path().join(name));
    for path in [&everywhere, &above, &over] {
        std::fs::write(path, "be brief").expect("a file");
    }
    std::fs::write(empty, "\n").expect("a file");
    let mut server = Server::start_with(transport, &home, []);
    let mut client = server.client();
    let started = client.ok("thread/start", json!({ "cwd": project.join("deep") }));
    assert_eq!(started["instructionSources"], json!([everywhere, over]));
    let thread = text(&started["thread"]["id"]);
    assert_eq!(client.turn(&thread, "hello")["status"], "completed");
    std::fs::remove_file(&over).expect("there");
    let fork = client.ok("thread/fork", json!({ "threadId": thread }));
    assert_eq!(fork["instructionSources"], json!([everywhere, above]));
    let resumed = client.ok("thread/resume", json!({ "threadId": thread }));
    assert_eq!(resumed["instructionSources"], json!([everywhere, over]), "as it began");
}

fn a_thread_can_be_read_before_its_first_turn(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    assert_eq!(client.read(&thread)["turns"], json!([]));
    for method in ["thread/turns/list", "thread/items/list"] {
        let page = client.ok(method, json!({ "threadId": thread }));
        assert_eq!((&page["data"], &page["nextCursor"]), (&json!([]), &Value::Null), "{method}");
    }
    let resumed = client.ok("thread/resume", json!({ "threadId": thread }));
    assert_eq!((&resumed["thread"]["id"], &resumed["thread"]["turns"]), (&json!(thread), &json!([])));
    assert_eq!(client.ok("thread/list", json!({}))["data"], json!([]));
    client.turn(&thread, "hello");
    assert_eq!(column(&client.ok("thread/list", json!({}))["data"], "id"), [thread]);
}

fn names_are_trimmed_and_told(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    client.settle();
    let asked = client.send("thread/name/set", json!({ "threadId": thread, "name": "  a name\t" }));
    let messages = client.all_until("thread/name/updated");
    assert_eq!((&messages[0]["id"], &messages[0]["result"]), (&asked, &json!({})));
    assert_eq!(messages[1]["params"], json!({ "threadId": thread, "threadName": "a name" }));
    assert_eq!(client.read(&thread)["name"], "a name");
    for empty in ["", " \t\n"] {
        let error = client.refused("thread/name/set", json!({ "threadId": thread, "name": empty }));
        assert_eq!(error["message"], "thread name must not be empty");
    }
    assert_eq!(client.read(&thread)["name"], "a name");
}

fn unsubscribing_says_what_was_the_case(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    let unsubscribe = |client: &mut crate::support::client::Client, thread: &str| {
        text(&client.ok("thread/unsubscribe", json!({ "threadId": thread }))["status"])
    };
    assert_eq!(unsubscribe(&mut client, &thread), "unsubscribed");
    assert_eq!(unsubscribe(&mut client, &thread), "notSubscribed");
    assert_eq!(unsubscribe(&mut client, NOBODY), "notLoaded");
    // It stays loaded, a turn works, and only what everybody hears comes.
    assert_eq!(client.ok("thread/loaded/list", json!({}))["data"], json!([thread]));
    client.settle();
    let before = client.received().len();
    client.start_turn(&thread, "hello");
    client.next_fitting("idle again", |message| message["params"]["status"]["type"] == "idle");
    client.settle();
    let heard = crate::support::client::methods_of(&client.received()[before..]);
    assert_eq!(heard, ["thread/status/changed", "thread/status/changed"]);
    // Resuming subscribes again.
    client.ok("thread/resume", json!({ "threadId": thread }));
    client.turn(&thread, "hello again");
}

fn loaded_threads_are_listed_in_pages(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let mut threads: Vec<String> = (0..5).map(|_| client.thread()).collect();
    threads.sort();
    let mut found = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let page = client.ok("thread/loaded/list", json!({ "limit": 2, "cursor": cursor }));
        let ids: Vec<String> = serde_json::from_value(page["data"].clone()).expect("ids");
        assert!(!ids.is_empty() && ids.len() <= 2);
        found.extend(ids);
        cursor = page["nextCursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(found, threads);
    let one = client.ok("thread/loaded/list", json!({ "limit": 0 }));
    assert_eq!(one["data"].as_array().map(Vec::len), Some(1), "zero is taken as one");
    let error = client.refused("thread/loaded/list", json!({ "cursor": "bogus" }));
    assert_eq!(error["message"], "invalid cursor: bogus");
}

fn an_ephemeral_thread_leaves_nothing(transport: Transport) {
    let home = Home::new();
    let mut server = Server::start_in(transport, &home);
    let mut client = server.client();
    let kept = client.thread();
    client.turn(&kept, "kept");
    let thread = client.thread_with(json!({ "ephemeral": true }));
    let ended = client.turn(&thread, "a secret that nobody keeps");
    assert_eq!(ended["status"], "completed");
    client.turn(&thread, "and another");
    let shown = client.read(&thread);
    assert_eq!((&shown["ephemeral"], &shown["turns"][0]["id"]), (&json!(true), &ended["id"]));
    assert_eq!(column(&client.ok("thread/list", json!({}))["data"], "id"), [kept.as_str()]);
    drop(client);
    server.stop();

    let mut server = Server::start_in(transport, &home);
    let mut client = server.client();
    assert_eq!(column(&client.ok("thread/list", json!({}))["data"], "id"), [kept]);
    let error = client.refused("thread/resume", json!({ "threadId": thread }));
    assert_eq!(error["message"], format!("no rollout found for thread id {thread}"));
    drop(client);
    server.stop();
    let data = std::fs::read_dir(home.path().join("app-server")).expect("the data");
    for entry in data.flatten().filter(|entry| entry.path().is_file()) {
        let bytes = std::fs::read(entry.path()).expect("a file");
        let found = bytes.windows(8).any(|window| window == b"a secret");
        assert!(!found, "{} has it", entry.path().display());
    }
}

fn unknown_threads_are_told_in_the_words_of_each_method(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    for (method, more, expected) in [
        ("thread/read", json!({}), "thread not loaded: "),
        ("thread/turns/list", json!({}), "thread not loaded: "),
        ("thread/resume", json!({}), "no rollout found for thread id "),
        ("thread/name/set", json!({ "name": "x" }), "no rollout found for thread id "),
    ] {
        let mut params = more;
        params["threadId"] = NOBODY.into();
        let error = client.refused(method, params.clone());
        assert_eq!(error["message"], format!("{expected}{NOBODY}"), "{method}");
        assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32600), &json!("threadNotFound")));
        params["threadId"] = "not an id".into();
        let error = client.refused(method, params);
        // The reference says "session" where a stored thread is loaded.
        let what = if method == "thread/resume" { "session" } else { "thread" };
        let expected = format!("invalid {what} id: ");
        assert!(text(&error["message"]).starts_with(&expected), "{method}: {error}");
    }
    client.refused("thread/items/list", json!({ "threadId": NOBODY }));
}

fn a_thread_comes_back_in_a_new_process(transport: Transport) {
    let home = Home::new();
    let mut server = Server::start_in(transport, &home);
    let mut client = server.client();
    let thread = client.thread_with(json!({ "cwd": "/srv/demo" }));
    client.turn(&thread, "first\nwith \"quotes\" and ümlauts 𝄞");
    let slow = client.start_turn(&thread, "slow: 30s\nsecond");
    client.ok("turn/interrupt", json!({ "threadId": thread, "turnId": slow }));
    client.turn_end(&slow);
    client.turn(&thread, "third");
    client.ok("thread/name/set", json!({ "threadId": thread, "name": "kept" }));
    let before = client.read(&thread);
    let usage = client.received().iter().rfind(|m| m["method"] == "thread/tokenUsage/updated").cloned();
    drop(client);
    server.stop();

    let mut server = Server::start_in(transport, &home);
    let mut client = server.client();
    let unloaded = client.read(&thread);
    assert_eq!(unloaded["status"], json!({ "type": "notLoaded" }));
    assert_eq!(unloaded["turns"].to_string(), before["turns"].to_string(), "byte for byte");
    let asked = client.send("thread/resume", json!({ "threadId": thread }));
    let resumed = client.answer(&asked).expect("it is resumed");
    assert_eq!(resumed["thread"]["turns"].to_string(), before["turns"].to_string(), "byte for byte");
    for key in ["id", "name", "cwd", "preview", "createdAt", "modelProvider", "source", "originator"] {
        assert_eq!(resumed["thread"][key], before[key], "{key}");
    }
    let told = client.next_notification("thread/tokenUsage/updated");
    let before_usage = &usage.expect("usage")["params"]["tokenUsage"];
    assert_eq!(told["tokenUsage"]["total"], before_usage["total"]);
    // Broadcast before the answer, as the reference does it.
    let methods = client.heard();
    assert_eq!(methods, ["thread/status/changed", "thread/tokenUsage/updated"]);
    let ids = column(&before["turns"], "id");
    client.turn(&thread, "fourth");
    let after = client.read(&thread)["turns"].take();
    assert_eq!(column(&after, "id")[..3], ids);
    assert_eq!(column(&after, "status"), ["completed", "interrupted", "completed", "completed"]);
    server.stop();
}

#[test]
fn resuming_without_turns_leaves_them_out() {
    let mut server = Server::start(Transport::Stdio);
    let mut client = server.client();
    let thread = client.thread();
    for prompt in ["one", "two", "three"] {
        client.turn(&thread, prompt);
    }
    let params = json!({ "threadId": thread, "excludeTurns": true, "initialTurnsPage": { "limit": 2 } });
    let resumed = client.ok("thread/resume", params);
    assert_eq!(resumed["thread"]["turns"], json!([]));
    let page = &resumed["initialTurnsPage"];
    let newest = client.ok("thread/turns/list", json!({ "threadId": thread, "limit": 2 }));
    assert_eq!(page["data"], newest["data"]);
    assert_eq!(page["nextCursor"], newest["nextCursor"]);
    assert!(newest["nextCursor"].is_string());
}

#[test]
fn a_thread_that_is_resumed_in_another_process_shows_the_turns_that_ended_there() {
    let home = Home::new();
    let mut first = Server::start_in(Transport::Stdio, &home);
    let mut second = Server::start_in(Transport::Stdio, &home);
    let (mut writer, mut reader) = (first.client(), second.client());
    let thread = writer.thread();
    writer.turn(&thread, "one");
    assert_eq!(reader.read(&thread)["turns"], writer.read(&thread)["turns"]);
    assert_eq!(column(&reader.ok("thread/list", json!({}))["data"], "id"), [thread.as_str()]);
    writer.ok("turn/start", json!({ "threadId": thread, "input": said("two") }));
    writer.next_notification("turn/completed");
    assert_eq!(reader.read(&thread)["turns"], writer.read(&thread)["turns"]);
}
