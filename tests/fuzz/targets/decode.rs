//! The message decoder against `serde_json::Value`: an id is never lost or changed, and parameters go
//! through untouched.

#![no_main]

use app_server::rpc::{Incoming, Request, RequestId, Undecodable, code, decode, response};
use libfuzzer_sys::fuzz_target;
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let decoded = decode(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        let refused = decoded.expect_err("not UTF-8");
        assert_eq!((refused.id, refused.error.code), (None, code::PARSE_ERROR));
        return;
    };
    // Nothing where `Value` is the stricter one: nesting, numbers beyond f64, lone surrogates.
    let value: Option<Value> = serde_json::from_str(text).ok();
    let id = value.as_ref().and_then(|value| usable_id(value.as_object()?.get("id")?));
    let method = value.as_ref().and_then(|value| value.as_object()?.get("method")?.as_str());
    match decoded {
        Ok(Incoming::Request(request)) => {
            if value.is_some() {
                assert_eq!(Some(&request.id), id.as_ref(), "the id");
                assert_eq!(Some(&*request.method), method, "the method");
            }
            assert_same_again(&request, text);
        }
        Ok(Incoming::Notification { method: found, .. }) => {
            let Some(object) = value.as_ref().and_then(Value::as_object) else { return };
            assert_eq!(Some(&*found), method, "the method");
            assert!(!object.contains_key("id"), "a message with an id wants an answer");
        }
        Ok(Incoming::Answer { id: found, .. }) => {
            let Some(object) = value.as_ref().and_then(Value::as_object) else { return };
            assert_eq!(Some(&found), id.as_ref(), "the id");
            assert!(
                !object.contains_key("method")
                    && (object.contains_key("result") || object.contains_key("error"))
            );
        }
        Err(refused) => {
            if value.is_some() {
                assert_ne!(refused.error.code, code::PARSE_ERROR, "it is JSON");
                check_refusal(&refused, text, id.as_ref(), method);
            }
        }
    }
});

fn usable_id(value: &Value) -> Option<RequestId> {
    match value {
        Value::String(text) => Some(RequestId::from(text.as_str())),
        number => number.as_i64().map(RequestId::from),
    }
}

/// A good request is refused only if a key stands twice, and a refusal names the id unless there are two.
fn check_refusal(refused: &Undecodable, text: &str, id: Option<&RequestId>, method: Option<&str>) {
    let keys = keys(text);
    let count = |key: &str| keys.iter().filter(|found| *found == key).count();
    let is_doubled = ["id", "method", "params", "trace", "result", "error"].iter().any(|key| count(key) > 1);
    assert!(id.is_none() || method.is_none() || is_doubled, "a good request was refused: {refused:?}");
    let expected = if count("id") > 1 { None } else { id };
    assert_eq!(refused.id.as_ref(), expected, "the id of a refusal: {refused:?}");
}

/// The keys of the outermost object, with those that stand twice.
fn keys(text: &str) -> Vec<String> {
    struct Keys;
    impl<'de> Visitor<'de> for Keys {
        type Value = Vec<String>;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
            let mut keys = Vec::new();
            while let Some((key, IgnoredAny)) = map.next_entry()? {
                keys.push(key);
            }
            Ok(keys)
        }
    }
    serde_json::Deserializer::from_str(text).deserialize_map(Keys).unwrap_or_default()
}

/// The parameters are a piece of the input, and a message made of the parts is the same message.
fn assert_same_again(request: &Request, text: &str) {
    let params = request.params.as_ref().map(|raw| raw.get());
    assert!(params.is_none_or(|params| text.contains(params)), "the parameters are not the input's");
    let id = serde_json::to_string(&request.id).expect("an id");
    let method = serde_json::to_string(&request.method).expect("a text");
    let again = match params {
        Some(params) => format!(r#"{{"method":{method},"params":{params},"id":{id}}}"#),
        None => format!(r#"{{"method":{method},"id":{id}}}"#),
    };
    let Ok(Incoming::Request(found)) = decode(again.as_bytes()) else { panic!("not a request: {again}") };
    assert_eq!((&found.id, &found.method), (&request.id, &request.method));
    assert_eq!(found.params.as_ref().map(|raw| raw.get()), params);
    // Every id that can be read can be answered.
    let answer: Value = serde_json::from_slice(&response(&request.id, &())).expect("an answer");
    assert_eq!(usable_id(&answer["id"]).as_ref(), Some(&request.id), "the id of the answer");
}
