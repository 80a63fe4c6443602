//! What is submitted twice runs once; and who comes in the middle of a message gets what was said of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::inside::{Inside, Peer};

fn submit(peer: &mut Peer, thread: &str, text: &str, client_id: &str) -> Value {
    let params = json!({ "threadId": thread, "clientUserMessageId": client_id,
        "input": [{ "type": "text", "text": text }] });
    peer.ask("turn/start", params).expect("a turn starts")["turn"].take()
}

fn turns(peer: &mut Peer, thread: &str) -> Vec<Value> {
    let read = peer.ask("thread/read", json!({ "threadId": thread, "includeTurns": true }));
    read.expect("it can be read")["thread"]["turns"].as_array().expect("turns").clone()
}

#[test]
fn a_turn_submitted_twice_runs_once_also_after_a_restart() {
    let mut inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    let first = submit(&mut peer, &thread, "once", "mine");
    let joined = submit(&mut peer, &thread, "once", "mine");
    assert_eq!((&first["status"], &joined["id"]), (&json!("inProgress"), &first["id"]));
    peer.hear("turn/completed", &thread);
    let again = submit(&mut peer, &thread, "once", "mine");
    assert_eq!((&again["id"], &again["status"]), (&first["id"], &json!("completed")));
    assert_eq!(turns(&mut peer, &thread).len(), 1);
    drop(peer);

    inside.restart();
    let mut peer = inside.connect();
    peer.ask("thread/resume", json!({ "threadId": thread })).expect("it is stored");
    let again = submit(&mut peer, &thread, "once", "mine");
    assert_eq!((&again["id"], &again["status"]), (&first["id"], &json!("completed")));
    let other = submit(&mut peer, &thread, "once more", "another");
    assert_ne!(other["id"], first["id"]);
    peer.hear("turn/completed", &thread);
    let stored = turns(&mut peer, &thread);
    assert_eq!(stored.len(), 2);
    let users = stored[0]["items"].as_array().expect("items").iter();
    assert_eq!(users.filter(|item| item["type"] == "userMessage").count(), 1, "said once, kept once");
}

#[test]
fn what_joined_a_turn_is_known_as_well() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    let running = peer.start_turn(&thread, "slow: 1s\none");
    peer.hear("item/started", &thread);
    assert_eq!(submit(&mut peer, &thread, "slow: 1s\ntwo", "joined")["id"], running.as_str());
    assert_eq!(submit(&mut peer, &thread, "slow: 1s\ntwo", "joined")["id"], running.as_str());
    let steer = json!({ "threadId": thread, "expectedTurnId": running, "clientUserMessageId": "joined",
        "input": [{ "type": "text", "text": "two" }] });
    assert_eq!(peer.ask("turn/steer", steer).expect("it is known")["turnId"], running.as_str());
    finish(&inside, &mut peer, &thread);
    assert_eq!(submit(&mut peer, &thread, "slow: 1s\ntwo", "joined")["id"], running.as_str());
    let stored = turns(&mut peer, &thread);
    let said = stored[0]["items"].as_array().expect("items").iter();
    assert_eq!((stored.len(), said.filter(|item| item["type"] == "userMessage").count()), (1, 2));
}

/// Lets time pass until the thread is idle. The turn waits on the simulated clock between its words.
fn finish(inside: &Inside, peer: &mut Peer, thread: &str) {
    let probe = json!({ "threadId": thread });
    for _ in 0..10_000 {
        inside.advance(Duration::from_secs(1));
        let read = peer.ask("thread/read", probe.clone()).expect("it can be read");
        if read["thread"]["status"]["type"] == "idle" {
            return;
        }
    }
    panic!("the turn does not end");
}

#[test]
fn who_resumes_in_the_middle_of_a_message_gets_its_text_without_gap_or_doubling() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    peer.start_turn(&thread, "slow: 1s\nsix words come after this one");
    let mut heard = String::new();
    while heard.split_whitespace().count() < 3 {
        let delta = inside.advance_until(&mut peer, "item/agentMessage/delta", &thread);
        heard.push_str(delta["params"]["delta"].as_str().expect("a text"));
    }
    let mut late = inside.connect();
    let resumed = late.ask("thread/resume", json!({ "threadId": thread })).expect("it is loaded");
    let turn = &resumed["thread"]["turns"][0];
    let said = turn["items"].as_array().expect("items").last().expect("a message")["text"].clone();
    let mut text = said.as_str().expect("a text").to_owned();
    assert!(text.starts_with(&heard), "{text:?} does not go on from {heard:?}");
    finish(&inside, &mut peer, &thread);
    loop {
        let message = late.hear_any(&thread);
        match message["method"].as_str() {
            Some("item/agentMessage/delta") => {
                text.push_str(message["params"]["delta"].as_str().expect("a text"));
            }
            Some("item/completed") => {
                assert_eq!(message["params"]["item"]["text"], text.as_str());
                return;
            }
            _ => {}
        }
    }
}
