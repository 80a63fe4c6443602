//! The schema checker itself: it takes what the reference was recorded to send, and refuses what is broken.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

use serde_json::{Value, json};

use crate::support::recordings::recorded;
use crate::support::schema::{SchemaChecker, shared_dir};

/// Recorded messages that the published schema itself does not fit: the error, and the reason.
const KNOWN_MISFITS: &[(&str, &str)] = &[
    ("no schema for notification `rawResponse/completed`", "raw events are not published"),
    ("no schema for notification `rawResponseItem/completed`", "raw events are not published"),
];

#[test]
fn recorded_messages_of_the_reference_fit() {
    let Some(checker) = SchemaChecker::get() else { return };
    let all = recorded();
    let (mut checked, mut skipped) = (0, 0);
    let mut misfits = BTreeMap::<String, Vec<&str>>::new();
    for recorded in all.iter().filter(|recorded| recorded.by_server) {
        let response_to = recorded.request.and_then(|at| all[at].method());
        if recorded.message.get("result").is_some() && response_to.is_none() {
            // The request was cut or no JSON, so nobody knows what was answered.
            skipped += 1;
            continue;
        }
        checked += 1;
        if let Err(error) = checker.check(&recorded.message, response_to) {
            misfits.entry(error).or_default().push(&recorded.place);
        }
    }
    let _ = writeln!(
        std::io::stderr(),
        "schema: {checked} recorded messages checked, {skipped} without a request"
    );
    for (known, reason) in KNOWN_MISFITS {
        let count = misfits.len();
        misfits.retain(|error, _| error != known);
        assert!(misfits.len() < count, "`{known}` ({reason}) fits now: take it off the list");
    }
    assert!(misfits.is_empty(), "{misfits:#?}");
    assert!(checked >= 500, "only {checked} messages checked");
}

#[test]
fn every_stable_method_has_an_answer() {
    let Some(checker) = SchemaChecker::get() else { return };
    let path = shared_dir().expect("the shared folder").join("schema/ClientRequest.json");
    let stable: Value = serde_json::from_str(&fs::read_to_string(path).expect("a file")).expect("JSON");
    let alternatives = stable["oneOf"].as_array().expect("a union");
    assert!(alternatives.len() > 100);
    for one in alternatives {
        let method = one["properties"]["method"]["enum"][0].as_str().expect("a method");
        checker.response_definition(method).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// A notification that fits.
fn item_completed() -> Value {
    json!({
        "method": "item/completed",
        "params": {
            "item": {"type": "agentMessage", "id": "m", "text": "hi", "phase": null},
            "threadId": "t",
            "turnId": "u",
            "completedAtMs": 1_795_185_679_007_i64
        },
        "emittedAtMs": 1_795_185_679_009_i64
    })
}

#[test]
fn broken_messages_are_refused_with_the_place() {
    let Some(checker) = SchemaChecker::get() else { return };
    let refusal = |message: Value, response_to: Option<&str>| {
        checker.check(&message, response_to).expect_err("a broken message was accepted")
    };
    checker.check(&item_completed(), /*response_to*/ None).expect("this one fits");

    let mut message = item_completed();
    message["params"].as_object_mut().expect("params").remove("completedAtMs");
    let error = refusal(message, None);
    assert!(error.starts_with("ItemCompletedNotification: /") && error.contains("completedAtMs"), "{error}");

    let mut message = item_completed();
    message["params"]["item"].as_object_mut().expect("an item").remove("text");
    let error = refusal(message, None);
    assert!(error.contains("/item") && error.contains("text"), "{error}");

    let mut message = item_completed();
    message["params"]["item"]["phase"] = json!("lastWords");
    let error = refusal(message, None);
    assert!(error.contains("/item/phase"), "{error}");

    let turn = json!({"id": "u", "items": [], "status": "done"});
    let error = refusal(json!({"id": 1, "result": {"turn": turn}}), Some("turn/start"));
    assert!(error.starts_with("TurnStartResponse: /turn/status"), "{error}");
}

#[test]
fn unknown_methods_and_wrong_envelopes_are_refused() {
    let Some(checker) = SchemaChecker::get() else { return };
    let refusal = |message: Value, response_to: Option<&str>| {
        checker.check(&message, response_to).expect_err("a broken message was accepted")
    };
    assert!(refusal(json!({"method": "nope", "params": {}}), None).starts_with("no schema for"));
    assert!(refusal(json!({"id": 1, "method": "nope", "params": {}}), None).starts_with("no schema for"));
    assert!(refusal(json!({"id": 1, "result": {}}), Some("nope/nope")).starts_with("no schema for"));
    refusal(json!({"id": 1, "result": {}}), None);
    refusal(json!({"id": 1.5, "result": {}}), Some("turn/interrupt"));
    refusal(json!({"jsonrpc": "2.0", "id": 1, "result": {}}), Some("turn/interrupt"));
    refusal(json!({"id": 1, "error": {"code": "-32600", "message": "m"}}), None);
    refusal(json!({"result": {}}), Some("turn/interrupt"));

    checker
        .check(&json!({"id": null, "error": {"code": -32600, "message": "m"}}), /*response_to*/ None)
        .expect("this one fits");
    checker.check(&json!({"id": "a", "result": {}}), Some("turn/interrupt")).expect("this one fits");
}
