//! Goals: a thread goes on by itself until its user, its budget or its model says that it is enough.

use app_server::limits::{GOAL_CHARS_MAX, GOAL_TURNS_MAX};
use serde_json::{Value, json};

use crate::agenda::words_of;
use crate::support::client::text;
use crate::support::inside::{Inside, Peer};

fn goal(peer: &mut Peer, thread: &str) -> Value {
    peer.ask("thread/goal/get", json!({ "threadId": thread })).expect("it answers")["goal"].take()
}

#[test]
fn a_goal_goes_on_until_its_budget_is_used_up() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let mut other = inside.connect();
    let thread = peer.start_thread(json!({}));
    let of = |rest: Value| {
        let mut params = rest;
        params["threadId"] = thread.clone().into();
        params
    };
    peer.run_turn(&thread, "hello");
    assert_eq!(goal(&mut peer, &thread), Value::Null);
    assert_eq!(peer.ask("thread/goal/clear", of(json!({}))), Ok(json!({ "cleared": false })));
    for (params, reason) in [
        (json!({ "status": "active" }), "the thread has no goal; give an objective"),
        (json!({ "objective": "  " }), "goal objective must not be empty"),
        (json!({ "objective": "x", "tokenBudget": 0 }), "tokenBudget must be greater than 0"),
    ] {
        assert_eq!(peer.ask("thread/goal/set", of(params)).expect_err(reason)["message"], reason);
    }
    peer.heard_so_far();
    let set = json!({ "objective": " finish the demo ", "status": "active", "tokenBudget": 100 });
    let set = peer.ask("thread/goal/set", of(set)).expect("it is set")["goal"].take();
    assert_eq!((&set["objective"], &set["tokensUsed"]), (&json!("finish the demo"), &json!(0)));
    let told = peer.hear("thread/goal/updated", &thread);
    assert_eq!((&told["params"]["goal"], &told["params"]["turnId"]), (&set, &Value::Null));
    let mut turns = 0;
    loop {
        let began = peer.hear("turn/started", &thread)["params"]["turn"]["id"].take();
        let told = peer.hear("thread/goal/updated", &thread)["params"].take();
        assert_eq!(told["turnId"], began);
        let ended = peer.hear("turn/completed", &thread);
        assert_eq!(ended["params"]["turn"]["id"], began);
        turns += 1;
        if told["goal"]["status"] == "budgetLimited" {
            assert!(told["goal"]["tokensUsed"].as_i64() >= Some(100));
            break;
        }
        assert!(told["goal"]["tokensUsed"].as_i64() < Some(100) && turns < 100, "{told}");
    }
    assert!(turns > 1, "it goes on by itself");
    assert!(!peer.heard_so_far().contains(&"turn/started".to_owned()), "it does not go on");
    assert_eq!(words_of(&mut peer, &thread), ["hello"], "nobody said anything");
    assert_eq!(goal(&mut peer, &thread)["status"], "budgetLimited");
    assert!(other.heard_so_far().contains(&"thread/goal/updated".to_owned()), "everybody is told");
    assert_eq!(peer.ask("thread/goal/clear", of(json!({}))), Ok(json!({ "cleared": true })));
    peer.hear("thread/goal/cleared", &thread);
}

#[test]
fn a_goal_is_paused_by_its_user_and_survives_the_server() {
    let mut inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    // The offline model keeps to the last words of its user, so the goal's turns are slow as well.
    peer.start_turn(&thread, "slow: 60s\nwords");
    let set = |peer: &mut Peer, status: &str| {
        let params = json!({ "threadId": thread, "objective": "go on", "status": status });
        peer.ask("thread/goal/set", params).expect("it is set");
    };
    set(&mut peer, "active");
    inside.advance_until(&mut peer, "turn/completed", &thread);
    let second = peer.hear("turn/started", &thread)["params"]["turn"]["id"].take();
    set(&mut peer, "paused");
    inside.advance_until(&mut peer, "turn/completed", &thread);
    assert!(!peer.heard_so_far().contains(&"turn/started".to_owned()), "it is paused");

    set(&mut peer, "active");
    let third = peer.hear("turn/started", &thread)["params"]["turn"]["id"].take();
    assert_ne!(third, second);
    peer.ask("turn/interrupt", json!({ "threadId": thread, "turnId": third })).expect("it runs");
    let told = peer.hear("thread/goal/updated", &thread);
    assert_eq!(told["params"]["goal"]["status"], "paused", "a user who interrupts wants it to stop");
    peer.hear("turn/completed", &thread);
    let kept = goal(&mut peer, &thread);
    drop(peer);

    inside.restart();
    let mut peer = inside.connect();
    assert_eq!(goal(&mut peer, &thread), kept, "also without loading the thread");
    peer.ask("thread/resume", json!({ "threadId": thread })).expect("it is stored");
    assert_eq!(peer.hear("thread/goal/updated", &thread)["params"]["goal"], kept);
    assert!(!peer.heard_so_far().contains(&"turn/started".to_owned()), "it is still paused");
}

#[test]
fn a_goal_without_end_is_blocked() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    peer.ask("thread/goal/set", json!({ "threadId": thread, "objective": "go on" })).expect("it is set");
    loop {
        let told = peer.hear("thread/goal/updated", &thread);
        if told["params"]["goal"]["status"] == "blocked" {
            break;
        }
    }
    assert_eq!(goal(&mut peer, &thread)["status"], "blocked");
    let turns = json!({ "threadId": thread, "limit": 1000, "itemsView": "notLoaded" });
    let turns = peer.ask("thread/turns/list", turns).expect("a page");
    assert_eq!(turns["data"].as_array().expect("a list").len(), GOAL_TURNS_MAX as usize);
}

