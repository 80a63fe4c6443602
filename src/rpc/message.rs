//! From the text of a message to its kind and parts.
//!
//! The kind is decided by the keys: `method` and `id` make a request, `method` alone a notification, `id`
//! with `result` or `error` an answer to one of our requests. Unlike the reference, nothing that asks for
//! an answer is met with silence: what cannot be decoded gets an error, with the id if there was a usable
//! one.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::value::RawValue;

use super::error::{Reason, RpcError, code};
use super::id::RequestId;

/// The parameters as they came; which type they have is the method's business.
pub type Params = Option<Box<RawValue>>;

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// To be echoed.
    pub id: RequestId,
    /// The method's name.
    pub method: Box<str>,
    /// Its parameters.
    pub params: Params,
    /// The W3C trace context that the client sent along, as it came.
    pub trace: Option<Box<RawValue>>,
}

/// A decoded message of a client.
#[derive(Debug, Clone)]
pub enum Incoming {
    /// Has to be answered.
    Request(Request),
    /// Must not be answered.
    Notification {
        /// The method's name.
        method: Box<str>,
        /// Its parameters.
        params: Params,
    },
    /// The client's answer to one of our requests.
    Answer {
        /// The id that we gave.
        id: RequestId,
        /// `result`, or `error` as it came.
        outcome: Result<Box<RawValue>, Box<RawValue>>,
    },
}

/// A message that is none of these; it is answered with this error.
#[derive(Debug, Clone, PartialEq)]
pub struct Undecodable {
    /// The message's id if it had a usable one, else the answer's id is null.
    pub id: Option<RequestId>,
    /// What was wrong.
    pub error: RpcError,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    trace: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

/// Tells a key with the value null from a key that is not there.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some).map_err(D::Error::custom)
}

/// Decodes one message.
///
/// # Errors
/// What to answer when it is not a message of the protocol.
pub fn decode(text: &[u8]) -> Result<Incoming, Undecodable> {
    let text = std::str::from_utf8(text)
        .map_err(|error| parse_error(format!("Parse error: the message is not UTF-8 ({error})")))?;
    decode_text(text)
}

/// Decodes one message that is known to be UTF-8.
///
/// # Errors
/// What to answer when it is not a message of the protocol.
pub fn decode_text(text: &str) -> Result<Incoming, Undecodable> {
    // serde would take an array for the envelope's fields in their order.
    if !text.trim_start().starts_with('{') {
        return Err(not_an_object(text));
    }
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| not_an_envelope(text, &error))?;
    let id = envelope.id.map(|raw| serde_json::from_str::<RequestId>(raw.get()));
    let owned = |raw: Option<&RawValue>| raw.map(ToOwned::to_owned);
    let Some(method) = envelope.method else {
        return match (id, envelope.result, envelope.error) {
            (Some(Ok(id)), Some(result), None) => Ok(Incoming::Answer { id, outcome: Ok(result.to_owned()) }),
            (Some(Ok(id)), _, Some(error)) => Ok(Incoming::Answer { id, outcome: Err(error.to_owned()) }),
            (id, ..) => Err(Undecodable {
                id: id.and_then(Result::ok),
                error: RpcError::invalid_request("Invalid request: missing field `method`")
                    .with(Reason::InvalidParams),
            }),
        };
    };
    let method = match serde_json::from_str::<Cow<'_, str>>(method.get()) {
        Ok(method) => Box::from(method.as_ref()),
        Err(_) => {
            return Err(Undecodable {
                id: id.and_then(Result::ok),
                error: RpcError::invalid_request("Invalid request: `method` must be a string")
                    .with(Reason::InvalidParams),
            });
        }
    };
    // An empty object says what no parameters say.
    let params = owned(envelope.params.filter(|params| params.get() != "{}"));
    match id {
        None => Ok(Incoming::Notification { method, params }),
        Some(Ok(id)) => Ok(Incoming::Request(Request { id, method, params, trace: owned(envelope.trace) })),
        Some(Err(_)) => Err(Undecodable {
            id: None,
            error: RpcError::invalid_request(
                "Invalid request: `id` must be a string or an integer between -2^63 and 2^63-1; \
                 leave it out to send a notification",
            )
            .with(Reason::InvalidId),
        }),
    }
}

fn parse_error(message: String) -> Undecodable {
    Undecodable { id: None, error: RpcError::new(code::PARSE_ERROR, message).with(Reason::ParseError) }
}

/// Finds out why a text does not start an envelope.
fn not_an_object(text: &str) -> Undecodable {
    if text.trim_start().is_empty() {
        return parse_error("Parse error: empty message".to_owned());
    }
    if let Err(error) = serde_json::from_str::<&RawValue>(text) {
        return parse_error(format!("Parse error: {error}"));
    }
    let (what, reason) = if text.trim_start().starts_with('[') {
        ("batch arrays are not supported; send one message at a time", Reason::BatchUnsupported)
    } else {
        ("expected an object", Reason::InvalidParams)
    };
    Undecodable {
        id: None,
        error: RpcError::invalid_request(format!("Invalid request: {what}")).with(reason),
    }
}

