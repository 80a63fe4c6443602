//! `initialize`: what comes before it, what it says, what comes after it.

use serde_json::{Value, json};

use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

over_stdio_and_websocket!(
    requests_before_initialize_are_refused,
    what_cannot_be_decoded_is_told_before_the_missing_initialize,
    initialize_says_who_answers_and_works_once,
    a_bad_client_name_leaves_the_session_uninitialized,
    the_initialized_notification_is_not_needed,
    the_answer_comes_before_anything_else,
);

fn client_named(name: &str) -> Value {
    json!({ "clientInfo": { "name": name, "version": "1" } })
}

fn requests_before_initialize_are_refused(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.connect();
    for (method, params) in [
        ("thread/list", json!({})),
        ("thread/start", json!({})),
        ("model/list", json!({})),
        ("turn/interrupt", json!({ "threadId": "x", "turnId": "y" })),
        // Known to the protocol only.
        ("fs/readFile", json!({ "path": "/x" })),
    ] {
        let error = client.refused(method, params);
        assert_eq!(
            (&error["code"], &error["message"]),
            (&json!(-32600), &json!("Not initialized")),
            "{method}"
        );
        assert_eq!(error["data"]["reason"], "notInitialized", "{method}");
    }
    client.initialize();
    client.ok("thread/list", json!({}));
    server.stop();
}

fn what_cannot_be_decoded_is_told_before_the_missing_initialize(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.connect();
    let unknown = client.refused("no/such", json!({}));
    assert_eq!(unknown["data"]["reason"], "unknownMethod");
    let bad = client.refused("thread/read", json!({ "threadId": 17 }));
    assert_eq!(bad["message"], "Invalid request: invalid type: integer `17`, expected a string");
    let missing = client.refused("thread/read", json!({}));
    assert_eq!(missing["message"], "Invalid request: missing field `threadId`");
    let initialize = client.refused("initialize", json!({}));
    assert_eq!(initialize["message"], "Invalid request: missing field `clientInfo`");
    client.initialize();
}

fn initialize_says_who_answers_and_works_once(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.connect();
    let answer = client.ok("initialize", client_named("my client"));
    let agent = answer["userAgent"].as_str().expect("a user agent");
    assert!(agent.starts_with("my client/0.169.0 ("), "{agent}");
    let own = concat!(") app-server/", env!("CARGO_PKG_VERSION"));
    assert!(agent.ends_with(own), "{agent}");
    // The Python SDK compares what stands before the first blank with the release that brought a field.
    let version = format!("0.169.0 (app-server {})", env!("CARGO_PKG_VERSION"));
    assert_eq!(answer["serverInfo"], json!({ "name": "app-server", "version": version }));
    assert_eq!(answer["codexHome"], json!(server.home.path()));
    assert_eq!((&answer["platformFamily"], &answer["platformOs"]), (&json!("unix"), &json!("linux")));

    let again = client.refused("initialize", client_named("other"));
    assert_eq!((&again["code"], &again["message"]), (&json!(-32600), &json!("Already initialized")));
    // The session goes on as it was.
    let thread = client.thread();
    assert_eq!(client.read(&thread)["originator"], "my client");
}

fn a_bad_client_name_leaves_the_session_uninitialized(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.connect();
    let error = client.refused("initialize", client_named("bad\nname"));
    assert_eq!(error["message"], "Invalid clientInfo.name: 'bad\nname'. Must be a valid HTTP header value.");
    assert_eq!(client.refused("thread/list", json!({}))["message"], "Not initialized");
    // An empty name is fine, as with the reference.
    client.ok("initialize", client_named(""));
    client.ok("thread/list", json!({}));
}

fn the_initialized_notification_is_not_needed(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.connect();
    client.ok("initialize", client_named("x"));
    let thread = client.thread();
    assert_eq!(client.turn(&thread, "hello")["status"], "completed");
    client.notify("initialized");
    client.notify("initialized");
    client.notify("no/such/notification");
    client.ok("thread/list", json!({}));
    assert!(
        client.received().iter().all(|message| message["id"] != Value::Null || message["method"].is_string())
    );
}

fn the_answer_comes_before_anything_else(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.connect();
    client.send_all(&[
        json!({ "id": "hello", "method": "initialize", "params": client_named("x") }).to_string(),
        json!({ "id": 2, "method": "thread/start", "params": {} }).to_string(),
    ]);
    client.next_notification("thread/started");
    let order: Vec<Value> = client
        .received()
        .iter()
        .map(
            |message| if message["id"].is_null() { message["method"].clone() } else { message["id"].clone() },
        )
        .collect();
    assert_eq!(order, [json!("hello"), json!(2), json!("thread/started")]);
}
