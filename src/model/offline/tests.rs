//! What the offline model makes of prompts, with and without tools.

use super::*;
use crate::clock::Clock;
use crate::model::{Content, cancellation};
use crate::proto::CodexErrorInfo;
use serde_json::{Value, json};

fn request(prompt: &str) -> ModelRequest {
    ModelRequest {
        model: OFFLINE_MODEL.to_owned(),
        input: vec![InputItem::text(Role::User, prompt)],
        ..ModelRequest::default()
    }
}

fn function(name: &str) -> ToolSpec {
    let (name, description) = (name.to_owned(), String::new());
    ToolSpec::Function { name, description, parameters: json!({}), strict: false }
}

fn answer(request: &ModelRequest) -> Result<Vec<ModelEvent>, ModelError> {
    let (_canceller, cancel) = cancellation(Clock::real());
    let mut stream = OfflineModel.stream(request, &cancel)?;
    let mut events = Vec::new();
    while let Some(event) = stream.next(&cancel)? {
        events.push(event);
    }
    Ok(events)
}

fn ask(prompt: &str) -> Vec<ModelEvent> {
    answer(&request(prompt)).expect("it answers")
}

fn said(events: &[ModelEvent]) -> &str {
    let [.., ModelEvent::MessageDone { text, .. }, ModelEvent::Completed { .. }] = events else {
        panic!("{events:?}")
    };
    text
}

fn calls(events: &[ModelEvent]) -> Vec<ToolCall> {
    let call = |event: &ModelEvent| match event {
        ModelEvent::ToolCall(call) => Some(call.clone()),
        _ => None,
    };
    events.iter().filter_map(call).collect()
}

/// Puts the calls of an answer, and outputs, into the conversation.
fn run_tools(request: &mut ModelRequest, events: &[ModelEvent]) {
    let calls = calls(events);
    request.input.extend(calls.iter().cloned().map(InputItem::ToolCall));
    for (at, call) in calls.into_iter().enumerate() {
        let text = format!("Wall time: 0\nOutput:\noutput {at} of {}", call.name);
        let content = vec![Content::Text { text }];
        let output = InputItem::ToolOutput { call_id: call.call_id, freeform: false, content, success: true };
        request.input.push(output);
    }
}

#[test]
fn it_says_the_same_each_time_word_by_word() {
    let events = ask("hello  there");
    assert_eq!(events, ask("hello  there"));
    let deltas: String = events
        .iter()
        .filter_map(|event| match event {
            ModelEvent::TextDelta { delta, .. } => Some(delta.as_str()),
            _ => None,
        })
        .collect();
    assert!(deltas.ends_with("You said: hello  there"), "{deltas}");
    assert_eq!(said(&events), deltas);
    let Some(ModelEvent::Completed { usage }) = events.last() else { panic!("{events:?}") };
    assert_eq!((usage.input, usage.output), (2, count_words(&deltas)));
    assert!(said(&ask("slow: 1ms")).ends_with("You said nothing."));
    assert!(said(&ask("slow: 1ms\nhi")).ends_with("You said: hi"));
}

