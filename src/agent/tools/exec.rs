//! `exec_command` and `write_stdin`: commands, and sessions with them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tracing::{Span, field};

use super::report::{self, Report};
use super::{Tool, ToolContext, ToolOutput, apply_patch, arguments, permit};
use crate::agent::actions;
use crate::agent::stop::Stop;
use crate::agent::terminals::{NewCommand, Session, shell};
use crate::exec::{CommandSpec, StdinError, TerminalSize};
use crate::limits;
use crate::model::{ToolCall, ToolSpec};
use crate::obs::trace::Context;
use crate::patch::heredoc;
use crate::proto::{CommandExecutionItem, CommandExecutionSource, CommandExecutionStatus, SandboxPolicy};

pub(super) struct ExecCommand;
pub(super) struct WriteStdin;

#[derive(Deserialize)]
pub(super) struct Arguments {
    pub(super) cmd: String,
    workdir: Option<String>,
    shell: Option<String>,
    #[serde(default = "yes")]
    login: bool,
    #[serde(default)]
    tty: bool,
    yield_time_ms: Option<u64>,
    max_output_tokens: Option<u64>,
    #[serde(default)]
    sandbox_permissions: SandboxPermissions,
    pub(super) justification: Option<String>,
    pub(super) prefix_rule: Option<Vec<String>>,
}

#[derive(Deserialize, Default, PartialEq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum SandboxPermissions {
    #[default]
    UseDefault,
    RequireEscalated,
}

fn yes() -> bool {
    true
}

impl Tool for ExecCommand {
    fn spec(&self) -> ToolSpec {
        ToolSpec::Function {
            name: "exec_command".to_owned(),
            description: "Runs a shell command and returns what it prints. A command that takes longer than \
                          the yield time goes on running; the answer then has a session id for write_stdin."
                .to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "cmd": { "type": "string", "description": "The shell command." },
                    "workdir": {
                        "type": "string",
                        "description": "Where it runs; the turn's working directory by default.",
                    },
                    "shell": {
                        "type": "string",
                        "description": "The shell that runs it; the user's by default.",
                    },
                    "login": {
                        "type": "boolean",
                        "description": "Run the shell as a login shell; true by default.",
                    },
                    "tty": {
                        "type": "boolean",
                        "description": "Give it a terminal, so that it can be typed into; false by \
                            default.",
                    },
                    "yield_time_ms": {
                        "type": "number",
                        "description": "Milliseconds to wait for its end, 250 to 30000; 10000 by \
                            default.",
                    },
                    "max_output_tokens": {
                        "type": "number",
                        "description": "Tokens of output to return at most; 10000 by default.",
                    },
                    "sandbox_permissions": {
                        "type": "string",
                        "enum": ["use_default", "require_escalated"],
                        "description": "require_escalated asks the user to run it outside of the sandbox.",
                    },
                    "justification": {
                        "type": "string",
                        "description": "With require_escalated: the question to the user, a short \
                            sentence.",
                    },
                    "prefix_rule": {
                        "type": "array",
                        "items": { "type": "string" },
                        "description": "With require_escalated: the first words of the command that \
                            the user may allow for good, for example [\"git\", \"pull\"].",
                    },
                },
                "required": ["cmd"],
                "additionalProperties": false,
            }),
            strict: false,
        }
    }

    fn is_parallel(&self) -> bool {
        true
    }

    fn run(&self, call: &ToolCall, context: &ToolContext) -> Result<ToolOutput, Stop> {
        let wanted: Arguments = match arguments(call) {
            Ok(wanted) => wanted,
            Err(refusal) => return Ok(refusal),
        };
        let base = Path::new(&context.settings.cwd);
        let cwd = wanted.workdir.as_deref().map_or_else(|| base.to_owned(), |dir| base.join(dir));
        if let Some(patch) = heredoc::extract(&wanted.cmd) {
            let folder = patch.folder.map_or_else(|| cwd.clone(), |folder| cwd.join(folder));
            return apply_patch::apply(&call.call_id, &patch.patch, &folder, context);
        }
        if !cwd.is_dir() {
            return Ok(ToolOutput::failed(format!(
                "exec_command failed: the working directory {} is not there: No such file or directory",
                cwd.display()
            )));
        }
        run(call, &wanted, &cwd, context)
    }
}

