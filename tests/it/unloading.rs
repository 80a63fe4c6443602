//! When threads are unloaded, on the simulated clock, and what comes back when they are resumed.

use std::time::Duration;

use serde_json::json;

use crate::support::inside::{Inside, Peer};

const HALF_AN_HOUR: Duration = Duration::from_secs(30 * 60);
/// The wheel may fire one tick late, never early.
const TICK: Duration = Duration::from_millis(10);

fn unsubscribe(peer: &mut Peer, thread: &str) {
    let answer = peer.ask("thread/unsubscribe", json!({ "threadId": thread })).expect("it answers");
    assert_eq!(answer["status"], "unsubscribed");
}

#[test]
fn an_idle_thread_is_unloaded_after_half_an_hour_and_not_before() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    unsubscribe(&mut peer, &thread);
    inside.advance(HALF_AN_HOUR - TICK);
    assert_eq!(peer.loaded(), [thread.as_str()]);
    inside.advance(2 * TICK);
    let status = peer.hear("thread/status/changed", &thread);
    assert_eq!(status["params"]["status"]["type"], "notLoaded", "the status comes first");
    peer.hear("thread/closed", &thread);
    assert!(peer.loaded().is_empty());
    assert_eq!(inside.timers(), 0, "nothing is left armed");
}

#[test]
fn a_lost_connection_counts_as_an_unsubscribe() {
    let inside = Inside::start(&[]);
    let (mut owner, mut other) = (inside.connect(), inside.connect());
    let thread = owner.start_thread(json!({}));
    owner.vanish();
    inside_catches_up(&mut other);
    inside.advance(HALF_AN_HOUR + TICK);
    other.hear("thread/closed", &thread);
}

/// The events of two connections are taken in the order in which they came into the one inbox.
fn inside_catches_up(peer: &mut Peer) {
    peer.heard_so_far();
}

#[test]
fn a_subscribed_thread_stays_and_reading_it_does_not_count_as_use() {
    let inside = Inside::start(&[]);
    let (mut owner, mut reader) = (inside.connect(), inside.connect());
    let thread = owner.start_thread(json!({}));
    inside.advance(3 * HALF_AN_HOUR);
    assert_eq!(reader.loaded(), [thread.as_str()]);
    unsubscribe(&mut owner, &thread);
    inside.advance(HALF_AN_HOUR - TICK);
    reader.ask("thread/read", json!({ "threadId": thread })).expect("it can be read");
    inside.advance(2 * TICK);
    reader.hear("thread/closed", &thread);
}

#[test]
fn a_running_turn_holds_and_the_clock_starts_at_its_end() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    // One word a minute; the answer has more than thirty of them.
    peer.start_turn(
        &thread,
        "slow: 60s\none two three four five six seven eight nine ten eleven twelve thirteen",
    );
    peer.hear("item/started", &thread);
    unsubscribe(&mut peer, &thread);
    inside.advance(HALF_AN_HOUR + TICK);
    assert_eq!(peer.loaded(), [thread.as_str()]);
    let mut other = inside.connect();
    other.ask("turn/interrupt", json!({ "threadId": thread, "turnId": "" })).expect("a turn runs");
    let idle = loop {
        let status = other.hear("thread/status/changed", &thread);
        if status["params"]["status"]["type"] == "idle" {
            break status;
        }
    };
    assert_eq!(idle["params"]["threadId"], thread.as_str());
    inside_catches_up(&mut other);
    inside.advance(HALF_AN_HOUR - 2 * TICK);
    assert_eq!(peer.loaded(), [thread.as_str()]);
    inside.advance(3 * TICK);
    peer.hear("thread/closed", &thread);
}

