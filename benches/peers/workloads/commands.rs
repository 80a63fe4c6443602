//! Commands for clients.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Outcome;
use crate::clock::{in_background, micros, millis, now};
use crate::link::{Link, Missing, is_event};
use crate::peer::Stage;
use crate::stats::{Figure, p50_p99};

/// `true`, beside what starting it by hand takes.
pub(crate) fn exec(stage: &Stage<'_>) -> Outcome {
    let home = stage.home()?;
    let server = stage.listening(&home)?;
    let mut link = server.client()?;
    let count = stage.args.scaled(/*many*/ 200);
    let full = json!({"type": "dangerFullAccess"});
    let plain = times(count, || run_true(&mut link, &full))?;
    let read_only = json!({"type": "readOnly"});
    let confined = times(count, || run_true(&mut link, &read_only))?;
    let bare = times(count, || {
        let status = Command::new("true").stdin(Stdio::null()).stdout(Stdio::piped()).output();
        status.map(drop).map_err(|error| error.to_string())
    })?;
    Ok(vec![
        Figure::cost("p50", "ms", plain),
        Figure::cost("p50, read-only sandbox", "ms", confined),
        Figure::cost("p50, to that of a bare spawn and wait", "x", plain / bare),
    ])
}

fn run_true(link: &mut Link, policy: &Value) -> Result<(), Missing> {
    let result = link.ask("command/exec", &json!({"command": ["true"], "sandboxPolicy": policy}))?;
    match result["exitCode"].as_i64() {
        Some(0) => Ok(()),
        other => Err(format!("`true` ended with {other:?}")),
    }
}

/// The median time of some runs, in milliseconds.
fn times(count: usize, mut run: impl FnMut() -> Result<(), Missing>) -> Result<f64, Missing> {
    let mut took = Vec::new();
    for _ in 0..count {
        let started = now();
        run()?;
        took.push(millis(started.elapsed()));
    }
    Ok(p50_p99(took).0)
}

/// Much output.
pub(crate) fn output(stage: &Stage<'_>) -> Outcome {
    stream(stage, stage.args.scaled(/*many*/ 100_000_000))
}

/// Ten times as much.
pub(crate) fn output_1gb(stage: &Stage<'_>) -> Outcome {
    stream(stage, stage.args.scaled(/*many*/ 1_000_000_000))
}

/// Bytes of one piece of output in [`encode_only`]: what a server reads at once.
const PIECE: usize = 64 * 1024;

/// What encoding alone takes: the same output from memory, as base64 in JSON in frames, by the same libraries
/// to the same reader over a socket, without a command, a pipe and a server. In MB a second.
fn encode_only(bytes: usize) -> Result<f64, Missing> {
    let failed = |error: &dyn std::fmt::Display| format!("the bare figure: {error}");
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| failed(&error))?;
    let address = listener.local_addr().map_err(|error| failed(&error))?.to_string();
    in_background(move || {
        let Ok((stream, _)) = listener.accept() else { return };
        let _ = stream.set_nodelay(true);
        let Ok(mut socket) = tungstenite::accept(stream) else { return };
        let (piece, mut left) = (vec![0; PIECE], bytes);
        while left > 0 {
            let now = &piece[..left.min(PIECE)];
            let params = json!({
                "processId": "flood", "stream": "stdout", "deltaBase64": STANDARD.encode(now), "capReached": false,
            });
            let message = json!({"method": "command/exec/outputDelta", "params": params}).to_string();
            if socket.write(tungstenite::Message::text(message)).is_err() {
                return;
            }
            left -= now.len();
        }
        let _ = socket.send(tungstenite::Message::text("{\"id\":1,\"result\":{}}"));
        // Until the other side goes.
        while socket.read().is_ok() {}
    });
    let mut link = Link::connect(&address)?;
    let started = now();
    link.answer()?;
    Ok(bytes as f64 / 1e6 / started.elapsed().as_secs_f64())
}

fn stream(stage: &Stage<'_>, bytes: usize) -> Outcome {
    let home = stage.home()?;
    let server = stage.listening(&home)?;
    let mut link = server.client()?;
    let rss = server.peak_rss_kib();
    let (started, cpu) = (now(), server.cpu());
    let params = json!({
        "command": ["head", "-c", bytes.to_string(), "/dev/zero"], "processId": "flood",
        "streamStdoutStderr": true, "disableOutputCap": true, "disableTimeout": true,
        "sandboxPolicy": {"type": "dangerFullAccess"},
    });
    link.send(&json!({"id": 1, "method": "command/exec", "params": params}).to_string())?;
    let mut encoded = 0;
    let answer = loop {
        let message = link.next()?;
        if !is_event(&message) {
            break message;
        }
        encoded += message.len();
    };
    let seconds = started.elapsed().as_secs_f64();
    if !answer.contains("\"exitCode\":0") {
        return Err(answer.chars().take(200).collect());
    }
    // Base64 takes four bytes for three.
    if encoded < bytes / 3 * 4 {
        return Err(format!("{encoded} bytes of messages cannot hold {bytes} bytes of output"));
    }
    let rate = bytes as f64 / 1e6 / seconds;
    Ok(vec![
        Figure::rate("output", "MB/s", rate),
        Figure::cost("time, to that of encoding alone", "x", encode_only(bytes)? / rate),
        Figure::cost("CPU a MB", "ms", (server.cpu() - cpu) * 1e9 / bytes as f64),
        Figure::cost("peak of memory above idle", "MiB", (server.peak_rss_kib() - rss) / 1024.0),
    ])
}

/// Keystrokes.
pub(crate) fn echo(stage: &Stage<'_>) -> Outcome {
    let home = stage.home()?;
    let count = stage.args.scaled(/*many*/ 300);
    let mut piped = stage.piped(&home)?;
    piped.link.initialize()?;
    let stdio = keystrokes(&mut piped.link, count)?;
    drop(piped);
    let server = stage.listening(&home)?;
    let ws = keystrokes(&mut server.client()?, count)?;
    Ok(vec![Figure::cost("stdio p50", "us", stdio), Figure::cost("WebSocket p50", "us", ws)])
}

fn keystrokes(link: &mut Link, count: usize) -> Result<f64, Missing> {
    let params = json!({
        "command": ["cat"], "processId": "pty", "tty": true, "disableTimeout": true,
        "sandboxPolicy": {"type": "dangerFullAccess"},
    });
    link.send(&json!({"id": 1, "method": "command/exec", "params": params}).to_string())?;
    let write = json!({"processId": "pty", "deltaBase64": "eA=="});
    let write = json!({"id": 2, "method": "command/exec/write", "params": write}).to_string();
    let mut took = Vec::new();
    for _ in 0..count {
        let started = now();
        link.send(&write)?;
        let (mut answered, mut echoed) = (false, None);
        while !answered || echoed.is_none() {
            let message = link.next()?;
            if message.contains("outputDelta") {
                echoed.get_or_insert_with(|| micros(started.elapsed()));
            } else if !is_event(&message) {
                if message.contains("\"error\"") {
                    return Err(message.chars().take(200).collect());
                }
                answered = true;
            }
        }
        took.extend(echoed);
    }
    link.send(
        &json!({"id": 3, "method": "command/exec/terminate", "params": {"processId": "pty"}}).to_string(),
    )?;
    Ok(p50_p99(took).0)
}
