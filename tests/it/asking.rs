//! Requests to clients, on the simulated clock: who gets them, whose answer counts, what happens when nobody
//! is there, and in which order it is told.

use std::sync::Arc;
use std::time::Duration;

use app_server::agent::{Answered, Opening};
use app_server::limits;
use app_server::proto::{
    AgentMessageItem, CommandApprovalKind, CommandApprovalParams, CommandApprovalResponse, CommandDecision,
    DynamicToolCallParams, DynamicToolCallResponse, ItemBody, ThreadItem, UserInputParams,
};
use serde_json::{Value, json};

use crate::support::inside::{Asking, Inside, Peer};
use crate::support::schema::SchemaChecker;

const DEADLINE: Duration = limits::APPROVAL_DEADLINE;
/// The wheel may fire one tick late, never early.
const TICK: Duration = Duration::from_millis(10);
const APPROVAL: &str = "item/commandExecution/requestApproval";
const INPUT: &str = "item/tool/requestUserInput";
const CALL: &str = "item/tool/call";

fn approval(thread: &str, turn: &str) -> CommandApprovalParams {
    CommandApprovalParams {
        kind: CommandApprovalKind::Command,
        thread_id: thread.to_owned(),
        turn_id: turn.to_owned(),
        item_id: "call_1".to_owned(),
        started_at_ms: 5,
        approval_id: None,
        environment_id: Some("local".to_owned()),
        reason: None,
        command: Some("/bin/bash -lc 'ls'".to_owned()),
        cwd: Some("/work".to_owned()),
        command_actions: Some(Vec::new()),
        proposed_execpolicy_amendment: Some(vec!["ls".to_owned()]),
        available_decisions: Some(vec![CommandDecision::Accept, CommandDecision::Cancel]),
    }
}

fn questions(thread: &str, turn: &str) -> UserInputParams {
    UserInputParams {
        thread_id: thread.to_owned(),
        turn_id: turn.to_owned(),
        item_id: "call_2".to_owned(),
        questions: Vec::new(),
        is_blocking: true,
        auto_resolution_ms: None,
    }
}

fn tool_call(thread: &str, turn: &str) -> DynamicToolCallParams {
    DynamicToolCallParams {
        thread_id: thread.to_owned(),
        turn_id: turn.to_owned(),
        call_id: "call_3".to_owned(),
        namespace: None,
        tool: "lookup".to_owned(),
        arguments: json!({ "key": "k" }),
    }
}

fn accepted() -> Answered<CommandApprovalResponse> {
    Answered::Given(CommandApprovalResponse { decision: CommandDecision::Accept })
}

/// A thread with a turn that goes on for as long as the test does.
fn busy(peer: &mut Peer) -> (String, String) {
    let thread = peer.start_thread(json!({}));
    let turn = peer.start_turn(&thread, &format!("slow: 36000s\n{}", "word ".repeat(20)));
    peer.hear("item/started", &thread);
    peer.hear("item/completed", &thread);
    peer.heard_so_far();
    (thread, turn)
}

/// The next status of the thread: its flags, or its type.
fn waits_for(peer: &mut Peer, thread: &str) -> Value {
    let mut status = peer.hear("thread/status/changed", thread);
    match status["params"]["status"].get_mut("activeFlags") {
        Some(flags) => flags.take(),
        None => status["params"]["status"]["type"].take(),
    }
}

fn unsubscribe(peer: &mut Peer, thread: &str) {
    let answer = peer.ask("thread/unsubscribe", json!({ "threadId": thread })).expect("it answers");
    assert_eq!(answer["status"], "unsubscribed");
}

fn fits_the_schema(request: &Value) {
    if let Some(checker) = SchemaChecker::get() {
        checker.check(request, /*response_to*/ None).expect("it fits");
    }
}

