//! Turns that are no plain talk: compaction, a command of the user, a review; tools of the client, pictures,
//! questions.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::model::{ModelFailure, words};
use crate::proto::CodexErrorInfo;

fn texts(input: &[InputItem]) -> Vec<String> {
    let text = |item: &InputItem| item.words_of(Role::User).or_else(|| item.words_of(Role::Assistant));
    input.iter().filter_map(text).collect()
}

fn methods_and_kinds(turn: &Running) -> Vec<(&str, &str)> {
    let kind = |told: &'_ Value| -> Option<&'static str> {
        ["contextCompaction", "userMessage", "agentMessage", "enteredReviewMode", "exitedReviewMode"]
            .into_iter()
            .find(|kind| told["params"]["item"]["type"] == *kind)
    };
    turn.told.iter().filter_map(|(method, told)| Some((method.as_str(), kind(told)?))).collect()
}

#[test]
fn a_compaction_leaves_the_users_words_and_the_summary() {
    let bench = real();
    bench.start(Scripted::new(vec![says("m", "an answer")]), "the wish").end();
    let model = Scripted::new(vec![says("m", "the summary")]);
    let mut turn = bench.start_as(model.clone(), TurnKind::Compact, "");
    assert_eq!(ended(&turn.end()), TurnStatus::Completed);
    assert_eq!(
        methods_and_kinds(&turn),
        [("item/started", "contextCompaction"), ("item/completed", "contextCompaction")]
    );
    assert!(turn.methods().contains(&"thread/tokenUsage/updated"));
    let asked = texts(&model.last_asked());
    assert!(asked.len() == 3 && asked[2].contains("hand-over"), "{asked:?}");
    let model = Scripted::new(vec![says("m", "more")]);
    bench.start(model.clone(), "next").end();
    let said = texts(&model.last_asked());
    assert_eq!((said.len(), said[0].as_str(), said[2].as_str()), (3, "the wish", "next"));
    assert!(said[1].ends_with("\n\nthe summary"), "{said:?}");
}

