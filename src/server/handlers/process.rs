//! `process/spawn` and what steers it: like `command/exec`, but answered at the start, and never confined.

use std::path::Path;

use super::command_input::{self, Wanted, check_size, refused, size, timeout};
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
    if params.command.is_empty() {
        return Err(refused("command must not be empty"));
    }
    if !Path::new(&params.cwd).is_absolute() {
        return Err(refused("Invalid request: AbsolutePathBuf deserialized without a base path"));
    }
    check_size("process/spawn", params.tty, params.size)?;
    let timeout = match params.timeout_ms {
        Some(Some(ms)) => Some(timeout("process/spawn", ms)?),
        Some(None) => None,
        None => Some(limits::COMMAND_TIMEOUT),
    };
    let wanted = Wanted {
        command: params.command,
        cwd: params.cwd.into(),
        tty: params.tty,
        size: params.size,
        stream_stdin: params.stream_stdin,
        timeout,
        env: params.env,
        // The protocol says so: a process runs where and as the server runs.
        sandbox: SandboxPolicy::DangerFullAccess,
    };
    Ok(Launch {
        connection: caller.connection,
        family: Family::Process,
        id: Some(params.process_handle),
        spec: wanted.spec("process/spawn", processor)?,
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
    let of = ("process/writeStdin", Family::Process, &*params.process_handle);
    command_input::write(processor, caller, of, (params.delta_base64.as_deref(), params.close_stdin), reply);
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