#[test]
fn a_request_is_announced_sent_answered_and_settled_in_the_recorded_order() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let (thread, turn) = busy(&mut peer);
    let body = ItemBody::AgentMessage(AgentMessageItem {
        moderation: None,
        id: "item".to_owned(),
        text: String::new(),
        phase: None,
        memory_citation: None,
        delivery: None,
        questions: None,
    });
    let item = Arc::new(ThreadItem { body, started_at_ms: Some(5), completed_at_ms: None });
    let told =
        app_server::proto::ItemStarted { item: &item, thread_id: &thread, turn_id: &turn, started_at_ms: 5 };
    let notification = app_server::agent::Encoded::new(&told, /*now_ms*/ 5);
    let opening = Opening { item: Arc::clone(&item), notification };
    let asking = inside.asks_with(&thread, &turn, approval(&thread, &turn), Some(opening));
    assert_eq!(waits_for(&mut peer, &thread), json!(["waitingOnApproval"]));
    assert_eq!(peer.hear_any(&thread)["method"], "item/started");
    let request = peer.hear_any(&thread);
    assert_eq!((&request["method"], &request["id"]), (&json!(APPROVAL), &json!(0)));
    assert!(request.get("emittedAtMs").is_none());
    fits_the_schema(&request);
    peer.answer(&request, json!({ "decision": "accept" }));
    assert_eq!(asking.answered(), accepted());
    let resolved = peer.hear_any(&thread);
    assert_eq!(
        (&resolved["method"], &resolved["params"]["requestId"]),
        (&json!("serverRequest/resolved"), &json!(0))
    );
    assert_eq!(waits_for(&mut peer, &thread), json!([]));
}

#[test]
fn the_first_answer_of_a_subscriber_counts_and_all_are_told() {
    let inside = Inside::start(&[]);
    let (mut first, mut second, mut stranger) = (inside.connect(), inside.connect(), inside.connect());
    let (thread, turn) = busy(&mut first);
    second.ask("thread/resume", json!({ "threadId": thread })).expect("it is loaded");
    stranger.heard_so_far();
    let asking = inside.asks(&thread, &turn, approval(&thread, &turn));
    let request = first.hear(APPROVAL, &thread);
    assert_eq!(second.hear(APPROVAL, &thread), request, "one id, one message");
    assert_eq!(stranger.heard_so_far(), ["thread/status/changed"], "it only hears that the thread waits");
    // Who was not asked cannot answer; neither can an id be guessed as text.
    stranger.answer(&request, json!({ "decision": "decline" }));
    first.answer(&json!({ "id": "0" }), json!({ "decision": "decline" }));
    first.answer(&json!({ "id": 7 }), json!({ "decision": "decline" }));
    stranger.heard_so_far();
    second.answer(&request, json!({ "decision": "accept" }));
    second.hear("serverRequest/resolved", &thread);
    first.answer(&request, json!({ "decision": "decline" }));
    assert_eq!(asking.answered(), accepted());
    first.hear("serverRequest/resolved", &thread);
    assert_eq!(first.heard_so_far(), ["thread/status/changed"], "it is settled once");
    assert!(stranger.heard_so_far().iter().all(|method| method != "serverRequest/resolved"));
}

#[test]
fn an_error_and_an_unknown_decision_count_as_failed() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let (thread, turn) = busy(&mut peer);
    let asking = inside.asks(&thread, &turn, approval(&thread, &turn));
    let request = peer.hear(APPROVAL, &thread);
    peer.refuse(&request);
    assert!(matches!(asking.answered(), Answered::Failed(reason) if reason.contains("not for me")));
    peer.hear("serverRequest/resolved", &thread);
    let asking = inside.asks(&thread, &turn, approval(&thread, &turn));
    let request = peer.hear(APPROVAL, &thread);
    assert_eq!(request["id"], 1, "one counter for the process");
    peer.answer(&request, json!({ "decision": "perhaps" }));
    assert!(matches!(asking.answered(), Answered::Failed(reason) if reason.contains("perhaps")));
    peer.hear("serverRequest/resolved", &thread);
}

