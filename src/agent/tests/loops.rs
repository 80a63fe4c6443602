//! From the model to the tools and back, and what the model is told the next time.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::model::{Content, ModelFailure, Retry};
use crate::proto::CodexErrorInfo;

const PLAN: &str = r#"{"explanation":"why","plan":[{"step":"one","status":"in_progress"}]}"#;

fn output(call_id: &str, text: &str) -> InputItem {
    InputItem::ToolOutput {
        call_id: call_id.to_owned(),
        freeform: false,
        content: vec![Content::Text { text: text.to_owned() }],
        success: true,
    }
}

#[test]
fn the_model_is_told_what_its_tools_say_and_asked_again() {
    let bench = real();
    let model = Scripted::new(vec![vec![calls("c1", "update_plan", PLAN), completed()], says("m", "done")]);
    let mut turn = bench.start(model.clone(), "go");
    assert_eq!(ended(&turn.end()), TurnStatus::Completed);
    assert_eq!(
        turn.methods(),
        [
            "turn/started",
            "item/started",
            "item/completed",
            "turn/plan/updated",
            "thread/tokenUsage/updated",
            "item/started",
            "item/agentMessage/delta",
            "item/completed",
            "thread/tokenUsage/updated",
            "turn/completed",
        ]
    );
    let (_, plan) = turn.told.iter().find(|(method, _)| method == "turn/plan/updated").expect("a plan");
    assert_eq!(plan["params"]["plan"], serde_json::json!([{ "step": "one", "status": "inProgress" }]));
    let asked = model.last_asked();
    assert_eq!(asked[0], InputItem::text(Role::User, "go"));
    assert!(matches!(&asked[1], InputItem::ToolCall(call) if call.call_id == "c1"), "{asked:?}");
    assert_eq!(asked[2..], [output("c1", "Plan updated")]);
    // And all of it is there for the next turn.
    let mut kept = asked.clone();
    kept.push(InputItem::text(Role::Assistant, "done"));
    assert_eq!(bench.kept(), kept);
    let mut next = bench.start(model.clone(), "again");
    next.end();
    kept.push(InputItem::text(Role::User, "again"));
    assert_eq!(model.last_asked(), kept);
}

#[test]
fn thoughts_are_told_piece_by_piece_and_given_back_whole() {
    for raw in [true, false] {
        let mut bench = real();
        bench.shows_raw_thoughts = raw;
        let id = || "rs_1".to_owned();
        let thinks = vec![
            Step::Say(ModelEvent::ReasoningStarted { id: id() }),
            Step::Say(ModelEvent::SummaryPartAdded { id: id(), index: 0 }),
            Step::Say(ModelEvent::SummaryDelta { id: id(), index: 0, delta: "hm".to_owned() }),
            Step::Say(ModelEvent::ReasoningDelta { id: id(), index: 0, delta: "raw".to_owned() }),
            Step::Say(ModelEvent::ReasoningDone {
                id: id(),
                summary: vec!["hm".to_owned()],
                content: vec!["raw".to_owned()],
                encrypted: Some("secret".to_owned()),
            }),
        ];
        let model = Scripted::new(vec![thinks.into_iter().chain(says("m", "done")).collect()]);
        let mut turn = bench.start(model, "go");
        assert_eq!(ended(&turn.end()), TurnStatus::Completed);
        let mut told = vec![
            "item/completed",
            "item/started",
            "item/reasoning/summaryPartAdded",
            "item/reasoning/summaryTextDelta",
        ];
        told.extend(raw.then_some("item/reasoning/textDelta"));
        told.push("item/completed");
        assert_eq!(turn.methods()[2..2 + told.len()], told);
        let thought = turn.told.iter().find_map(|(method, told)| {
            let item = &told["params"]["item"];
            (method == "item/completed" && item["type"] == "reasoning").then_some(item)
        });
        let content = if raw { serde_json::json!(["raw"]) } else { serde_json::json!([]) };
        assert_eq!(thought.expect("it ends")["content"], content);
        // The model is told all of it in any case.
        let InputItem::Reasoning { id, summary, content, encrypted } = &bench.kept()[1] else { panic!() };
        assert_eq!((id.as_str(), summary[0].as_str(), encrypted.as_deref()), ("rs_1", "hm", Some("secret")));
        assert_eq!(content[0], "raw");
    }
}

#[test]
fn a_broken_answer_is_asked_for_again_and_said_so() {
    let bench = real();
    let broken = || {
        Step::Fail(ModelError::Failed(Box::new(ModelFailure {
            message: "stream disconnected before completion".to_owned(),
            info: CodexErrorInfo::ResponseStreamDisconnected { http_status_code: Some(500) },
            details: None,
            retry: Some(Retry::default()),
        })))
    };
    let half = Step::Say(ModelEvent::TextDelta { id: "m".to_owned(), delta: "ha".to_owned() });
    let model = Scripted::new(vec![
        vec![calls("c1", "update_plan", PLAN), half, broken()],
        vec![broken()],
        says("m", "done"),
    ]);
    let mut turn = bench.start(model.clone(), "go");
    assert_eq!(ended(&turn.end()), TurnStatus::Completed);
    let errors: Vec<&serde_json::Value> =
        turn.told.iter().filter(|(method, _)| method == "error").map(|(_, told)| &told["params"]).collect();
    assert_eq!(errors.len(), 2);
    assert_eq!(errors[0]["willRetry"], true);
    assert_eq!(errors[0]["error"]["message"], "Reconnecting... 1/2");
    assert_eq!(
        errors[0]["error"]["codexErrorInfo"],
        serde_json::json!({ "responseStreamDisconnected": { "httpStatusCode": 500 } })
    );
    assert_eq!(errors[1]["error"]["message"], "Reconnecting... 2/2");
    assert!(!turn.methods().contains(&"turn/plan/updated"), "a tool of a broken answer does not run");
    assert_eq!(lock(&model.asked).len(), 3);

    // Three times is too often.
    let model = Scripted::new(vec![vec![broken()], vec![broken()], vec![broken()]]);
    let turn = bench.start(model, "go").end();
    assert_eq!(turn.status, TurnStatus::Failed);
    assert_eq!(turn.error.expect("a reason").message, "stream disconnected before completion");
}

/// Calls the same tool again and again.
#[derive(Default)]
struct Circles(AtomicUsize);

impl ModelClient for Circles {
    fn stream(&self, _: &ModelRequest, _: &Cancel) -> Result<Box<dyn ModelStream>, ModelError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Script(vec![calls("c", "no_such_tool", "{}"), completed()].into())))
    }

    fn context_window(&self, _: &str) -> Option<i64> {
        None
    }
}

#[test]
fn a_turn_that_goes_round_in_circles_ends() {
    let bench = real();
    let model = Arc::new(Circles::default());
    let turn = bench.start(model.clone(), "go").end();
    assert_eq!(turn.status, TurnStatus::Failed);
    assert!(turn.error.expect("a reason").message.contains("without coming to an end"));
    assert_eq!(model.0.load(Ordering::Relaxed), crate::limits::TURN_MODEL_REQUESTS_MAX);
}