/// Finds out why an object is not an envelope; only bad input pays for the second look.
fn not_an_envelope(text: &str, error: &serde_json::Error) -> Undecodable {
    if serde_json::from_str::<&RawValue>(text).is_err() {
        return parse_error(format!("Parse error: {error}"));
    }
    let error = RpcError::invalid_request(format!("Invalid request: {error}")).with(Reason::InvalidParams);
    Undecodable { id: only_id(text), error }
}

/// The id of an object in which another key stands twice; none if the id itself does.
fn only_id(text: &str) -> Option<RequestId> {
    #[derive(Deserialize)]
    struct Only {
        id: RequestId,
    }
    serde_json::from_str::<Only>(text).ok().map(|only| only.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (i64, Option<RequestId>, String) {
        let Undecodable { id, error } = decode(text.as_bytes()).expect_err(text);
        let reason = error.data.expect("a reason")["reason"].as_str().expect("a text").to_owned();
        (error.code, id, reason)
    }

    #[test]
    fn the_four_kinds_are_told_apart() {
        let Ok(Incoming::Request(request)) =
            decode(br#"{"id":"a","method":"m\u002fx","params":{"k":1},"jsonrpc":7}"#)
        else {
            panic!("a request")
        };
        assert_eq!((request.id, &*request.method), ("a".into(), "m/x"));
        assert_eq!(request.params.expect("params").get(), r#"{"k":1}"#);
        let Ok(Incoming::Request(empty)) = decode(br#"{"id":1,"method":"m","params":{}}"#) else {
            panic!("a request")
        };
        assert!(empty.params.is_none(), "an empty object says nothing");
        let notification = decode(br#"{"method":"initialized","params":null}"#);
        assert!(matches!(notification, Ok(Incoming::Notification { params: None, .. })), "{notification:?}");
        let answer = decode(br#"{"id":0,"result":null}"#);
        assert!(matches!(answer, Ok(Incoming::Answer { outcome: Ok(_), .. })), "{answer:?}");
        let failed = decode(br#"{"id":0,"error":{"code":1,"message":"no"}}"#);
        assert!(matches!(failed, Ok(Incoming::Answer { outcome: Err(_), .. })), "{failed:?}");
    }

    #[test]
    fn ids_keep_their_type_and_range() {
        for (text, id) in [
            ("-9223372036854775808", RequestId::Integer(i64::MIN)),
            ("9223372036854775807", RequestId::Integer(i64::MAX)),
            (r#""""#, "".into()),
            (r#""92""#, "92".into()),
        ] {
            let Ok(Incoming::Request(request)) =
                decode(format!(r#"{{"id":{text},"method":"m"}}"#).as_bytes())
            else {
                panic!("{text}")
            };
            assert_eq!(request.id, id);
            assert_eq!(serde_json::to_string(&id).expect("it serializes"), text);
        }
        assert_ne!(format!("{:?}", RequestId::from(92)), format!("{:?}", RequestId::from("92")));
    }

    #[test]
    fn a_request_with_an_unusable_id_is_refused_and_not_ignored() {
        for id in ["null", "1.5", "true", "{}", "[1]", "9223372036854775808", "1e3"] {
            let (code, echoed, reason) = refused(&format!(r#"{{"id":{id},"method":"m"}}"#));
            assert_eq!((code, echoed, reason.as_str()), (-32600, None, "invalidId"), "{id}");
        }
    }

    #[test]
    fn what_is_not_a_message_is_refused_with_a_reason() {
        for (text, code, reason) in [
            ("", -32700, "parseError"),
            ("  ", -32700, "parseError"),
            ("this is not json", -32700, "parseError"),
            (r#"{"id":1,"method":"m"} {"id":2,"method":"m"}"#, -32700, "parseError"),
            (r#"{"id":1,"method":"m""#, -32700, "parseError"),
            (r#"[{"id":1,"method":"m"}]"#, -32600, "batchUnsupported"),
            ("17", -32600, "invalidParams"),
            ("null", -32600, "invalidParams"),
            (r#"{"id":1,"id":2,"method":"m"}"#, -32600, "invalidParams"),
        ] {
            let (found_code, id, found_reason) = refused(text);
            assert_eq!((found_code, id, found_reason.as_str()), (code, None, reason), "{text}");
        }
        assert_eq!(refused(r#"{"id":7}"#).1, Some(7.into()));
        assert_eq!(refused(r#"{"id":7,"method":5}"#).1, Some(7.into()));
        assert_eq!(refused(r#"{"id":7,"method":"m","params":1,"params":2}"#).1, Some(7.into()));
        assert_eq!(refused(r#"{"params":1,"params":2,"id":1,"id":2}"#).1, None);
        let bytes = decode(b"{\"id\":1,\"method\":\"\xff\"}").expect_err("not UTF-8");
        assert_eq!(bytes.error.code, code::PARSE_ERROR);
    }
}