#[test]
fn several_requests_are_open_at_once_and_the_flags_follow_them() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let (thread, turn) = busy(&mut peer);
    let input = inside.asks(&thread, &turn, questions(&thread, &turn));
    assert_eq!(waits_for(&mut peer, &thread), json!(["waitingOnUserInput"]));
    let asked = peer.hear(INPUT, &thread);
    fits_the_schema(&asked);
    let command = inside.asks(&thread, &turn, approval(&thread, &turn));
    assert_eq!(waits_for(&mut peer, &thread), json!(["waitingOnApproval", "waitingOnUserInput"]));
    let approve = peer.hear(APPROVAL, &thread);
    let again = inside.asks(&thread, &turn, approval(&thread, &turn));
    let approve_again = peer.hear(APPROVAL, &thread);
    assert!(peer.heard_so_far().is_empty(), "the status is what it was");
    peer.answer(&approve_again, json!({ "decision": "decline" }));
    peer.hear("serverRequest/resolved", &thread);
    assert!(peer.heard_so_far().is_empty());
    peer.answer(&approve, json!({ "decision": "accept" }));
    assert_eq!(waits_for(&mut peer, &thread), json!(["waitingOnUserInput"]));
    peer.answer(&asked, json!({ "answers": { "q": { "answers": ["A"] } } }));
    assert_eq!(waits_for(&mut peer, &thread), json!([]));
    assert_eq!(command.answered(), accepted());
    assert!(
        matches!(again.answered(), Answered::Given(answer) if answer.decision == CommandDecision::Decline)
    );
    assert!(matches!(input.answered(), Answered::Given(answer) if answer.answers["q"].answers == ["A"]));
}

#[test]
fn who_carried_out_a_tool_is_told_nothing_and_the_others_are() {
    let inside = Inside::start(&[]);
    let (mut first, mut second) = (inside.connect(), inside.connect());
    let (thread, turn) = busy(&mut first);
    second.ask("thread/resume", json!({ "threadId": thread })).expect("it is loaded");
    second.heard_so_far();
    let asking = inside.asks(&thread, &turn, tool_call(&thread, &turn));
    let call = first.hear(CALL, &thread);
    fits_the_schema(&call);
    first.answer(&call, json!({ "success": true, "contentItems": [] }));
    let answer = DynamicToolCallResponse { content_items: Vec::new(), success: true };
    assert_eq!(asking.answered(), Answered::Given(answer));
    assert!(first.heard_so_far().is_empty());
    assert_eq!(second.heard_so_far(), [CALL, "serverRequest/resolved"]);
}

#[test]
fn open_requests_are_replayed_to_who_resumes() {
    let inside = Inside::start(&[]);
    let (mut owner, mut other) = (inside.connect(), inside.connect());
    let (thread, turn) = busy(&mut owner);
    let asking = inside.asks(&thread, &turn, approval(&thread, &turn));
    let second_asking = inside.asks(&thread, &turn, approval(&thread, &turn));
    let requests = [owner.hear(APPROVAL, &thread), owner.hear(APPROVAL, &thread)];
    let resumed = other.ask("thread/resume", json!({ "threadId": thread })).expect("it is loaded");
    assert_eq!(resumed["thread"]["status"]["activeFlags"], json!(["waitingOnApproval"]));
    let replayed = [other.hear(APPROVAL, &thread), other.hear(APPROVAL, &thread)];
    assert_eq!(replayed, requests, "the same ids in the same order");
    // The reference replays to a client that is there already as well.
    owner.ask("thread/resume", json!({ "threadId": thread })).expect("it is loaded");
    assert_eq!(owner.hear(APPROVAL, &thread), requests[0]);
    owner.vanish();
    other.answer(&requests[0], json!({ "decision": "accept" }));
    other.answer(&requests[1], json!({ "decision": "accept" }));
    assert_eq!((asking.answered(), second_asking.answered()), (accepted(), accepted()));
}

