//! What a decoder makes of streams as servers send them.

use serde_json::{Value, json};

use super::super::super::http::stream::Decoder as _;
use super::*;
use crate::model::Usage;
use crate::proto::CodexErrorInfo;

fn decode(events: &[Value]) -> (Vec<ModelEvent>, Result<bool, ModelFailure>) {
    let mut decoder = Decoder::default();
    let mut out = VecDeque::new();
    for event in events {
        if let Err(failure) = decoder.take(event.to_string().as_bytes(), &mut out) {
            return (out.into(), Err(failure));
        }
    }
    let ended = decoder.end(&mut out);
    (out.into(), Ok(ended))
}

fn event(kind: &str, mut rest: Value) -> Value {
    rest["type"] = json!(format!("response.{kind}"));
    rest
}

fn completed() -> Value {
    let usage = json!({ "input_tokens": 7, "input_tokens_details": { "cached_tokens": 3 },
        "output_tokens": 5, "output_tokens_details": { "reasoning_tokens": 2 }, "total_tokens": 12 });
    event("completed", json!({ "response": { "usage": usage } }))
}

const USAGE: Usage = Usage { input: 7, cached_input: 3, output: 5, reasoning_output: 2 };

fn id(id: &str) -> String {
    id.to_owned()
}

#[test]
fn a_message_is_told_as_it_grows_and_when_it_is_done() {
    let item = |text: &str| {
        json!({ "item": { "type": "message", "id": "m", "phase": "final_answer",
            "content": [{ "type": "output_text", "text": text }] } })
    };
    let delta = |text: &str| event("output_text.delta", json!({ "item_id": "m", "delta": text }));
    let phase = Some(MessagePhase::FinalAnswer);
    let stream = [
        event("created", json!({})),
        event("output_item.added", item("")),
        delta("a "),
        event("something.new", json!({ "delta": { "not": "text" } })),
        delta("b"),
        event("output_item.done", item("a b")),
        completed(),
    ];
    let told = [
        ModelEvent::MessageStarted { id: id("m"), phase },
        ModelEvent::TextDelta { id: id("m"), delta: "a ".to_owned() },
        ModelEvent::TextDelta { id: id("m"), delta: "b".to_owned() },
        ModelEvent::MessageDone { id: id("m"), text: "a b".to_owned(), phase },
        ModelEvent::Completed { usage: USAGE },
    ];
    assert_eq!(decode(&stream), (told.to_vec(), Ok(true)));
    // Only its end is told.
    let told = [told[0].clone(), told[3].clone(), told[4].clone()];
    assert_eq!(decode(&stream[5..]), (told.to_vec(), Ok(true)));
    // Its end is not told, and the deltas name nobody.
    let stream = [event("output_text.delta", json!({ "delta": "x" })), completed()];
    let told = [
        ModelEvent::MessageStarted { id: id("item_1"), phase: None },
        ModelEvent::TextDelta { id: id("item_1"), delta: "x".to_owned() },
        ModelEvent::MessageDone { id: id("item_1"), text: "x".to_owned(), phase: None },
        ModelEvent::Completed { usage: USAGE },
    ];
    assert_eq!(decode(&stream), (told.to_vec(), Ok(true)));
}

