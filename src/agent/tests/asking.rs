//! Tools that ask the clients: what they carry out themselves, and questions to the user.

use serde_json::json;
use serde_json::value::to_raw_value;

use super::*;
use crate::limits;
use crate::model::words;
use crate::proto::DynamicToolSpec;

/// Reads on until the turn asks something.
fn asked(turn: &mut Running) -> Ask {
    loop {
        match turn.next().change {
            Change::Asked(ask) => return *ask,
            Change::Ended { turn, .. } => panic!("{turn:?}"),
            _ => {}
        }
    }
}

fn result(value: &serde_json::Value) -> Outcome {
    Outcome::Result(to_raw_value(value).expect("JSON"))
}

/// What the model was told of the last call.
fn told(model: &Scripted) -> String {
    let last = model.last_asked().into_iter().rev().find_map(|item| match item {
        InputItem::ToolOutput { content, .. } => Some(words(&content)),
        _ => None,
    });
    last.expect("an output")
}

fn with_client_tools() -> Bench {
    let mut bench = real();
    let specs: Vec<DynamicToolSpec> = serde_json::from_value(json!([
        { "name": "lookup", "description": "Look a thing up", "inputSchema": { "type": "object" } },
        { "type": "namespace", "name": "home", "description": "", "tools": [
            { "type": "function", "name": "light", "description": "", "inputSchema": {} }] },
    ]))
    .expect("specs");
    bench.tools = client_tools(&specs);
    let names: Vec<String> = bench.tools.iter().map(|tool| tool.spec().name().to_owned()).collect();
    assert_eq!(names, ["lookup", "home__light"]);
    bench
}

fn calling(tool: &str, arguments: &str) -> Arc<Scripted> {
    Scripted::new(vec![vec![calls("c1", tool, arguments), completed()], says("m", "done")])
}

#[test]
fn a_tool_of_the_client_is_an_item_around_a_request() {
    let bench = with_client_tools();
    for (outcome, status, said) in [
        (
            result(&json!({ "success": true, "contentItems": [{ "type": "inputText", "text": "42" }] })),
            "completed",
            "42",
        ),
        (
            result(&json!({ "success": false, "contentItems": [{ "type": "inputText", "text": "nope" }] })),
            "failed",
            "nope",
        ),
        (Outcome::Error(to_raw_value("broke").expect("JSON")), "failed", "dynamic tool request failed"),
        (result(&json!({ "success": "yes" })), "failed", "dynamic tool request failed"),
        (Outcome::Undecided, "failed", "dynamic tool request failed"),
    ] {
        let model = calling("lookup", r#"{"key":"k"}"#);
        let mut turn = bench.start(model.clone(), "go");
        let ask = asked(&mut turn);
        let started = &turn.told.last().expect("the item").1["params"]["item"];
        assert_eq!((&started["type"], &started["status"]), (&json!("dynamicToolCall"), &json!("inProgress")));
        let params: serde_json::Value = serde_json::from_str(ask.params.get()).expect("JSON");
        assert_eq!(
            (ask.method, &params["tool"], &params["arguments"]),
            ("item/tool/call", &json!("lookup"), &json!({ "key": "k" }))
        );
        assert_eq!((&params["callId"], &params["namespace"]), (&json!("c1"), &json!(null)));
        assert!(ask.outcome.send(outcome));
        let item = turn.until("item/completed")["item"].take();
        assert_eq!((&item["type"], &item["status"]), (&json!("dynamicToolCall"), &json!(status)));
        assert_eq!(item["contentItems"][0]["text"], said);
        assert_eq!(ended(&turn.end()), TurnStatus::Completed);
        assert_eq!(told(&model), said);
    }
}

#[test]
fn a_namespace_is_told_apart_for_the_client() {
    let bench = with_client_tools();
    let mut turn = bench.start(calling("home__light", "{}"), "go");
    let ask = asked(&mut turn);
    let params: serde_json::Value = serde_json::from_str(ask.params.get()).expect("JSON");
    assert_eq!((&params["namespace"], &params["tool"]), (&json!("home"), &json!("light")));
    ask.outcome.send(result(&json!({ "success": true, "contentItems": [] })));
    assert_eq!(ended(&turn.end()), TurnStatus::Completed);
}

#[test]
fn an_interrupt_ends_a_turn_that_asks() {
    let bench = with_client_tools();
    let mut turn = bench.start(calling("lookup", "{}"), "go");
    let ask = asked(&mut turn);
    turn.handle.interrupter.interrupt();
    assert_eq!(ended(&turn.end()), TurnStatus::Interrupted);
    assert!(!ask.outcome.send(Outcome::Undecided), "nobody waits any more");
}

#[test]
fn the_model_asks_the_user_and_reads_the_answer() {
    let bench = real();
    let arguments = json!({ "questions": [{ "id": "q1", "header": "Pick", "question": "Which one?",
        "options": [{ "label": "A", "description": "first" }] }] });
    let model = calling("request_user_input", &arguments.to_string());
    let mut turn = bench.start(model.clone(), "go");
    let ask = asked(&mut turn);
    let params: serde_json::Value = serde_json::from_str(ask.params.get()).expect("JSON");
    assert_eq!((ask.method, &params["itemId"]), ("item/tool/requestUserInput", &json!("c1")));
    let question = json!({ "id": "q1", "header": "Pick", "question": "Which one?", "isOther": true,
        "isSecret": false, "options": [{ "label": "A", "description": "first" }] });
    assert_eq!(params["questions"], json!([question]));
    ask.outcome.send(result(&json!({ "answers": { "q1": { "answers": ["A"] } } })));
    assert_eq!(ended(&turn.end()), TurnStatus::Completed);
    assert_eq!(told(&model), r#"{"answers":{"q1":{"answers":["A"]}}}"#);
}

#[test]
fn too_many_questions_are_not_asked() {
    let bench = real();
    let question = json!({ "id": "q", "header": "h", "question": "?", "options": [] });
    let arguments = json!({ "questions": vec![question; limits::USER_QUESTIONS_MAX + 1] });
    let model = calling("request_user_input", &arguments.to_string());
    assert_eq!(ended(&bench.start(model.clone(), "go").end()), TurnStatus::Completed);
    assert_eq!(told(&model), "request_user_input takes one to 3 questions");
}