fn run(call: &ToolCall, wanted: &Arguments, cwd: &Path, context: &ToolContext) -> Result<ToolOutput, Stop> {
    let shell = shell(wanted.shell.as_deref());
    let flag = if wanted.login { "-lc" } else { "-c" };
    let item = CommandExecutionItem {
        id: call.call_id.clone(),
        plugin_id: None,
        script_path: None,
        command: shown(&shell, flag, &wanted.cmd),
        cwd: cwd.display().to_string(),
        process_id: None,
        source: CommandExecutionSource::Agent,
        status: CommandExecutionStatus::InProgress,
        command_actions: actions::of(&wanted.cmd, cwd),
        aggregated_output: None,
        exit_code: None,
        duration_ms: None,
    };
    let escalated = wanted.sandbox_permissions == SandboxPermissions::RequireEscalated;
    let permit = match permit::command(wanted, escalated, &item, context)? {
        Ok(permit) => permit,
        Err(refusal) => return Ok(refusal),
    };
    let policy =
        if permit.unconfined { SandboxPolicy::DangerFullAccess } else { context.settings.sandbox.clone() };
    let mut spec = command(&shell, &[flag, &wanted.cmd], cwd, policy, context);
    spec.terminal = wanted.tty.then(TerminalSize::default);
    let (_span, carrier) = begin_command(&context.trace, &call.call_id);
    spec.env.extend(carrier);
    let item = CommandExecutionItem { source: CommandExecutionSource::UnifiedExecStartup, ..item };
    let new = NewCommand {
        spec,
        item: item.clone(),
        shown_since_ms: permit.shown_since_ms,
        teller: context.teller.clone(),
    };
    let begun = context.clock.now();
    let session = match context.terminals.start(&context.spawner, new) {
        Ok(session) => session,
        Err(error) => {
            permit::fail_shown(item, permit.shown_since_ms, context)?;
            return Ok(ToolOutput::failed(format!("exec_command failed: {error}")));
        }
    };
    if let Err(error) = session.wait_started(&context.clock, &context.cancel) {
        context.terminals.forget(session.id());
        return Ok(ToolOutput::failed(format!("exec_command failed: {error}")));
    }
    let asked = wanted.yield_time_ms.map_or(limits::COMMAND_YIELD, Duration::from_millis);
    let patience = asked.clamp(limits::COMMAND_YIELD_MIN, limits::COMMAND_YIELD_MAX);
    session.wait_ended(&context.clock, &context.cancel, begun.after(patience));
    let confined = (!permit.unconfined).then_some(&context.settings.sandbox);
    tell(&session, wanted.max_output_tokens, begun, confined, context)
}

/// What the model is told of a session now.
fn tell(
    session: &Session,
    max_output_tokens: Option<u64>,
    begun: crate::clock::Monotonic,
    confined: Option<&SandboxPolicy>,
    context: &ToolContext,
) -> Result<ToolOutput, Stop> {
    if context.cancel.is_cancelled() {
        return Err(Stop::Interrupted);
    }
    let heard = session.hear(report::bytes_of(max_output_tokens));
    if heard.exit.is_some() {
        context.terminals.forget(session.id());
    }
    let report = Report {
        heard,
        session_id: session.id(),
        took: context.clock.now().since(begun),
        confined,
        approval_policy: context.settings.approval_policy,
    };
    Ok(ToolOutput::done(report.text()))
}

/// A command of the agent: its folder, its environment, its sandbox.
fn command(
    shell: &Path,
    arguments: &[&str],
    cwd: &Path,
    policy: SandboxPolicy,
    context: &ToolContext,
) -> CommandSpec {
    let workspace = PathBuf::from(&context.settings.cwd);
    let confined = matches!(policy, SandboxPolicy::WorkspaceWrite { .. });
    let arguments = arguments.iter().map(OsString::from);
    let mut spec = if confined && cwd != workspace {
        // The sandbox makes the folder that a command starts in writable. Only the workspace is to be, so the
        // command starts there and goes where it is wanted.
        let mut spec = CommandSpec::new("/bin/sh", workspace, policy);
        let go = ["-c", "cd -- \"$1\" && shift && exec \"$@\"", "sh"].map(OsString::from);
        spec.args.extend(go);
        spec.args.extend([cwd.into(), shell.into()]);
        spec
    } else {
        CommandSpec::new(shell, cwd, policy)
    };
    spec.args.extend(arguments);
    spec.env = quiet();
    spec
}

/// A command of the user: unconfined, as the protocol has it.
pub(in crate::agent) fn user_command(
    shell: &Path,
    script: &str,
    cwd: &Path,
    timeout: Duration,
) -> CommandSpec {
    let mut spec = CommandSpec::new(shell, cwd, SandboxPolicy::DangerFullAccess);
    spec.args = ["-lc", script].map(OsString::from).to_vec();
    spec.env = quiet();
    spec.timeout = Some(timeout);
    spec
}

