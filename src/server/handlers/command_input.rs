//! What the two families of methods, `command/exec…` and `process/…`, ask for in the same way under
//! different names.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;

use crate::exec::{CommandSpec, TerminalSize};
use crate::proto::{self, SandboxPolicy};
use crate::rpc::{Reason, Reply, RpcError};
use crate::server::commands::Family;
use crate::server::dispatch::Caller;
use crate::server::processor::Processor;
use crate::sys::encoding::BASE64;

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

/// What a client says of a command that it wants run, in either family.
pub(super) struct Wanted {
    pub(super) command: Vec<String>,
    pub(super) cwd: PathBuf,
    pub(super) tty: bool,
    pub(super) size: Option<proto::TerminalSize>,
    pub(super) stream_stdin: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) env: Option<BTreeMap<String, Option<String>>>,
    pub(super) sandbox: SandboxPolicy,
}

impl Wanted {
    /// The command, asked for with `method`.
    pub(super) fn spec(self, method: &str, processor: &Processor) -> Result<CommandSpec, RpcError> {
        let Some((program, args)) = self.command.split_first() else {
            return Err(refused("command must not be empty"));
        };
        let terminal = match (self.tty, self.size) {
            (true, Some(asked)) => Some(size(method, asked)?),
            (true, None) => Some(TerminalSize::default()),
            (false, _) => None,
        };
        Ok(CommandSpec {
            args: args.iter().map(Into::into).collect(),
            env: environment(self.env, self.tty),
            stdin: self.stream_stdin,
            terminal,
            timeout: self.timeout,
            limits: processor.facts.command_limits,
            ..CommandSpec::new(program, self.cwd, self.sandbox)
        })
    }
}

/// A size without a terminal makes no sense.
pub(super) fn check_size(method: &str, tty: bool, size: Option<proto::TerminalSize>) -> Result<(), RpcError> {
    if size.is_some() && !tty {
        return Err(senseless(format!("{method} size requires tty: true")));
    }
    Ok(())
}

/// Gives a command the input that a client sent with `method`: answered when the command has it.
pub(super) fn write(
    processor: &Processor,
    caller: Caller,
    (method, family, id): (&str, Family, &str),
    (delta, close): (Option<&str>, bool),
    reply: Reply,
) {
    match input(method, delta, close) {
        Ok(input) => processor.write_to_command(caller.connection, family, id, input, reply),
        Err(error) => reply.refuse(error),
    }
}

/// A size that a terminal can have.
pub(super) fn size(method: &str, size: proto::TerminalSize) -> Result<TerminalSize, RpcError> {
    if size.rows == 0 || size.cols == 0 {
        return Err(senseless(format!("{method} size rows and cols must be greater than 0")));
    }
    Ok(TerminalSize { rows: size.rows, columns: size.cols })
}

/// The changes of the environment. On a terminal a program has to be told what kind it is.
fn environment(
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
fn input(method: &str, delta: Option<&str>, close: bool) -> Result<(Vec<u8>, bool), RpcError> {
    match delta {
        None if !close => Err(senseless(format!("{method} requires deltaBase64 or closeStdin"))),
        None => Ok((Vec::new(), close)),
        Some(delta) => BASE64
            .decode(delta)
            .map(|bytes| (bytes, close))
            .map_err(|error| senseless(format!("invalid deltaBase64: {error}"))),
    }
}