#[test]
fn an_interrupt_settles_after_the_end_of_the_turn_and_a_late_answer_is_ignored() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let (thread, turn) = busy(&mut peer);
    let asking = inside.asks(&thread, &turn, approval(&thread, &turn));
    let request = peer.hear(APPROVAL, &thread);
    // As the turn's own workers do it, which wait with the turn's cancellation.
    asking.cancel();
    assert_eq!(asking.answered(), Answered::Withdrawn);
    peer.answer(&request, json!({ "decision": "accept" }));
    assert!(peer.heard_so_far().is_empty(), "nobody waits for it any more");
    peer.ask("turn/interrupt", json!({ "threadId": thread, "turnId": turn })).expect("it runs");
    assert_eq!(waits_for(&mut peer, &thread), "idle");
    let ended = peer.hear_any(&thread);
    assert_eq!(
        (&ended["method"], &ended["params"]["turn"]["status"]),
        (&json!("turn/completed"), &json!("interrupted"))
    );
    assert_eq!(peer.hear_any(&thread)["method"], "serverRequest/resolved");
    peer.answer(&request, json!({ "decision": "accept" }));
    assert!(peer.heard_so_far().is_empty());
}

#[test]
fn a_turn_that_ends_frees_whoever_still_asks_and_nothing_can_be_asked_after_it() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let (thread, turn) = busy(&mut peer);
    let asking = inside.asks(&thread, &turn, approval(&thread, &turn));
    peer.hear(APPROVAL, &thread);
    peer.ask("turn/interrupt", json!({ "threadId": thread, "turnId": turn })).expect("it runs");
    assert_eq!(asking.answered(), Answered::Withdrawn);
    peer.hear("serverRequest/resolved", &thread);
    let late = inside.asks(&thread, &turn, approval(&thread, &turn));
    assert_eq!(late.answered(), Answered::Withdrawn);
    assert!(peer.heard_so_far().is_empty());
}

/// Begins a turn with an open request whose only subscriber has left.
fn left_alone(inside: &Inside, peer: &mut Peer) -> (String, String, Asking<CommandApprovalParams>) {
    let (thread, turn) = busy(peer);
    let asking = inside.asks(&thread, &turn, approval(&thread, &turn));
    peer.hear(APPROVAL, &thread);
    unsubscribe(peer, &thread);
    (thread, turn, asking)
}

#[test]
fn a_request_without_subscribers_counts_as_declined_after_the_deadline() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let (thread, turn, asking) = left_alone(&inside, &mut peer);
    inside.advance(DEADLINE - TICK);
    // One that is asked later has its own deadline.
    let later = inside.asks(&thread, &turn, questions(&thread, &turn));
    assert_eq!(waits_for(&mut peer, &thread), json!(["waitingOnApproval", "waitingOnUserInput"]));
    inside.advance(2 * TICK);
    assert_eq!(asking.answered(), Answered::Undecided);
    assert_eq!(waits_for(&mut peer, &thread), json!(["waitingOnUserInput"]));
    inside.advance(DEADLINE);
    assert_eq!(later.answered(), Answered::Undecided);
    assert_eq!(waits_for(&mut peer, &thread), json!([]));
}

#[test]
fn a_subscriber_stops_the_deadline_and_leaving_starts_it_anew() {
    let inside = Inside::start(&["app_server.approval_deadline_secs=60"]);
    let mut peer = inside.connect();
    let (thread, _, asking) = left_alone(&inside, &mut peer);
    inside.advance(Duration::from_secs(59));
    peer.ask("thread/resume", json!({ "threadId": thread })).expect("it is loaded");
    let request = peer.hear(APPROVAL, &thread);
    inside.advance(Duration::from_secs(3000));
    let heard = peer.heard_so_far();
    assert!(!heard.contains(&"serverRequest/resolved".to_owned()), "with a subscriber it waits: {heard:?}");
    unsubscribe(&mut peer, &thread);
    inside.advance(Duration::from_secs(59));
    peer.ask("thread/resume", json!({ "threadId": thread })).expect("it is loaded");
    peer.answer(&request, json!({ "decision": "accept" }));
    assert_eq!(asking.answered(), accepted());
}

