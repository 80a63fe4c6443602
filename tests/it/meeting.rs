//! What happens when two things meet: a resume and a start, a resume and an unload, two who change the same.

use std::path::Path;

use serde_json::json;

use crate::support::Transport;
use crate::support::client::{Client, column, said, text};
use crate::support::home::Home;
use crate::support::server::Server;

/// Keeps the store from writing until it is committed.
fn hold_store(database: &Path) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(database).expect("the database opens");
    database.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    database
}

/// Asks until so many jobs wait for the store.
fn wait_for_jobs(client: &mut Client, jobs: f64) {
    for _ in 0..100_000 {
        let said = client.ok("server/diagnostics", json!({}));
        if said["metrics"]["app_server_store_jobs"].as_f64() == Some(jobs) {
            return;
        }
    }
    panic!("there are never {jobs} jobs");
}

#[test]
fn a_turn_that_is_about_to_start_is_not_shown_as_interrupted() {
    let home = Home::new();
    let mut server = Server::start_in(Transport::WebSocket, &home);
    let (mut client, mut late) = (server.client(), server.client());
    let (other, thread) = (client.thread(), client.thread());
    client.turn(&thread, "before");
    let held = hold_store(&home.database());
    // This one the store has taken, and waits; the two others are then done in one step.
    client.send("thread/name/set", json!({ "threadId": other, "name": "new" }));
    wait_for_jobs(&mut client, 0.0);
    let start = json!({ "threadId": thread, "input": said("now") });
    let started = client.send("turn/start", start);
    wait_for_jobs(&mut client, 1.0);
    let resumed = late.send("thread/resume", json!({ "threadId": thread }));
    wait_for_jobs(&mut client, 2.0);
    held.execute_batch("COMMIT").expect("it ends");
    let resumed = late.answer(&resumed).expect("it is loaded");
    let turn = text(&client.answer(&started).expect("it starts")["turn"]["id"]);
    let shown = column(&resumed["thread"]["turns"], "status");
    if shown.len() == 1 {
        // It is told as a new one.
        assert_eq!(late.next_notification("turn/started")["turn"]["id"], turn.as_str());
    } else {
        assert_eq!(shown, ["completed", "inProgress"]);
    }
    assert_eq!(late.turn_end(&turn)["status"], "completed");
}
