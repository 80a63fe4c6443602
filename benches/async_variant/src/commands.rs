//! Commands: pipes only, buffered or streamed.

use std::process::Stdio;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::mpsc;

use app_server::rpc::{RequestId, RpcError, error_response, response};

use crate::processor::encoded;

/// Bytes read at once, as much as a pipe holds.
const CHUNK: usize = 64 * 1024;

/// What is to run.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecParams {
    command: Vec<String>,
    #[serde(default)]
    process_id: Option<String>,
    #[serde(default)]
    stream_stdout_stderr: bool,
    #[serde(default)]
    tty: bool,
}

/// Runs a command and answers.
pub async fn exec(id: RequestId, params: ExecParams, outbox: mpsc::Sender<Bytes>) {
    let answer = match run(&params, &outbox).await {
        Ok(result) => response(&id, &result),
        Err(error) => error_response(Some(&id), &error),
    };
    let _ = outbox.send(answer).await;
}

async fn run(params: &ExecParams, outbox: &mpsc::Sender<Bytes>) -> Result<serde_json::Value, RpcError> {
    let failed = |error: std::io::Error| RpcError::internal(format!("failed to spawn command: {error}"));
    if params.tty {
        return Err(RpcError::invalid_request("the async variant has no PTYs"));
    }
    let [program, args @ ..] = params.command.as_slice() else {
        return Err(RpcError::invalid_request("command must not be empty"));
    };
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let mut output = child.stdout.take().ok_or(RpcError::internal("no pipe"))?;
    let mut buffer = vec![0; CHUNK];
    let mut kept = Vec::new();
    loop {
        let count = output.read(&mut buffer).await.map_err(failed)?;
        if count == 0 {
            break;
        }
        if params.stream_stdout_stderr {
            let delta = json!({"processId": params.process_id, "stream": "stdout",
                "deltaBase64": BASE64_STANDARD.encode(&buffer[..count]), "capReached": false});
            // A full outbox makes the command wait.
            let _ = outbox.send(encoded("command/exec/outputDelta", &delta)).await;
        } else {
            kept.extend_from_slice(&buffer[..count]);
        }
    }
    let status = child.wait().await.map_err(failed)?;
    Ok(json!({"exitCode": status.code(), "stdout": String::from_utf8_lossy(&kept), "stderr": ""}))
}