#[test]
fn a_drain_does_not_wait_for_a_decision_that_nobody_can_make() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let (thread, turn, asking) = left_alone(&inside, &mut peer);
    peer.ask("thread/resume", json!({ "threadId": thread })).expect("it is loaded");
    let request = peer.hear(APPROVAL, &thread);
    inside.drain();
    assert!(peer.heard_so_far().is_empty(), "a subscriber may still decide");
    peer.answer(&request, json!({ "decision": "accept" }));
    assert_eq!(asking.answered(), accepted());
    let asking = inside.asks(&thread, &turn, approval(&thread, &turn));
    peer.hear(APPROVAL, &thread);
    unsubscribe(&mut peer, &thread);
    assert_eq!(asking.answered(), Answered::Undecided);
    let asking = inside.asks(&thread, &turn, approval(&thread, &turn));
    assert_eq!(asking.answered(), Answered::Undecided);
}

#[test]
fn a_thread_has_so_many_open_requests_and_the_next_one_fails() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let (thread, turn) = busy(&mut peer);
    let open: Vec<_> =
        (0..limits::ASKS_OPEN_MAX).map(|_| inside.asks(&thread, &turn, approval(&thread, &turn))).collect();
    let requests: Vec<Value> = open.iter().map(|_| peer.hear(APPROVAL, &thread)).collect();
    let more = inside.asks(&thread, &turn, approval(&thread, &turn));
    assert!(matches!(more.answered(), Answered::Failed(reason) if reason.contains("too many")));
    peer.answer(&requests[0], json!({ "decision": "accept" }));
    peer.hear("serverRequest/resolved", &thread);
    let more = inside.asks(&thread, &turn, approval(&thread, &turn));
    let request = peer.hear(APPROVAL, &thread);
    peer.answer(&request, json!({ "decision": "accept" }));
    assert_eq!(more.answered(), accepted());
}

#[test]
fn a_stable_client_does_not_get_the_experimental_part() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let mut stable = inside.connect_with(json!({}));
    let (thread, turn) = busy(&mut peer);
    stable.ask("thread/resume", json!({ "threadId": thread })).expect("it is loaded");
    let _asking = inside.asks(&thread, &turn, approval(&thread, &turn));
    assert!(peer.hear(APPROVAL, &thread)["params"]["availableDecisions"].is_array());
    let request = stable.hear(APPROVAL, &thread);
    assert!(request["params"].get("availableDecisions").is_none());
    assert_eq!(request["params"]["proposedExecpolicyAmendment"], json!(["ls"]));
}

#[test]
fn after_the_end_of_input_nobody_can_answer() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let (thread, turn) = busy(&mut peer);
    let asking = inside.asks(&thread, &turn, approval(&thread, &turn));
    peer.hear(APPROVAL, &thread);
    peer.end_input();
    assert_eq!(asking.answered(), Answered::Undecided);
    peer.hear("serverRequest/resolved", &thread);
    let later = inside.asks(&thread, &turn, approval(&thread, &turn));
    assert_eq!(later.answered(), Answered::Undecided);
}

#[test]
fn tools_that_the_model_could_not_tell_apart_are_refused() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let tool = |name: &str| json!({ "name": name, "description": "", "inputSchema": {} });
    let mut refused = |tools: Value| {
        let error = peer.ask("thread/start", json!({ "dynamicTools": tools })).expect_err("refused");
        error["message"].as_str().expect("a text").to_owned()
    };
    assert!(refused(json!([tool("a"), tool("a")])).contains("two tools `a`"));
    assert!(refused(json!([tool("a b")])).contains("`a b` is no name"));
    let many: Vec<Value> = (0..=limits::DYNAMIC_TOOLS_MAX).map(|n| tool(&format!("t{n}"))).collect();
    assert!(refused(json!(many)).contains("too many"));
    peer.start_thread(json!({ "dynamicTools": [tool("a"), tool("b")] }));
}
