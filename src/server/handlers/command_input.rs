//! What `command/exec` and `process/spawn` ask for in the same way.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::exec::TerminalSize;
use crate::proto;
use crate::rpc::{Reason, RpcError};

/// What a terminal is called where the server itself has none.
const TERM: &str = "xterm-256color";

/// A value that makes no sense.
pub(super) fn senseless(text: impl Into<String>) -> RpcError {
    RpcError::invalid_params(text).with(Reason::InvalidParams)
}

/// A refusal of what is asked for.
pub(super) fn refused(text: impl Into<String>) -> RpcError {
    RpcError::invalid_request(text).with(Reason::InvalidParams)
}

/// The timeout in `ms` that a client asked for with `method`.
pub(super) fn timeout(method: &str, ms: i64) -> Result<Duration, RpcError> {
    u64::try_from(ms)
        .map(Duration::from_millis)
        .map_err(|_| senseless(format!("{method} timeoutMs must be non-negative, got {ms}")))
}

/// A size that a terminal can have.
pub(super) fn size(method: &str, size: proto::TerminalSize) -> Result<TerminalSize, RpcError> {
    if size.rows == 0 || size.cols == 0 {
        return Err(senseless(format!("{method} size rows and cols must be greater than 0")));
    }
    Ok(TerminalSize { rows: size.rows, columns: size.cols })
}

/// The changes of the environment. On a terminal a program has to be told what kind it is.
pub(super) fn environment(
    asked: Option<BTreeMap<String, Option<String>>>,
    on_terminal: bool,
) -> Vec<(OsString, Option<OsString>)> {
    let asked = asked.unwrap_or_default();
    let tell = on_terminal && !asked.contains_key("TERM") && std::env::var_os("TERM").is_none();
    let told = tell.then(|| ("TERM".into(), Some(TERM.into())));
    let asked = asked.into_iter().map(|(name, value)| (name.into(), value.map(OsString::from)));
    asked.chain(told).collect()
}

/// The bytes that a client wants written, and whether they are the last.
pub(super) fn input(method: &str, delta: Option<&str>, close: bool) -> Result<(Vec<u8>, bool), RpcError> {
    match delta {
        None if !close => Err(senseless(format!("{method} requires deltaBase64 or closeStdin"))),
        None => Ok((Vec::new(), close)),
        Some(delta) => STANDARD
            .decode(delta)
            .map(|bytes| (bytes, close))
            .map_err(|error| senseless(format!("invalid deltaBase64: {error}"))),
    }
}