#[test]
fn thoughts_have_parts_and_may_be_hidden() {
    let summary = |index: i64, text: &str| {
        let fields = json!({ "item_id": "r", "summary_index": index, "delta": text });
        event("reasoning_summary_text.delta", fields)
    };
    let done = json!({ "item": { "type": "reasoning", "id": "r", "encrypted_content": "e",
        "summary": [{ "type": "summary_text", "text": "one" }, { "type": "summary_text", "text": "two" }],
        "content": [{ "type": "reasoning_text", "text": "raw" }] } });
    let stream = [
        event("output_item.added", json!({ "item": { "type": "reasoning", "id": "r", "summary": [] } })),
        event("reasoning_summary_part.added", json!({ "item_id": "r", "summary_index": 0 })),
        summary(0, "one"),
        summary(1, "two"),
        event("reasoning_text.delta", json!({ "item_id": "r", "content_index": 0, "delta": "raw" })),
        event("output_item.done", done),
    ];
    let part = |index: i64| ModelEvent::SummaryPartAdded { id: id("r"), index };
    let delta = |index: i64, text: &str| {
        let delta = text.to_owned();
        ModelEvent::SummaryDelta { id: id("r"), index, delta }
    };
    let told = vec![
        ModelEvent::ReasoningStarted { id: id("r") },
        part(0),
        delta(0, "one"),
        part(1),
        delta(1, "two"),
        ModelEvent::ReasoningDelta { id: id("r"), index: 0, delta: "raw".to_owned() },
        ModelEvent::ReasoningDone {
            id: id("r"),
            summary: vec!["one".to_owned(), "two".to_owned()],
            content: vec!["raw".to_owned()],
            encrypted: Some("e".to_owned()),
        },
    ];
    assert_eq!(decode(&stream), (told, Ok(false)));
    let hidden =
        json!({ "item": { "type": "reasoning", "id": "r", "summary": [], "encrypted_content": "e" } });
    let (told, _) = decode(&[event("output_item.done", hidden)]);
    let [ModelEvent::ReasoningStarted { .. }, ModelEvent::ReasoningDone { summary, .. }] = &told[..] else {
        panic!("{told:?}")
    };
    assert!(summary.is_empty());
}

#[test]
fn calls_are_told_when_they_are_whole() {
    let done = |item: Value| event("output_item.done", json!({ "item": item }));
    let stream = [
        event("output_item.added", json!({ "item": { "type": "function_call", "name": "t" } })),
        event("function_call_arguments.delta", json!({ "delta": "{}" })),
        done(json!({ "type": "function_call", "id": "fc", "call_id": "c1", "name": "t", "arguments": "{}" })),
        done(json!({ "type": "custom_tool_call", "call_id": "c2", "name": "p", "input": "text" })),
        done(json!({ "type": "image_generation_call", "id": "i" })),
        done(json!({ "type": "function_call", "call_id": 7 })),
        done(json!("no item")),
    ];
    let call = |call_id: &str, name: &str, input| {
        ModelEvent::ToolCall(ToolCall { call_id: call_id.to_owned(), name: name.to_owned(), input })
    };
    let told = vec![
        call("c1", "t", ToolInput::Arguments("{}".to_owned())),
        call("c2", "p", ToolInput::Freeform("text".to_owned())),
    ];
    assert_eq!(decode(&stream), (told, Ok(false)));
}

#[test]
fn a_failure_in_the_stream_is_told_apart() {
    let failed = |code: &str, message: &str| {
        let error = json!({ "code": code, "message": message });
        decode(&[event("failed", json!({ "response": { "error": error } }))]).1.expect_err("it fails")
    };
    let lasting = |code: &str| {
        let failure = failed(code, "m");
        assert_eq!(failure.retry, None, "{code}");
        failure.info
    };
    assert_eq!(lasting("context_length_exceeded"), CodexErrorInfo::ContextWindowExceeded);
    assert_eq!(lasting("insufficient_quota"), CodexErrorInfo::UsageLimitExceeded);
    assert_eq!(lasting("server_is_overloaded"), CodexErrorInfo::ServerOverloaded);
    assert_eq!(lasting("invalid_prompt"), CodexErrorInfo::Other);
    let limited = failed("rate_limit_exceeded", "Please try again in 1s.");
    assert_eq!(limited.message, "rate limit exceeded: Please try again in 1s.");
    assert_eq!(limited.retry.and_then(|retry| retry.after).map(|after| after.as_secs()), Some(1));
    let broken = failed("server_error", "it failed");
    assert_eq!(broken.message, "stream disconnected before completion: it failed");
    assert!(broken.retry.is_some());

    let incomplete = |reason: &str| {
        let details = json!({ "response": { "incomplete_details": { "reason": reason } } });
        decode(&[event("incomplete", details)]).1.expect_err("it fails")
    };
    let full = incomplete("max_output_tokens");
    assert_eq!(full.message, "Incomplete response returned, reason: max_output_tokens");
    assert_eq!(full.retry, None);
    assert!(incomplete("content_filter").retry.is_some());
    let error = json!({ "type": "error", "code": "server_is_overloaded", "message": "m" });
    assert_eq!(decode(&[error]).1.expect_err("it fails").info, CodexErrorInfo::ServerOverloaded);
}
