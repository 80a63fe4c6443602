//! A client's end of a connection: lines over pipes, or text frames over a socket.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{ChildStdin, ChildStdout};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

/// A peer that says nothing for so long has failed the workload.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// How far into a message its method's name may stand.
const HEAD: usize = 80;

/// Why a workload has no figures for a peer.
pub(crate) type Missing = String;

/// A connection to a server.
pub(crate) enum Link {
    /// Lines.
    Stdio {
        /// To the server.
        input: ChildStdin,
        /// From it.
        output: BufReader<ChildStdout>,
    },
    /// Frames.
    Ws(Box<WebSocket<TcpStream>>),
}

impl Link {
    /// Connects by WebSocket; not initialized yet.
    pub(crate) fn connect(address: &str) -> Result<Self, Missing> {
        let stream = TcpStream::connect(address).map_err(|error| format!("connect: {error}"))?;
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(SILENCE_MAX));
        let config = WebSocketConfig::default().read_buffer_size(8 * 1024).write_buffer_size(0);
        let (socket, _) =
            tungstenite::client::client_with_config(format!("ws://{address}/"), stream, Some(config))
                .map_err(|error| format!("upgrade: {error}"))?;
        Ok(Self::Ws(Box::new(socket)))
    }

    /// Says who we are.
    pub(crate) fn initialize(&mut self) -> Result<(), Missing> {
        let capabilities = json!({"experimentalApi": true});
        let info = json!({"name": "bench", "version": "1"});
        self.ask("initialize", &json!({"clientInfo": info, "capabilities": capabilities})).map(drop)?;
        self.send(r#"{"method":"initialized"}"#)
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, message: &str) -> Result<(), Missing> {
        match self {
            Self::Stdio { input, .. } => {
                let line = format!("{message}\n");
                input.write_all(line.as_bytes()).map_err(|error| format!("write: {error}"))
            }
            Self::Ws(socket) => {
                socket.send(Message::text(message)).map_err(|error| format!("write: {error}"))
            }
        }
    }

    /// The next message.
    pub(crate) fn next(&mut self) -> Result<String, Missing> {
        match self {
            Self::Stdio { output, .. } => {
                let mut line = String::new();
                match output.read_line(&mut line) {
                    Ok(0) => Err("the server closed its output".to_owned()),
                    Ok(_) => Ok(line),
                    Err(error) => Err(format!("read: {error}")),
                }
            }
            Self::Ws(socket) => loop {
                match socket.read().map_err(|error| format!("read: {error}"))? {
                    Message::Text(text) => return Ok(text.to_string()),
                    Message::Close(frame) => return Err(format!("closed: {frame:?}")),
                    _ => {}
                }
            },
        }
    }

    /// The next answer; what is said in between is dropped.
    pub(crate) fn answer(&mut self) -> Result<String, Missing> {
        loop {
            let message = self.next()?;
            if !is_event(&message) {
                return Ok(message);
            }
        }
    }

    /// Asks and waits for the result.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Result<Value, Missing> {
        self.send(&json!({"id": 1, "method": method, "params": params}).to_string())?;
        let answer = self.answer()?;
        let mut answer: Value =
            serde_json::from_str(&answer).map_err(|error| format!("{method}: {error}"))?;
        match answer.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(format!("{method}: {}", answer["error"])),
        }
    }

    /// Reads until the end of a turn; how many messages that took. A turn that failed measures nothing.
    pub(crate) fn turn_end(&mut self) -> Result<usize, Missing> {
        let mut count = 1;
        loop {
            let message = self.next()?;
            if has(&message, "\"method\":\"turn/completed\"") {
                return match message.contains("\"status\":\"completed\"") {
                    true => Ok(count),
                    false => Err(message.chars().take(600).collect()),
                };
            }
            if message.starts_with("{\"error\"") {
                return Err(message);
            }
            count += 1;
        }
    }

    /// A new thread's id.
    pub(crate) fn start_thread(&mut self) -> Result<String, Missing> {
        let result = self.ask("thread/start", &json!({"cwd": "/tmp"}))?;
        result["thread"]["id"].as_str().map(ToOwned::to_owned).ok_or("a thread without id".to_owned())
    }

    /// Runs a turn of `deltas` deltas of `size` bytes to its end; the number of messages it sent.
    pub(crate) fn turn(&mut self, thread: &str, deltas: usize, size: usize) -> Result<usize, Missing> {
        self.send(&turn_request(thread, deltas, size))?;
        self.turn_end()
    }
}

/// A `turn/start` whose answer has `deltas` deltas of `size` bytes.
pub(crate) fn turn_request(thread: &str, deltas: usize, size: usize) -> String {
    let text = format!("deltas={deltas} size={size}");
    let params = json!({"threadId": thread, "input": [{"type": "text", "text": text}]});
    json!({"id": 2, "method": "turn/start", "params": params}).to_string()
}

/// True for what is not an answer. Peers differ in the order of keys, so this looks at the beginning only as
/// far as the method's name can stand.
pub(crate) fn is_event(message: &str) -> bool {
    has(message, "\"method\":\"")
}

/// Looks for `what` near the beginning: methods stand before long params in all servers of this protocol.
fn has(message: &str, what: &str) -> bool {
    let head = message.as_bytes();
    head[..head.len().min(HEAD)].windows(what.len()).any(|part| part == what.as_bytes())
}
