//! A piece of output as a message to the client: encoded on the worker that read it, in one pass.
//!
//! Base64 needs no escape in JSON, so the message is made around an empty piece, and the bytes are encoded
//! straight into their place.

use base64::Engine as _;
use bytes::Bytes;

use super::Family;
use crate::agent::Encoded;
use crate::exec::Stream;
use crate::proto::{CommandExecOutputDelta, OutputStream, ProcessOutputDelta};
use crate::sys::encoding::BASE64;

/// What the piece stands behind. In a name that a client chose its quotes would be escaped.
const MARK: &[u8] = b"\"deltaBase64\":\"";

/// The message with a piece of a command's output, made at `now_ms` (Unix milliseconds).
pub(super) fn encode(
    family: Family,
    id: &str,
    stream: Stream,
    bytes: &[u8],
    cap_reached: bool,
    now_ms: i64,
) -> Option<Bytes> {
    let stream = match stream {
        Stream::Stdout => OutputStream::Stdout,
        Stream::Stderr => OutputStream::Stderr,
    };
    let delta_base64 = "";
    let around = match family {
        Family::Exec => Encoded::new(
            &CommandExecOutputDelta { process_id: id, stream, delta_base64, cap_reached },
            now_ms,
        ),
        Family::Process => Encoded::new(
            &ProcessOutputDelta { process_handle: id, stream, delta_base64, cap_reached },
            now_ms,
        ),
    };
    let around = around?.message;
    let at = MARK.len() + around.windows(MARK.len()).position(|window| window == MARK)?;
    let length = base64::encoded_len(bytes.len(), /*padding*/ true)?;
    let mut message = Vec::with_capacity(around.len() + length);
    message.extend_from_slice(&around[..at]);
    message.resize(at + length, b'=');
    BASE64.encode_slice(bytes, &mut message[at..]).ok()?;
    message.extend_from_slice(&around[at..]);
    Some(message.into())
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn the_message_is_the_one_that_its_type_makes() {
        for (id, bytes) in [("plain", &b"a\xffb"[..]), ("\"deltaBase64\":\"", b"xyz12"), ("", b"")] {
            for cap_reached in [false, true] {
                let quick = encode(Family::Exec, id, Stream::Stderr, bytes, cap_reached, /*now_ms*/ 7);
                let (stream, delta_base64) = (OutputStream::Stderr, &*STANDARD.encode(bytes));
                let typed = CommandExecOutputDelta { process_id: id, stream, delta_base64, cap_reached };
                assert_eq!(quick, Encoded::new(&typed, /*now_ms*/ 7).map(|typed| typed.message));
                let quick =
                    encode(Family::Process, id, Stream::Stderr, bytes, cap_reached, /*now_ms*/ 7);
                let typed = ProcessOutputDelta { process_handle: id, stream, delta_base64, cap_reached };
                assert_eq!(quick, Encoded::new(&typed, /*now_ms*/ 7).map(|typed| typed.message));
            }
        }
    }
}
