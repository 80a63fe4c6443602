//! JSON-RPC 2.0 as MCP uses it: one message a line over pipes, one a body over HTTP. Knows no methods; runs
//! where messages are made and read.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::CallError;

/// The revision of the protocol that we ask for; a server may answer with an older one.
pub(super) const REVISION: &str = "2025-06-18";

/// A server tells that its list of tools is another one now.
pub(super) const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
/// A server tells how far a call is.
pub(super) const PROGRESS: &str = "notifications/progress";

/// A message of a server.
#[derive(Debug)]
pub(super) enum Incoming {
    /// It answers the call with this number.
    Answer(u64, Result<Value, CallError>),
    /// It asks us; the id is given back as it is.
    Request { id: Box<RawValue>, method: String, params: Value },
    /// It tells us.
    Notification { method: String, params: Value },
}

#[derive(Serialize)]
struct Outgoing<'a> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a Value>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<String>,
    #[serde(default)]
    params: Value,
    #[serde(default)]
    result: Option<Value>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    #[serde(default)]
    message: String,
}

/// A request with a number, or without one a notification.
pub(super) fn message(id: Option<u64>, method: &str, params: Option<&Value>) -> Vec<u8> {
    let message = Outgoing { jsonrpc: "2.0", id, method, params };
    // Maps with texts as keys always encode.
    serde_json::to_vec(&message).unwrap_or_default()
}

/// The answer to a server's request that needs nobody: `ping` works, and there is nothing else.
pub(super) fn answer(id: &RawValue, method: &str) -> Vec<u8> {
    let outcome = match method {
        "ping" => r#""result":{}"#,
        _ => r#""error":{"code":-32601,"message":"this client does not have that method"}"#,
    };
    format!(r#"{{"jsonrpc":"2.0","id":{},{outcome}}}"#, id.get()).into_bytes()
}

/// The answer to a server's request that somebody has answered.
pub(super) fn result(id: &RawValue, result: &Value) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id.get()).into_bytes()
}

/// The parameters of a call that may tell of its progress, under this token.
pub(super) fn with_token(params: &Value, token: u64) -> Value {
    let mut params = params.clone();
    if !params["_meta"].is_object() {
        params["_meta"] = Value::Object(serde_json::Map::new());
    }
    params["_meta"]["progressToken"] = token.into();
    params
}

/// Reads a message; none if it is none of the protocol.
pub(super) fn read(text: &[u8]) -> Option<Incoming> {
    let message: Message<'_> = serde_json::from_slice(text).ok()?;
    match (message.method, message.id) {
        (Some(method), Some(id)) => {
            Some(Incoming::Request { id: id.to_owned(), method, params: message.params })
        }
        (Some(method), None) => Some(Incoming::Notification { method, params: message.params }),
        (None, Some(id)) => {
            let id = id.get().parse().ok()?;
            let outcome = match (message.result, message.error) {
                (_, Some(Refusal { code, message })) => Err(CallError::Refused { code, message }),
                (result, None) => Ok(result.unwrap_or_default()),
            };
            Some(Incoming::Answer(id, outcome))
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        let read = |text: &str| format!("{:?}", read(text.as_bytes()));
        assert!(read(r#"{"jsonrpc":"2.0","id":7,"result":{"a":1}}"#).contains("Answer(7, Ok("));
        assert!(read(r#"{"id":7,"error":{"code":-1,"message":"no"}}"#).contains("Refused"));
        assert!(read(r#"{"id":"x","method":"ping"}"#).contains("Request"));
        assert!(read(r#"{"method":"notifications/x","params":{}}"#).contains("Notification"));
        for none in ["", "hello", "[]", "{}", r#"{"id":"x","result":1}"#, r#"{"id":1.5,"result":1}"#] {
            assert_eq!(read(none), "None", "{none}");
        }
    }

    #[test]
    fn questions_of_a_server_are_answered_under_their_id() {
        let id = RawValue::from_string("\"a\"".to_owned()).expect("JSON");
        let text = |method| String::from_utf8(answer(&id, method)).expect("UTF-8");
        assert_eq!(text("ping"), r#"{"jsonrpc":"2.0","id":"a","result":{}}"#);
        assert!(text("roots/list").contains(r#""id":"a","error":{"code":-32601"#));
        let request = message(Some(3), "tools/list", Some(&serde_json::json!({})));
        assert_eq!(request, br#"{"jsonrpc":"2.0","id":3,"method":"tools/list","params":{}}"#);
    }
}
