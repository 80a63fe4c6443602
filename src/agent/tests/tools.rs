//! Tools side by side, alone, and broken.

use std::sync::Barrier;
use std::time::Duration;

use super::*;
use crate::limits;
use crate::model::{Content, ToolSpec, words};

/// Meets the other calls of its kind before it goes on.
struct Meets {
    parallel: bool,
    barrier: Barrier,
}

struct Panics;
struct Waits(Sender<()>);

fn spec(name: &str) -> ToolSpec {
    let (name, description) = (name.to_owned(), String::new());
    ToolSpec::Function { name, description, parameters: serde_json::json!({}), strict: false }
}

impl Tool for Meets {
    fn spec(&self) -> ToolSpec {
        spec("meet")
    }

    fn is_parallel(&self) -> bool {
        self.parallel
    }

    fn run(&self, call: &ToolCall, _: &ToolContext) -> Result<ToolOutput, Stop> {
        self.barrier.wait();
        Ok(ToolOutput::done(format!("met {}", call.call_id)))
    }
}

impl Tool for Panics {
    fn spec(&self) -> ToolSpec {
        spec("panic")
    }

    fn run(&self, _: &ToolCall, _: &ToolContext) -> Result<ToolOutput, Stop> {
        panic!("on purpose")
    }
}

impl Tool for Waits {
    fn spec(&self) -> ToolSpec {
        spec("wait")
    }

    fn is_parallel(&self) -> bool {
        true
    }

    fn run(&self, _: &ToolCall, context: &ToolContext) -> Result<ToolOutput, Stop> {
        self.0.send(()).expect("the test listens");
        assert!(!context.cancel.wait(Duration::from_secs(1 << 30)), "nobody waits that long");
        Err(Stop::Interrupted)
    }
}

fn outputs(asked: &[InputItem]) -> Vec<(String, String)> {
    let output = |item: &InputItem| match item {
        InputItem::ToolOutput { call_id, content, .. } => Some((call_id.clone(), words(content))),
        _ => None,
    };
    asked.iter().filter_map(output).collect()
}

#[test]
fn calls_that_may_run_side_by_side() {
    let mut bench = real();
    // Each group of eight would wait for ever if its calls ran one after the other.
    let all = limits::TURN_TOOLS_AT_ONCE * 2;
    let barrier = Barrier::new(limits::TURN_TOOLS_AT_ONCE);
    bench.tools = vec![Arc::new(Meets { parallel: true, barrier })];
    let ids: Vec<String> = (0..all).map(|number| format!("c{number}")).collect();
    let mut answer: Vec<Step> = ids.iter().map(|id| calls(id, "meet", "{}")).collect();
    answer.push(completed());
    let model = Scripted::new(vec![answer, says("m", "done")]);
    assert_eq!(bench.start(model.clone(), "go").end().status, TurnStatus::Completed);
    let expected: Vec<(String, String)> = ids.iter().map(|id| (id.clone(), format!("met {id}"))).collect();
    assert_eq!(outputs(&model.last_asked()), expected, "in the order of the calls");
}

#[test]
fn a_tool_that_panics_has_failed_and_the_turn_goes_on() {
    let mut bench = real();
    bench.tools = vec![Arc::new(Panics)];
    let answer = vec![calls("c1", "panic", "{}"), calls("c2", "nothing", "{}"), completed()];
    let model = Scripted::new(vec![answer, says("m", "done")]);
    assert_eq!(bench.start(model.clone(), "go").end().status, TurnStatus::Completed);
    let said = outputs(&model.last_asked());
    assert_eq!(said[0].1, "panic stopped by an internal error of the server");
    assert_eq!(said[1].1, "unsupported call: nothing");
}

#[test]
fn an_interrupt_reaches_tools_and_their_calls_are_answered_for_the_next_turn() {
    let mut bench = simulated();
    let (waits, waiting) = bounded(2);
    bench.tools = vec![Arc::new(Waits(waits))];
    let answer = vec![calls("c1", "wait", "{}"), calls("c2", "wait", "{}"), completed()];
    let model = Scripted::new(vec![answer, says("m", "done")]);
    let mut turn = bench.start(model.clone(), "go");
    for _ in 0..2 {
        waiting.recv().expect("it waits");
    }
    turn.handle.interrupter.interrupt();
    assert_eq!(ended(&turn.end()), TurnStatus::Interrupted);
    assert!(turn.methods().contains(&"thread/tokenUsage/updated"), "what was used is told");
    assert_eq!(bench.start(model.clone(), "again").end().status, TurnStatus::Completed);
    let aborted = |id: &str| (id.to_owned(), "aborted".to_owned());
    assert_eq!(outputs(&model.last_asked()), [aborted("c1"), aborted("c2")]);
}

#[test]
fn arguments_that_do_not_fit_are_explained_to_the_model() {
    let bench = real();
    let answer = vec![
        calls("c1", "update_plan", "{x"),
        calls("c2", "update_plan", r#"{"plan":[{"step":"a","status":"bogus"}]}"#),
        Step::Say(ModelEvent::ToolCall(ToolCall {
            call_id: "c3".to_owned(),
            name: "update_plan".to_owned(),
            input: ToolInput::Freeform("plan".to_owned()),
        })),
        completed(),
    ];
    let model = Scripted::new(vec![answer, says("m", "done")]);
    assert_eq!(bench.start(model.clone(), "go").end().status, TurnStatus::Completed);
    let said = outputs(&model.last_asked());
    assert_eq!(said[0].1, "failed to parse function arguments: key must be a string at line 1 column 2");
    assert!(said[1].1.contains("unknown variant `bogus`, expected one of"), "{}", said[1].1);
    assert_eq!(said[2].1, "update_plan takes JSON arguments, not free text");
    let freeform = |item: &InputItem| matches!(item, InputItem::ToolOutput { freeform: true, .. });
    assert_eq!(model.last_asked().iter().filter(|item| freeform(item)).count(), 1);
    let failed = InputItem::ToolOutput {
        call_id: "c3".to_owned(),
        freeform: true,
        content: vec![Content::Text { text: said[2].1.clone() }],
        success: false,
    };
    assert_eq!(model.last_asked().last(), Some(&failed));
}
