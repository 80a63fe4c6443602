//! `command/exec` and what steers it. The order of the checks is the reference's.

use std::path::Path;

use super::catalog::PROFILES;
use super::command_input::{self, Wanted, check_size, refused, senseless, size, timeout};
use crate::limits;
use crate::proto::{
    CommandExecParams, CommandExecResizeParams, CommandExecTerminateParams, CommandExecWriteParams,
    EmptyResponse, SandboxPolicy,
};
use crate::rpc::{Reply, RpcError};
use crate::server::commands::{Family, Launch};
use crate::server::dispatch::Caller;
use crate::server::processor::Processor;

/// `command/exec`: answered when the command has ended.
pub(in crate::server) fn exec(
    processor: &mut Processor,
    caller: Caller,
    params: CommandExecParams,
    reply: Reply,
) {
    match checked(processor, caller, params) {
        Ok(launch) => processor.launch(launch, reply),
        Err(error) => reply.refuse(error),
    }
}

fn checked(processor: &Processor, caller: Caller, params: CommandExecParams) -> Result<Launch, RpcError> {
    if params.command.is_empty() {
        return Err(refused("command must not be empty"));
    }
    if params.sandbox_policy.is_some() && params.permission_profile.is_some() {
        return Err(refused("`permissionProfile` cannot be combined with `sandboxPolicy`"));
    }
    check_size("command/exec", params.tty, params.size)?;
    if params.output_bytes_cap.is_some() && params.disable_output_cap {
        return Err(senseless("command/exec cannot set both outputBytesCap and disableOutputCap"));
    }
    if params.timeout_ms.is_some() && params.disable_timeout {
        return Err(senseless("command/exec cannot set both timeoutMs and disableTimeout"));
    }
    let timeout = match params.timeout_ms {
        Some(ms) => Some(timeout("command/exec", ms)?),
        None => (!params.disable_timeout).then_some(limits::COMMAND_TIMEOUT),
    };
    let base: &Path = processor.facts.defaults.cwd.as_ref();
    let wanted = Wanted {
        command: params.command,
        cwd: base.join(params.cwd.as_deref().unwrap_or_default()),
        tty: params.tty,
        size: params.size,
        stream_stdin: params.stream_stdin,
        timeout,
        env: params.env,
        sandbox: sandbox(processor, params.sandbox_policy, params.permission_profile.as_deref())?,
    };
    let spec = wanted.spec("command/exec", processor)?;
    let is_streamed = params.stream_stdout_stderr || params.tty;
    if (is_streamed || params.stream_stdin) && params.process_id.is_none() {
        return Err(refused("command/exec tty or streaming requires a client-supplied processId"));
    }
    let cap = match params.disable_output_cap {
        true => None,
        false => Some(params.output_bytes_cap.unwrap_or(limits::COMMAND_OUTPUT_BYTES)),
    };
    let connection = caller.connection;
    Ok(Launch { connection, family: Family::Exec, id: params.process_id, spec, cap, is_streamed })
}

/// What the command may do: as asked, else as configured.
fn sandbox(
    processor: &Processor,
    policy: Option<SandboxPolicy>,
    profile: Option<&str>,
) -> Result<SandboxPolicy, RpcError> {
    let defaults = &processor.facts.defaults;
    match (policy, profile) {
        (Some(policy), _) => Ok(policy),
        (None, None) => Ok(defaults.sandbox(defaults.sandbox_mode)),
        (None, Some(name)) => {
            let known = PROFILES.iter().find(|(id, _)| *id == name);
            let (_, mode) = known.ok_or_else(|| {
                refused(format!("invalid permission profile: `{name}`; see permissionProfile/list"))
            })?;
            Ok(defaults.sandbox(*mode))
        }
    }
}

/// `command/exec/write`: answered when the command has the bytes.
pub(in crate::server) fn write(
    processor: &mut Processor,
    caller: Caller,
    params: CommandExecWriteParams,
    reply: Reply,
) {
    let of = ("command/exec/write", Family::Exec, &*params.process_id);
    command_input::write(processor, caller, of, (params.delta_base64.as_deref(), params.close_stdin), reply);
}

/// `command/exec/resize`.
pub(in crate::server) fn resize(
    processor: &mut Processor,
    caller: Caller,
    params: CommandExecResizeParams,
) -> Result<EmptyResponse, RpcError> {
    let size = size("command/exec", params.size)?;
    processor.resize_command(caller.connection, Family::Exec, &params.process_id, size)
}

/// `command/exec/terminate`: the answer says that it was told to end; its end is `command/exec`'s answer.
pub(in crate::server) fn terminate(
    processor: &mut Processor,
    caller: Caller,
    params: CommandExecTerminateParams,
) -> Result<EmptyResponse, RpcError> {
    processor.kill_command(caller.connection, Family::Exec, &params.process_id)
}