#[test]
fn a_script_is_followed_request_by_request() {
    let mut request = request(
        "please\nthink: let me see\n$ ls\n$ pwd\nplan: a; b\n*** Begin Patch\n*** Add File: x\n+1\n*** End Patch\n\
         ask: Sure? | Aye\nimage: /p.png\nescalate: id\ncall: mine {\"a\":1}\nthink: done",
    );
    let lark = ToolSpec::Freeform {
        name: "apply_patch".to_owned(),
        description: String::new(),
        lark: String::new(),
    };
    let functions = ["exec_command", "update_plan", "request_user_input", "view_image", "mine"];
    request.tools = functions.iter().map(|name| function(name)).chain([lark]).collect();
    let mut made: Vec<Vec<ToolCall>> = Vec::new();
    let last = loop {
        let events = answer(&request).expect("it answers");
        assert_eq!(answer(&request).as_ref(), Ok(&events), "the same again");
        let new = calls(&events);
        if new.is_empty() {
            break events;
        }
        made.push(new);
        run_tools(&mut request, &events);
    };
    let shown: Vec<Vec<(&str, Value)>> = made
        .iter()
        .map(|calls| {
            let shown = calls.iter().map(|call| match &call.input {
                ToolInput::Arguments(json) => (call.name.as_str(), json.parse().expect("JSON")),
                ToolInput::Freeform(text) => (call.name.as_str(), Value::from(text.as_str())),
            });
            shown.collect()
        })
        .collect();
    let step = |step: &str, status: &str| json!({ "step": step, "status": status });
    let option = json!({ "label": "Aye", "description": "Answer Aye." });
    let question =
        json!({ "id": "question", "header": "Question", "question": "Sure?", "options": [option] });
    assert_eq!(
        shown,
        [
            vec![("exec_command", json!({ "cmd": "ls" })), ("exec_command", json!({ "cmd": "pwd" }))],
            vec![("update_plan", json!({ "plan": [step("a", "in_progress"), step("b", "pending")] }))],
            vec![("apply_patch", json!("*** Begin Patch\n*** Add File: x\n+1\n*** End Patch\n"))],
            vec![("request_user_input", json!({ "questions": [question] }))],
            vec![("view_image", json!({ "path": "/p.png" }))],
            vec![(
                "exec_command",
                json!({ "cmd": "id", "sandbox_permissions": "require_escalated",
                    "justification": "Run `id` without the sandbox?" })
            )],
            vec![("mine", json!({ "a": 1 }))],
        ]
    );
    let mut ids: Vec<String> = made.into_iter().flatten().map(|call| call.call_id).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "each call has an id of its own");
    let text = said(&last);
    assert!(text.contains("You said: please\nexec_command answered: output 0 of exec_command\n"), "{text}");
    assert!(text.ends_with("\nmine answered: output 0 of mine"), "{text}");
    let thoughts = |events: &[ModelEvent]| {
        let is_done = |event: &&ModelEvent| matches!(event, ModelEvent::ReasoningDone { .. });
        events.iter().filter(is_done).count()
    };
    assert_eq!(thoughts(&last), 1, "the first thought was thought before: {last:?}");
    // What comes next in the conversation begins anew.
    request.input.push(InputItem::text(Role::User, "$ ls"));
    let again = calls(&answer(&request).expect("it answers"));
    assert_eq!(again.len(), 1);
    assert!(!ids.contains(&again[0].call_id));
}

#[test]
fn a_tool_that_is_not_offered_is_not_called() {
    let mut request = request("$ ls\nplan: a\n$ pwd");
    let events = answer(&request).expect("it answers");
    let text = said(&events);
    assert_eq!(text.matches("The tool `exec_command` is not offered").count(), 2, "{text}");
    request.tools = vec![function("update_plan")];
    let events = answer(&request).expect("it answers");
    assert_eq!(calls(&events).len(), 1);
    run_tools(&mut request, &events);
    let events = answer(&request).expect("it answers");
    assert_eq!(said(&events).matches("is not offered").count(), 2);
    assert!(said(&events).ends_with("update_plan answered: output 0 of update_plan"));
}

#[test]
fn it_fails_when_it_is_told_to() {
    let Err(ModelError::Failed(failure)) = answer(&request("think: a\nfail: context\n$ ls")) else {
        panic!("it does not fail")
    };
    assert_eq!(failure.info, CodexErrorInfo::ContextWindowExceeded);
    let text = ask("fail: nonsense");
    assert!(said(&text).contains("There is no failure `nonsense`; there are rate_limit, "));
    // After a call.
    let mut request = request("$ ls\nfail: stream");
    request.tools = vec![function("exec_command")];
    let events = answer(&request).expect("it answers");
    run_tools(&mut request, &events);
    assert!(answer(&request).is_err());
}

#[test]
fn a_schema_gets_what_fits_it_and_nothing_else() {
    let mut request =
        request("Make a title.\n\nUser prompt:\nfail: context\n$ ls\nplan: a\n  about whales \n");
    request.tools = vec![function("exec_command"), function("update_plan")];
    let schema = json!({ "type": "object", "properties": { "title": { "type": "string", "maxLength": 8 } } });
    request.output_schema = Some(serde_json::value::to_raw_value(&schema).expect("JSON"));
    let events = answer(&request).expect("it answers");
    assert_eq!(said(&events), r#"{"title":"about wh"}"#);
    assert_eq!(calls(&events), []);
}

#[test]
fn a_cancelled_stream_stops() {
    let clock = Clock::simulated(/*wall_start_ms*/ 0);
    let (canceller, cancel) = cancellation(clock);
    let request = request("slow: 60s\nx");
    let mut stream = OfflineModel.stream(&request, &cancel).expect("it answers");
    std::thread::scope(|scope| {
        let next = scope.spawn(|| stream.next(&cancel));
        canceller.cancel();
        assert_eq!(next.join().expect("no panic"), Err(ModelError::Cancelled));
    });
}
