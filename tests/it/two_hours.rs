//! Two hours of load, condensed by the simulated clock: clients that come and go leave nothing behind.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::inside::{Inside, Peer};

const MINUTES: usize = 120;
const MINUTE: Duration = Duration::from_secs(60);
/// Questions that nobody is left to answer are given up, and idle threads unloaded, long before this.
const QUIET_HOURS_MAX: usize = 48;

/// A client reads what the model says and leaves.
fn reads(inside: &Inside) {
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    peer.run_turn(&thread, "hello");
    peer.vanish();
}

/// A client leaves in the middle of a question.
fn leaves_a_question(inside: &Inside) {
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    peer.start_turn(&thread, "ask: Which one? | this | that");
    let is_asked = |message: &Value| message["method"] == "item/tool/requestUserInput";
    while !is_asked(&peer.hear_any(&thread)) {}
    peer.vanish();
}

/// A client interrupts a slow answer and unsubscribes; the thread is left to the next.
fn interrupts(inside: &Inside) -> String {
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    let turn = peer.start_turn(&thread, "slow: 60s\nsay something");
    peer.hear("turn/started", &thread);
    peer.ask("turn/interrupt", json!({ "threadId": thread, "turnId": turn })).expect("it is interrupted");
    let ended = peer.hear("turn/completed", &thread);
    assert_eq!(ended["params"]["turn"]["status"], "interrupted");
    peer.ask("thread/unsubscribe", json!({ "threadId": thread })).expect("it unsubscribes");
    peer.vanish();
    thread
}

/// A client goes on where another stopped, loaded or not, and archives it or leaves it.
fn goes_on(inside: &Inside, thread: &str, archives: bool) {
    let mut peer = inside.connect();
    peer.ask("thread/resume", json!({ "threadId": thread })).expect("it is there");
    peer.run_turn(thread, "and now?");
    if archives {
        peer.ask("thread/archive", json!({ "threadId": thread })).expect("it is archived");
    }
    peer.vanish();
}

fn closed(witness: &mut Peer) -> usize {
    witness.heard_so_far().iter().filter(|method| *method == "thread/closed").count()
}

#[test]
fn two_hours_of_coming_and_going_leave_nothing_behind() {
    let inside = Inside::start(&[]);
    let mut witness = inside.connect();
    witness.heard_so_far();
    let before = inside.timers();
    let mut left: Vec<String> = Vec::new();
    let (mut unloaded, mut most_loaded) = (0, 0);
    for minute in 0..MINUTES {
        reads(&inside);
        if minute % 3 == 0 {
            leaves_a_question(&inside);
        }
        left.push(interrupts(&inside));
        // At once, or when it has been unloaded meanwhile.
        if minute % 2 == 0 {
            let thread = if minute % 4 == 0 { left.pop() } else { Some(left.remove(0)) };
            goes_on(&inside, &thread.expect("one was left"), minute % 8 == 0);
        }
        inside.advance(MINUTE);
        unloaded += closed(&mut witness);
        most_loaded = most_loaded.max(witness.loaded().len());
    }
    assert!(inside.timers() > before, "there is something to leave");
    // Half an hour's threads, and those with a question, and no more however long it goes on.
    assert!(most_loaded < MINUTES, "{most_loaded} threads were loaded at once");
    let mut quiet_minutes = 0;
    while !witness.loaded().is_empty() {
        assert!(quiet_minutes < QUIET_HOURS_MAX * 60, "these stay: {:?}", witness.loaded());
        quiet_minutes += 1;
        inside.advance(MINUTE);
        unloaded += closed(&mut witness);
    }
    assert!(unloaded >= 2 * MINUTES, "{unloaded} threads were unloaded");
    assert_eq!(inside.timers(), before, "the wheel is as empty as it was");
    let told = witness.ask("server/diagnostics", json!({})).expect("it answers");
    for gauge in told["gauges"].as_array().expect("gauges") {
        // The question itself is in flight.
        let expected = u64::from(gauge["name"] == "app.requests.in_flight");
        assert_eq!(gauge["value"], expected, "{gauge}");
    }
}