#[test]
fn a_conversation_that_grows_too_long_is_made_shorter_by_itself() {
    let mut bench = real();
    // An answer uses twelve tokens.
    bench.compact_at_tokens = Some(12);
    bench.settings.base_instructions = Some(String::new());
    let plan = calls("c1", "update_plan", r#"{"plan":[]}"#);
    let model = Scripted::new(vec![vec![plan, completed()], says("m", "the summary"), says("m", "done")]);
    let mut turn = bench.start(model.clone(), "go");
    assert_eq!(ended(&turn.end()), TurnStatus::Completed);
    assert!(methods_and_kinds(&turn).contains(&("item/completed", "contextCompaction")));
    let said = texts(&model.last_asked());
    assert!(said.len() == 2 && said[1].ends_with("the summary"), "{said:?}");
}

#[test]
fn what_is_too_long_even_to_be_summed_up_is_summed_up_in_part() {
    let bench = real();
    for text in ["one", "two", "three"] {
        bench.start(Scripted::new(vec![says("m", "yes")]), text).end();
    }
    let too_long = || {
        let (message, info) = ("too long".to_owned(), CodexErrorInfo::ContextWindowExceeded);
        let failure = ModelFailure { message, info, details: None, retry: None };
        vec![Step::Fail(ModelError::Failed(Box::new(failure)))]
    };
    let model = Scripted::new(vec![too_long(), says("m", "the summary")]);
    let mut turn = bench.start_as(model.clone(), TurnKind::Compact, "");
    assert_eq!(ended(&turn.end()), TurnStatus::Completed);
    let asked = texts(&model.last_asked());
    assert!(asked.len() < 7 && !asked.contains(&"one".to_owned()), "{asked:?}");
}

#[test]
fn the_model_hears_of_commands_of_the_user() {
    let bench = real();
    let command = "echo from-shell; exit 2".to_owned();
    let kind = TurnKind::Shell { command, timeout: Duration::from_secs(60) };
    let mut turn = bench.start_as(Scripted::new(Vec::new()), kind, "");
    assert_eq!(ended(&turn.end()), TurnStatus::Completed);
    let items: Vec<&Value> = turn
        .told
        .iter()
        .filter(|(method, _)| method == "item/started" || method == "item/completed")
        .map(|(_, told)| &told["params"]["item"])
        .collect();
    assert_eq!(items.len(), 2);
    assert_eq!((&items[1]["source"], &items[1]["status"]), (&json!("userShell"), &json!("failed")));
    assert_eq!((&items[1]["exitCode"], &items[1]["aggregatedOutput"]), (&json!(2), &json!("from-shell\n")));
    let model = Scripted::new(vec![says("m", "I see")]);
    bench.start(model.clone(), "did it work?").end();
    let said = texts(&model.last_asked());
    assert!(said[0].contains("exit 2") && said[0].contains("Exit code: 2\nOutput:\nfrom-shell"), "{said:?}");
}

#[test]
fn a_review_is_entered_and_left_with_what_it_found() {
    let bench = real();
    let kind = TurnKind::Review { title: "current changes".to_owned() };
    let mut turn = bench.start_as(Scripted::new(vec![says("m", "two bugs")]), kind, "review it");
    assert_eq!(ended(&turn.end()), TurnStatus::Completed);
    let shown = methods_and_kinds(&turn);
    assert_eq!((shown[0].1, shown[shown.len() - 1].1), ("enteredReviewMode", "exitedReviewMode"));
    let (_, last) = turn.told.iter().rev().find(|(method, _)| method == "item/completed").expect("one");
    assert_eq!(last["params"]["item"]["review"], "two bugs");
}

/// Reads on until the turn asks, and answers.
fn answer(turn: &mut Running, answer: Result<Value, Value>) -> (String, Value) {
    loop {
        if let Change::Asked(ask) = turn.next().change {
            let raw = |value| serde_json::value::to_raw_value(&value).expect("it encodes");
            ask.outcome.send(match answer {
                Ok(result) => Outcome::Result(raw(result)),
                Err(error) => Outcome::Error(raw(error)),
            });
            return (ask.method.to_owned(), serde_json::from_str(ask.params.get()).expect("JSON"));
        }
    }
}

fn output(model: &Scripted) -> String {
    let output = |item: InputItem| match item {
        InputItem::ToolOutput { content, .. } => Some(words(&content)),
        _ => None,
    };
    model.last_asked().into_iter().rev().find_map(output).expect("an output")
}

#[test]
fn tools_of_the_client_are_carried_out_by_it() {
    let mut bench = real();
    let lookup = json!({ "name": "lookup", "description": "Looks up.", "inputSchema": { "type": "object" } });
    bench.tools = client_tools(&[serde_json::from_value(lookup).expect("a tool")]);
    let call = || vec![calls("c1", "lookup", r#"{"key":"k"}"#), completed()];
    let given = json!({ "contentItems": [{ "type": "inputText", "text": "value 42" }], "success": true });
    for (given, status, said) in [
        (Ok(given), "completed", "value 42"),
        (Err(json!({ "code": -32000, "message": "client broke" })), "failed", "dynamic tool request failed"),
    ] {
        let model = Scripted::new(vec![call(), says("m", "done")]);
        let mut turn = bench.start(model.clone(), "go");
        let (method, params) = answer(&mut turn, given);
        assert_eq!((method.as_str(), &params["arguments"]), ("item/tool/call", &json!({ "key": "k" })));
        assert_eq!(ended(&turn.end()), TurnStatus::Completed);
        let item = turn.told.iter().find(|(method, told)| {
            method == "item/completed" && told["params"]["item"]["type"] == "dynamicToolCall"
        });
        assert_eq!(item.expect("an item").1["params"]["item"]["status"], status);
        assert_eq!(output(&model), said);
    }
}

#[test]
fn questions_go_to_the_user_and_pictures_to_the_model() {
    let bench = real();
    std::fs::write(bench.dir.join("p.png"), [0x89, b'P', b'N', b'G']).expect("a file");
    let questions = json!({ "questions": [{ "id": "q", "header": "h", "question": "?", "options": [] }] });
    let model = Scripted::new(vec![
        vec![calls("c1", "request_user_input", &questions.to_string()), completed()],
        vec![calls("c2", "view_image", r#"{"path":"p.png"}"#), completed()],
        says("m", "done"),
    ]);
    let mut turn = bench.start(model.clone(), "go");
    let (method, _) = answer(&mut turn, Ok(json!({ "answers": { "q": { "answers": ["A"] } } })));
    assert_eq!(method, "item/tool/requestUserInput");
    assert_eq!(ended(&turn.end()), TurnStatus::Completed);
    let outputs: Vec<InputItem> =
        model.last_asked().into_iter().filter(|item| matches!(item, InputItem::ToolOutput { .. })).collect();
    let InputItem::ToolOutput { content, .. } = &outputs[0] else { panic!() };
    assert_eq!(words(content), r#"{"answers":{"q":{"answers":["A"]}}}"#);
    let InputItem::ToolOutput { content, .. } = &outputs[1] else { panic!() };
    assert!(
        matches!(&content[0], crate::model::Content::Image { url } if url.starts_with("data:image/png;"))
    );
}