/// The last words of a turn.
fn last_words(completed: &Value) -> String {
    text(&completed["params"]["turn"]["items"][0]["text"])
}

#[test]
fn the_model_begins_a_goal_and_says_that_it_is_reached() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    let turn = peer.start_turn(&thread, "goal: ship it\ngoal: show\ngoal: complete");
    let mut told = Vec::new();
    for status in ["active", "complete", "complete"] {
        let updated = peer.hear("thread/goal/updated", &thread)["params"].take();
        assert_eq!((&updated["turnId"], &updated["goal"]["status"]), (&json!(turn), &json!(status)));
        assert_eq!(updated["goal"]["objective"], "ship it");
        told.push(updated["goal"].clone());
    }
    let words = last_words(&peer.hear("turn/completed", &thread));
    for tool in ["create_goal", "get_goal", "update_goal"] {
        assert!(words.contains(&format!("{tool} answered: {{\"goal\":{{")), "{words}");
    }
    let heard = peer.heard_so_far();
    assert!(!heard.contains(&"turn/started".to_owned()), "it does not go on: {heard:?}");
    assert_eq!(goal(&mut peer, &thread), told[2]);
    assert!(told[2]["tokensUsed"].as_i64() > told[1]["tokensUsed"].as_i64(), "it counts to the turn's end");

    // Where one is reached, another may begin.
    peer.run_turn(&thread, "goal: rest\ngoal: paused");
    let kept = goal(&mut peer, &thread);
    assert_eq!((&kept["objective"], &kept["status"]), (&json!("rest"), &json!("paused")));
}

#[test]
fn a_turn_that_goes_on_for_the_goal_ends_it() {
    let mut inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    // Cut off in its thought, it is still to be done when the goal's turn looks at the user's last words.
    let first = peer.start_turn(&thread, "slow: 60s\nthink: well then\ngoal: complete");
    peer.hear("turn/started", &thread);
    peer.ask("turn/interrupt", json!({ "threadId": thread, "turnId": first })).expect("it runs");
    peer.hear("turn/completed", &thread);
    peer.ask("thread/goal/set", json!({ "threadId": thread, "objective": "go on" })).expect("it is set");
    let turn = peer.hear("turn/started", &thread)["params"]["turn"]["id"].take();
    let updated = inside.advance_until(&mut peer, "thread/goal/updated", &thread);
    let goal_then = &updated["params"]["goal"];
    assert_eq!((&updated["params"]["turnId"], &goal_then["status"]), (&turn, &json!("complete")));
    inside.advance_until(&mut peer, "turn/completed", &thread);
    assert!(!peer.heard_so_far().contains(&"turn/started".to_owned()), "that was the last one");
    let kept = goal(&mut peer, &thread);
    assert!(kept["tokensUsed"].as_i64() > Some(0), "{kept}");
    drop(peer);
    inside.restart();
    let mut peer = inside.connect();
    assert_eq!(goal(&mut peer, &thread), kept);
    peer.ask("thread/resume", json!({ "threadId": thread })).expect("it is stored");
    assert!(!peer.heard_so_far().contains(&"turn/started".to_owned()), "it is complete");
}

#[test]
fn the_model_is_told_what_it_may_not_do_with_a_goal() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    let mut says = |prompt: &str, expected: &str| {
        let words = last_words(&peer.hear_end_of(&thread, prompt));
        assert!(words.contains(expected), "{prompt}: {words}");
    };
    says("goal: show", "get_goal answered: {\"goal\":null,\"remainingTokens\":null}");
    says("goal: complete", "update_goal answered: the thread has no goal");
    says(
        "call: update_goal {\"status\":\"active\"}",
        "update_goal answered: failed to parse function arguments",
    );
    says("call: create_goal {\"objective\":\" \"}", "create_goal answered: goal objective must not be empty");
    says(
        "call: create_goal {\"objective\":\"x\",\"token_budget\":0}",
        "create_goal answered: tokenBudget must be greater than 0",
    );
    says("goal: one\ngoal: blocked\ngoal: two", "create_goal answered: the thread has a goal already");
    assert_eq!(goal(&mut peer, &thread)["objective"], "one");
    assert!(!peer.heard_so_far().contains(&"turn/started".to_owned()), "it is blocked");
}

#[test]
fn an_objective_has_so_many_characters_and_no_more() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    let set =
        |chars: usize| json!({ "threadId": thread, "status": "paused", "objective": "é".repeat(chars) });
    let error = peer.ask("thread/goal/set", set(GOAL_CHARS_MAX + 1)).expect_err("it is too long");
    let expected = format!("goal objective exceeds the maximum length of {GOAL_CHARS_MAX} characters");
    assert_eq!(error["message"], expected);
    assert_eq!(goal(&mut peer, &thread), Value::Null, "nothing was set");
    let words = last_words(&peer.hear_end_of(&thread, &format!("goal: {}", "x".repeat(GOAL_CHARS_MAX + 1))));
    assert!(words.contains(&expected), "{words}");
    peer.ask("thread/goal/set", set(GOAL_CHARS_MAX)).expect("it fits");
    assert_eq!(goal(&mut peer, &thread)["objective"], "é".repeat(GOAL_CHARS_MAX));
}