/// A command is a span of its own, and is told which: programs that trace go on from there.
pub(in crate::agent) fn begin_command(trace: &Context, item_id: &str) -> (Span, Variables) {
    let trace = trace.child();
    let span = tracing::info_span!(
        target: "app_server::trace",
        "app_server.command",
        otel.kind = "internal",
        otel.name = "command",
        item.id = item_id,
        trace_id = field::Empty,
        trace_flags = field::Empty,
        span_id = field::Empty,
        parent_span_id = field::Empty,
    );
    trace.record(&span);
    let state = trace.state().map(OsString::from);
    let carrier = vec![
        ("TRACEPARENT".into(), Some(trace.to_string().into())),
        // The server's own state belongs to another trace.
        ("TRACESTATE".into(), state),
    ];
    (span, carrier)
}

/// Variables that are set, or taken away.
type Variables = Vec<(OsString, Option<OsString>)>;

/// What keeps programs from waiting for a reader or painting for one.
fn quiet() -> Variables {
    let quiet =
        [("NO_COLOR", "1"), ("TERM", "dumb"), ("PAGER", "cat"), ("GIT_PAGER", "cat"), ("GH_PAGER", "cat")];
    quiet.map(|(name, value)| (name.into(), Some(value.into()))).to_vec()
}

/// The command line as it is shown.
pub(in crate::agent) fn shown(shell: &Path, flag: &str, script: &str) -> String {
    format!("{} {flag} {}", quoted(&shell.display().to_string()), quoted(script))
}

/// A word as a shell takes it for one.
fn quoted(word: &str) -> String {
    // A word with a NUL cannot be one; it is shown all the same.
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), std::borrow::Cow::into_owned)
}

#[derive(Deserialize)]
struct Typed {
    session_id: i64,
    #[serde(default)]
    chars: String,
    yield_time_ms: Option<u64>,
    max_output_tokens: Option<u64>,
}

impl Tool for WriteStdin {
    fn spec(&self) -> ToolSpec {
        ToolSpec::Function {
            name: "write_stdin".to_owned(),
            description:
                "Types into a running session of exec_command and returns what it has printed since. \
                          Without characters it only waits and looks."
                    .to_owned(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "session_id": { "type": "number", "description": "The session, from exec_command." },
                    "chars": { "type": "string", "description": "What to type; empty only looks." },
                    "yield_time_ms": {
                        "type": "number",
                        "description": "Milliseconds to wait for its end: 250 to 30000 and 250 by \
                            default when typing, 5000 to 300000 and 5000 by default when looking.",
                    },
                    "max_output_tokens": {
                        "type": "number",
                        "description": "Tokens of output to return at most; 10000 by default.",
                    },
                },
                "required": ["session_id"],
                "additionalProperties": false,
            }),
            strict: false,
        }
    }

    fn run(&self, call: &ToolCall, context: &ToolContext) -> Result<ToolOutput, Stop> {
        let typed: Typed = match arguments(call) {
            Ok(typed) => typed,
            Err(refusal) => return Ok(refusal),
        };
        let Some(session) = context.terminals.get(typed.session_id) else {
            return Ok(ToolOutput::failed(format!(
                "write_stdin failed: there is no session {}; it may have ended",
                typed.session_id
            )));
        };
        let begun = context.clock.now();
        let (default, min, max) = if typed.chars.is_empty() {
            (limits::COMMAND_LOOK_MIN, limits::COMMAND_LOOK_MIN, limits::COMMAND_LOOK_MAX)
        } else {
            (limits::COMMAND_YIELD_MIN, limits::COMMAND_YIELD_MIN, limits::COMMAND_YIELD_MAX)
        };
        let patience = typed.yield_time_ms.map_or(default, Duration::from_millis).clamp(min, max);
        if !typed.chars.is_empty() {
            let deadline = begun.after(patience);
            if let Err(error) = session.write(&typed.chars, &context.teller, &context.clock, deadline) {
                let hint = match error {
                    StdinError::NotPiped => "; start it with tty to type into it",
                    _ => "",
                };
                return Ok(ToolOutput::failed(format!("write_stdin failed: {error}{hint}")));
            }
        }
        session.wait_ended(&context.clock, &context.cancel, begun.after(patience));
        tell(&session, typed.max_output_tokens, begun, /*confined*/ None, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_shown_as_one_would_type_it() {
        let bash = Path::new("/bin/bash");
        assert_eq!(shown(bash, "-lc", "cat"), "/bin/bash -lc cat");
        assert_eq!(shown(bash, "-lc", "echo two"), "/bin/bash -lc 'echo two'");
        assert_eq!(shown(bash, "-c", "echo 'a b'"), "/bin/bash -c \"echo 'a b'\"");
        assert_eq!(shown(bash, "-c", "echo '$a'"), r#"/bin/bash -c "echo '"'$a'"'""#);
        assert_eq!(shown(bash, "-c", ""), "/bin/bash -c ''");
    }
}
