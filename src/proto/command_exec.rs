//! Commands and processes that a client runs without a thread: `command/exec…` and `process/…`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::policy::SandboxPolicy;
use super::{Notification, null_is_default, present};

/// Parameters of `command/exec`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CommandExecParams {
    /// Program and arguments.
    pub command: Vec<String>,
    /// The client's name for the running command, its own on each connection.
    pub process_id: Option<String>,
    /// A terminal instead of pipes; input and output are then streamed.
    #[serde(default, deserialize_with = "null_is_default")]
    pub tty: bool,
    /// Input comes by `command/exec/write`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub stream_stdin: bool,
    /// Output goes by `command/exec/outputDelta`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub stream_stdout_stderr: bool,
    /// Bytes of each stream that are wanted.
    pub output_bytes_cap: Option<usize>,
    /// All of the output is wanted.
    #[serde(default, deserialize_with = "null_is_default")]
    pub disable_output_cap: bool,
    /// It is ended after this.
    pub timeout_ms: Option<i64>,
    /// It is never ended.
    #[serde(default, deserialize_with = "null_is_default")]
    pub disable_timeout: bool,
    /// The folder that it starts in; relative to the server's.
    pub cwd: Option<String>,
    /// Variables to set, or with null to take out.
    pub env: Option<BTreeMap<String, Option<String>>>,
    /// The terminal's size.
    pub size: Option<TerminalSize>,
    /// What it may do.
    pub sandbox_policy: Option<SandboxPolicy>,
    /// The same by the name of a profile.
    pub permission_profile: Option<String>,
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TerminalSize {
    /// Height.
    pub rows: u16,
    /// Width.
    pub cols: u16,
}

/// The answer to `command/exec`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CommandExecResponse {
    /// Its exit code; 128 and the signal's number if a signal ended it, 124 after a timeout.
    pub exit_code: i32,
    /// What was kept of stdout; empty if it was streamed.
    pub stdout: String,
    /// What was kept of stderr; empty if it was streamed.
    pub stderr: String,
    /// Our own: the limit that it hit, by the name of its key in the configuration; absent if it hit none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_reached: Option<String>,
}

/// Parameters of `command/exec/write`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CommandExecWriteParams {
    /// The command.
    pub process_id: String,
    /// Input, in base64.
    pub delta_base64: Option<String>,
    /// No more input comes.
    #[serde(default, deserialize_with = "null_is_default")]
    pub close_stdin: bool,
}

/// Parameters of `command/exec/resize`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CommandExecResizeParams {
    /// The command.
    pub process_id: String,
    /// The new size.
    pub size: TerminalSize,
}

/// Parameters of `command/exec/terminate`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CommandExecTerminateParams {
    /// The command.
    pub process_id: String,
}

/// Parameters of `process/spawn`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProcessSpawnParams {
    /// Program and arguments.
    pub command: Vec<String>,
    /// The client's name for the process, its own on each connection.
    pub process_handle: String,
    /// The folder that it starts in, absolute.
    pub cwd: String,
    /// A terminal instead of pipes; input and output are then streamed.
    #[serde(default, deserialize_with = "null_is_default")]
    pub tty: bool,
    /// Input comes by `process/writeStdin`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub stream_stdin: bool,
    /// Output goes by `process/outputDelta`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub stream_stdout_stderr: bool,
    /// Bytes of each stream that are wanted; null is all.
    #[serde(default, deserialize_with = "present")]
    pub output_bytes_cap: Option<Option<usize>>,
    /// It is ended after this; null is never.
    #[serde(default, deserialize_with = "present")]
    pub timeout_ms: Option<Option<i64>>,
    /// Variables to set, or with null to take out.
    pub env: Option<BTreeMap<String, Option<String>>>,
    /// The terminal's size.
    pub size: Option<TerminalSize>,
}

/// Parameters of `process/writeStdin`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProcessWriteStdinParams {
    /// The process.
    pub process_handle: String,
    /// Input, in base64.
    pub delta_base64: Option<String>,
    /// No more input comes.
    #[serde(default, deserialize_with = "null_is_default")]
    pub close_stdin: bool,
}

/// Parameters of `process/resizePty`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProcessResizePtyParams {
    /// The process.
    pub process_handle: String,
    /// The new size.
    pub size: TerminalSize,
}

/// Parameters of `process/kill`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProcessKillParams {
    /// The process.
    pub process_handle: String,
}

/// One of the two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum OutputStream {
    /// stdout, or everything on a terminal.
    Stdout,
    /// stderr.
    Stderr,
}

/// `command/exec/outputDelta`: more output.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CommandExecOutputDelta<'a> {
    /// The command.
    pub process_id: &'a str,
    /// Where it comes from.
    pub stream: OutputStream,
    /// The bytes.
    pub delta_base64: &'a str,
    /// Nothing more comes from there, because the cap is reached.
    pub cap_reached: bool,
}

impl Notification for CommandExecOutputDelta<'_> {
    const METHOD: &'static str = "command/exec/outputDelta";
}

/// `process/outputDelta`: more output.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProcessOutputDelta<'a> {
    /// The process.
    pub process_handle: &'a str,
    /// Where it comes from.
    pub stream: OutputStream,
    /// The bytes.
    pub delta_base64: &'a str,
    /// Nothing more comes from there, because the cap is reached.
    pub cap_reached: bool,
}

impl Notification for ProcessOutputDelta<'_> {
    const METHOD: &'static str = "process/outputDelta";
}

/// `process/exited`: a process has ended.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProcessExited<'a> {
    /// The process.
    pub process_handle: &'a str,
    /// Its exit code.
    pub exit_code: i32,
    /// Something that it started held its output for too long.
    pub output_drain_timed_out: bool,
    /// What was kept of stdout; empty if it was streamed.
    pub stdout: &'a str,
    /// stdout was longer than its cap, or as long.
    pub stdout_cap_reached: bool,
    /// What was kept of stderr; empty if it was streamed.
    pub stderr: &'a str,
    /// stderr was longer than its cap, or as long.
    pub stderr_cap_reached: bool,
    /// Our own: the limit that it hit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_reached: Option<&'a str>,
}

impl Notification for ProcessExited<'_> {
    const METHOD: &'static str = "process/exited";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_cap_is_not_a_null_one() {
        let spawn = |json: &str| serde_json::from_str::<ProcessSpawnParams>(json).unwrap();
        let absent = spawn(r#"{"command":[],"processHandle":"h","cwd":"/"}"#);
        assert_eq!((absent.output_bytes_cap, absent.timeout_ms), (None, None));
        let null =
            spawn(r#"{"command":[],"processHandle":"h","cwd":"/","outputBytesCap":null,"timeoutMs":null}"#);
        assert_eq!((null.output_bytes_cap, null.timeout_ms), (Some(None), Some(None)));
    }
}
