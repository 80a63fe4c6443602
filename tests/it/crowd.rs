//! Many clients on one thread: all hear the same, in the same order, and none disturbs the others.

use serde_json::json;

use crate::support::Transport;
use crate::support::client::{Client, text};
use crate::support::server::Server;

const CLIENTS: usize = 32;

/// What a client heard of a thread, byte by byte, up to the end of so many turns.
fn heard(client: &Client, thread: &str, turns: usize) -> Vec<String> {
    client.wait_until("the ends of the turns", |conversation| {
        let is_end = |message: &&serde_json::Value| message["method"] == "turn/completed";
        (conversation.received.iter().filter(is_end).count() >= turns).then_some(())
    });
    let about = |text: &String| text.starts_with("{\"method\":") && text.contains(thread);
    client.heard_texts().into_iter().filter(about).collect()
}

#[test]
fn clients_on_one_thread_hear_the_same() {
    let mut server = Server::start(Transport::WebSocket);
    let mut first = server.client();
    let thread = first.thread();
    first.settle();
    let mut others: Vec<Client> = (1..CLIENTS).map(|_| server.client()).collect();
    for other in &mut others {
        other.ok("thread/resume", json!({ "threadId": thread }));
    }
    // Each of them says something; what comes while a turn runs joins it.
    let started: Vec<String> = others
        .iter_mut()
        .map(|other| other.start_turn(&thread, "slow: 1ms\nall of us say something"))
        .collect();
    let mut turns = started.clone();
    turns.dedup();
    // One goes in the middle of it.
    drop(others.pop());
    let expected = heard(&first, &thread, turns.len());
    let started_at = expected.iter().position(|text| text.contains("turn/started")).expect("a turn");
    for (at, other) in others.iter().enumerate() {
        let all = heard(other, &thread, turns.len());
        let from = all.iter().position(|text| text.contains("turn/started")).expect("a turn");
        assert_eq!(all[from..], expected[started_at..], "client {at}");
    }
    let said = first.ok("thread/items/list", json!({ "threadId": thread, "limit": 1000 }));
    let entries = said["data"].as_array().expect("a list");
    let words = entries.iter().filter(|entry| entry["item"]["type"] == "userMessage").count();
    assert_eq!(words, CLIENTS - 1, "nobody's words are lost");
    for entry in entries {
        assert!(turns.contains(&text(&entry["turnId"])));
    }
    server.stop();
}
