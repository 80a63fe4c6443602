//! From parts to the text of a message, once per message: what goes to many connections is encoded once and
//! shared. The order of the keys is the reference's.

use std::cell::Cell;

use bytes::Bytes;
use serde::Serialize;

use super::error::{RpcError, code};
use super::id::RequestId;
use crate::limits;
use crate::obs::metrics::values::OVERLOADED;

#[derive(Serialize)]
struct Response<'a, T> {
    id: &'a RequestId,
    result: T,
}

#[derive(Serialize)]
struct ErrorResponse<'a> {
    error: &'a RpcError,
    id: Option<&'a RequestId>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Notification<'a, T> {
    method: &'a str,
    params: T,
    emitted_at_ms: i64,
}

#[derive(Serialize)]
struct OwnRequest<'a, T> {
    method: &'a str,
    id: i64,
    params: T,
}

/// A result for the request `id`.
#[must_use]
pub fn response(id: &RequestId, result: &impl Serialize) -> Bytes {
    encode(&Response { id, result }).unwrap_or_else(|error| {
        error_response(Some(id), &RpcError::internal(format!("the result could not be encoded: {error}")))
    })
}

/// An error for the request `id`; null if the request's id is not known.
#[must_use]
pub fn error_response(id: Option<&RequestId>, error: &RpcError) -> Bytes {
    if error.code == code::OVERLOADED {
        OVERLOADED.add_one();
    }
    // An id, a number, a text and a JSON value: nothing in it can fail to encode.
    encode(&ErrorResponse { error, id }).unwrap_or_default()
}

/// A notification, stamped with the Unix time in milliseconds at which it was made.
///
/// # Errors
/// If the parameters cannot be encoded, which for our own types is a bug.
pub fn notification(
    method: &str,
    params: &impl Serialize,
    emitted_at_ms: i64,
) -> Result<Bytes, serde_json::Error> {
    encode(&Notification { method, params, emitted_at_ms })
}

/// A request of the server's own.
///
/// # Errors
/// If the parameters cannot be encoded, which for our own types is a bug.
pub fn request(method: &str, id: i64, params: &impl Serialize) -> Result<Bytes, serde_json::Error> {
    encode(&OwnRequest { method, id, params })
}

/// An encoded notification with one more field at its end: its number in its thread.
#[must_use]
pub fn with_seq(notification: &Bytes, seq: u64) -> Bytes {
    let Some(open) = notification.strip_suffix(b"}") else { return notification.clone() };
    let number = format!(",\"seq\":{seq}}}");
    let mut numbered = Vec::with_capacity(open.len() + number.len());
    numbered.extend_from_slice(open);
    numbered.extend_from_slice(number.as_bytes());
    numbered.into()
}

/// Small messages, most of all, take one allocation of their very size; large ones are not copied.
fn encode(message: &impl Serialize) -> Result<Bytes, serde_json::Error> {
    thread_local! {
        static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
    scratch.clear();
    serde_json::to_writer(&mut scratch, message)?;
    if scratch.len() > limits::ENCODE_COPY_BYTES {
        return Ok(scratch.into());
    }
    let encoded = Bytes::copy_from_slice(&scratch);
    // A worker that is ending keeps nothing.
    let _ = SCRATCH.try_with(|slot| slot.set(scratch));
    Ok(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_stand_in_the_reference_order() {
        assert_eq!(response(&1.into(), &json!({})), r#"{"id":1,"result":{}}"#);
        let error = RpcError::invalid_request("no");
        assert_eq!(
            error_response(Some(&"a".into()), &error),
            r#"{"error":{"code":-32600,"message":"no"},"id":"a"}"#
        );
        assert_eq!(
            error_response(/*id*/ None, &RpcError::overloaded()),
            r#"{"error":{"code":-32001,"message":"Server overloaded; retry later.","data":{"reason":"server_overloaded"}},"id":null}"#
        );
        let request = request("m", /*id*/ 0, &json!({})).expect("it encodes");
        assert_eq!(request, r#"{"method":"m","id":0,"params":{}}"#);
        let notification = notification("m", &json!([]), /*emitted_at_ms*/ 5).expect("it encodes");
        assert_eq!(notification, r#"{"method":"m","params":[],"emittedAtMs":5}"#);
        let numbered = with_seq(&notification, /*seq*/ 7);
        assert_eq!(numbered, r#"{"method":"m","params":[],"emittedAtMs":5,"seq":7}"#);
    }
}
