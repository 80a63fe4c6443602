//! `process/spawn` and what steers it: like `command/exec`, but answered at the start, and never confined.

use std::path::Path;

use super::command_input::{environment, input, refused, senseless, size, timeout};
use crate::exec::{CommandSpec, TerminalSize};
use crate::limits;
use crate::proto::{
    EmptyResponse, ProcessKillParams, ProcessResizePtyParams, ProcessSpawnParams, ProcessWriteStdinParams,
    SandboxPolicy,
};
use crate::rpc::{Reply, RpcError};
use crate::server::commands::{Family, Launch};
use crate::server::dispatch::Caller;
use crate::server::processor::Processor;

/// `process/spawn`: answered when the process runs; `process/exited` tells its end.
pub(in crate::server) fn spawn(
    processor: &mut Processor,
    caller: Caller,
    params: ProcessSpawnParams,
    reply: Reply,
) {
    match checked(processor, caller, params) {
        Ok(launch) => processor.launch(launch, reply),
        Err(error) => reply.refuse(error),
    }
}

fn checked(processor: &Processor, caller: Caller, params: ProcessSpawnParams) -> Result<Launch, RpcError> {
    let Some((program, args)) = params.command.split_first() else {
        return Err(refused("command must not be empty"));
    };
    if !Path::new(&params.cwd).is_absolute() {
        return Err(refused("Invalid request: AbsolutePathBuf deserialized without a base path"));
    }
    if params.size.is_some() && !params.tty {
        return Err(senseless("process/spawn size requires tty: true"));
    }
    let timeout = match params.timeout_ms {
        Some(Some(ms)) => Some(timeout("process/spawn", ms)?),
        Some(None) => None,
        None => Some(limits::COMMAND_TIMEOUT),
    };
    let terminal = match (params.tty, params.size) {
        (true, Some(asked)) => Some(size("process/spawn", asked)?),
        (true, None) => Some(TerminalSize::default()),
        (false, _) => None,
    };
    let spec = CommandSpec {
        args: args.iter().map(Into::into).collect(),
        env: environment(params.env, params.tty),
        stdin: params.stream_stdin,
        terminal,
        timeout,
        limits: processor.facts.command_limits,
        // The protocol says so: a process runs where and as the server runs.
        ..CommandSpec::new(program, &params.cwd, SandboxPolicy::DangerFullAccess)
    };
    Ok(Launch {
        connection: caller.connection,
        family: Family::Process,
        id: Some(params.process_handle),
        spec,
        cap: params.output_bytes_cap.unwrap_or(Some(limits::COMMAND_OUTPUT_BYTES)),
        is_streamed: params.stream_stdout_stderr || params.tty,
    })
}

/// `process/writeStdin`: answered when the process has the bytes.
pub(in crate::server) fn write(
    processor: &mut Processor,
    caller: Caller,
    params: ProcessWriteStdinParams,
    reply: Reply,
) {
    match input("process/writeStdin", params.delta_base64.as_deref(), params.close_stdin) {
        Ok(input) => {
            let handle = &params.process_handle;
            processor.write_to_command(caller.connection, Family::Process, handle, input, reply);
        }
        Err(error) => reply.refuse(error),
    }
}

/// `process/resizePty`.
pub(in crate::server) fn resize(
    processor: &mut Processor,
    caller: Caller,
    params: ProcessResizePtyParams,
) -> Result<EmptyResponse, RpcError> {
    let size = size("process/resizePty", params.size)?;
    processor.resize_command(caller.connection, Family::Process, &params.process_handle, size)
}

/// `process/kill`: the answer says that it was told to end; `process/exited` tells its end.
pub(in crate::server) fn kill(
    processor: &mut Processor,
    caller: Caller,
    params: ProcessKillParams,
) -> Result<EmptyResponse, RpcError> {
    processor.kill_command(caller.connection, Family::Process, &params.process_handle)
}