#[test]
fn a_new_subscriber_stops_the_clock_and_its_leaving_starts_it_anew() {
    let inside = Inside::start(&[]);
    let (mut first, mut second) = (inside.connect(), inside.connect());
    let thread = first.start_thread(json!({}));
    unsubscribe(&mut first, &thread);
    inside.advance(HALF_AN_HOUR - TICK);
    second.ask("thread/resume", json!({ "threadId": thread })).expect("it is loaded");
    inside.advance(2 * HALF_AN_HOUR);
    assert_eq!(first.loaded(), [thread.as_str()]);
    unsubscribe(&mut second, &thread);
    inside.advance(HALF_AN_HOUR - TICK);
    assert_eq!(first.loaded(), [thread.as_str()]);
    inside.advance(2 * TICK);
    first.hear("thread/closed", &thread);
}

#[test]
fn the_delay_is_configured_for_all_or_for_one_thread() {
    let inside = Inside::start(&["thread_unload_delay_secs=5"]);
    let mut peer = inside.connect();
    let usual = peer.start_thread(json!({}));
    let at_once = peer.start_thread(json!({ "config": { "thread_unload_delay_secs": 0 } }));
    let refused = peer.ask("thread/start", json!({ "config": { "thread_unload_delay_secs": "soon" } }));
    let message = refused.expect_err("no number")["message"].to_string();
    assert!(message.contains("thread_unload_delay_secs"), "{message}");
    unsubscribe(&mut peer, &usual);
    unsubscribe(&mut peer, &at_once);
    inside.advance(TICK);
    peer.hear("thread/closed", &at_once);
    assert_eq!(peer.loaded(), [usual.as_str()]);
    inside.advance(Duration::from_secs(5));
    peer.hear("thread/closed", &usual);
}

#[test]
fn an_unloaded_thread_comes_back_with_its_turns() {
    let inside = Inside::start(&["thread_unload_delay_secs=0"]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    let turn = peer.run_turn(&thread, "remember me");
    unsubscribe(&mut peer, &thread);
    inside.advance(TICK);
    peer.hear("thread/closed", &thread);
    let refused = peer.ask("turn/start", json!({ "threadId": thread, "input": [] })).expect_err("not loaded");
    assert_eq!(refused["data"]["reason"], "threadNotFound");
    let resumed = peer.ask("thread/resume", json!({ "threadId": thread })).expect("it is stored");
    assert_eq!(resumed["thread"]["turns"][0]["id"], turn.as_str());
    assert_eq!(resumed["thread"]["status"]["type"], "idle");
    peer.run_turn(&thread, "and again");
}

#[test]
fn an_ephemeral_thread_is_gone_when_it_is_unloaded() {
    let inside = Inside::start(&["thread_unload_delay_secs=0"]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({ "ephemeral": true }));
    peer.run_turn(&thread, "forget me");
    unsubscribe(&mut peer, &thread);
    inside.advance(TICK);
    peer.hear("thread/closed", &thread);
    peer.ask("thread/resume", json!({ "threadId": thread })).expect_err("nothing is left");
}

#[test]
fn above_the_byte_budget_the_thread_used_longest_ago_goes_also_with_a_silent_subscriber() {
    let inside = Inside::start(&["app_server.loaded_threads_bytes_max=65536"]);
    let mut peer = inside.connect();
    let first = peer.start_thread(json!({}));
    inside.advance(TICK);
    let busy = peer.start_thread(json!({}));
    peer.start_turn(&busy, "slow: 60s\nI am at work");
    peer.hear("item/started", &busy);
    let mut started = 2;
    while peer.loaded().contains(&first) {
        inside.advance(TICK);
        peer.start_thread(json!({}));
        started += 1;
        assert!(started < 1_000, "the budget never fills");
    }
    peer.hear("thread/closed", &first);
    let loaded = peer.loaded();
    assert_eq!(loaded.len(), started - 1, "one had to go, no more");
    assert!(loaded.contains(&busy), "a running turn is never thrown out");
    peer.ask("thread/resume", json!({ "threadId": first })).expect("it comes back");
    assert!(peer.loaded().contains(&first));
}
