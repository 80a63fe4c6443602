//! `proxy URL`: bridges lines on stdin and stdout to a running server's WebSocket or unix socket, for clients
//! that can only start a program.
//!
//! It looks at ids, to know when everything that was asked has been answered, and at nothing else. Three
//! workers: the caller's reads the socket and writes the output, `px-in` reads the input, `px-out` writes
//! the socket.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use socket2::Socket;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::protocol::{WebSocket, WebSocketConfig};
use tungstenite::{HandshakeError, Message};

use crate::error::StartError;
use crate::limits;
use crate::queue::{Batch, Closing, Next, Outbox, OutboxDrain, OutboxLimits, Overflow, Pushed};
use crate::rpc::{Incoming, RequestId, decode};
use crate::sync::lock;
use crate::sys::worker::Worker;
use crate::timer::TimerHandle;

/// The server to bridge to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `ws://HOST:PORT`, with or without a path.
    Tcp {
        /// Name or address, and port, as they stand in the URL.
        authority: String,
        /// The whole URL.
        url: String,
    },
    /// `unix://PATH`.
    Unix(PathBuf),
}

impl Target {
    /// Understands the URL of `proxy URL`.
    ///
    /// # Errors
    /// Another scheme, or no port or path.
    pub fn parse(url: &str) -> Result<Self, StartError> {
        let usage = |text: String| Err(StartError::Usage(text));
        if let Some(path) = url.strip_prefix("unix://").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        if url.starts_with("wss://") {
            return usage(format!("`{url}`: TLS is not spoken here; use a tunnel and `ws://HOST:PORT`"));
        }
        let authority =
            url.strip_prefix("ws://").map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
        let has_port = |authority: &&str| {
            authority.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && !host.contains('@') && port.parse::<u16>().is_ok()
            })
        };
        match authority.filter(has_port) {
            Some(authority) => Ok(Self::Tcp { authority: authority.to_owned(), url: url.to_owned() }),
            None => {
                usage(format!("`{url}` is no server's address; expected `ws://HOST:PORT` or `unix://PATH`"))
            }
        }
    }

    fn connect(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp { authority, .. } => {
                let stream = TcpStream::connect(authority.as_str())?;
                stream.set_nodelay(true)?;
                Ok(stream.into())
            }
            Self::Unix(path) => UnixStream::connect(path).map(Socket::from),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { url, .. } => f.write_str(url),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// How to bridge.
#[derive(Clone)]
pub struct ProxyConfig {
    /// The server.
    pub target: Target,
    /// The bearer token, from the variable that `--token-env` names.
    pub token: Option<String>,
    /// After the input's end, how long to wait for the answers that are still due.
    pub drain_deadline: Duration,
}

impl ProxyConfig {
    /// The bearer token from the value of the environment variable `name`.
    ///
    /// # Errors
    /// The variable is not set, or is blank.
    pub fn token_from(name: &str, value: Option<String>) -> Result<String, StartError> {
        let token = value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        token.ok_or_else(|| {
            StartError::Usage(format!(
                "`--token-env {name}`: the environment variable is not set or is blank"
            ))
        })
    }
}

impl fmt::Debug for ProxyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the token.
        f.debug_struct("ProxyConfig").field("target", &self.target).finish_non_exhaustive()
    }
}

/// The socket as tungstenite sees it: reads are reads, and once there is an outbox writes go to it.
#[derive(Debug)]
pub(super) struct Io {
    pub(super) socket: Arc<Socket>,
    outbox: Option<Outbox>,
}

impl Read for Io {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match (&*self.socket).read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }
}

impl Write for Io {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.outbox {
            // One whole control frame, masked already.
            Some(outbox) => {
                outbox.push_control(Bytes::copy_from_slice(bytes));
                Ok(bytes.len())
            }
            None => (&*self.socket).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What input and output know together.
#[derive(Debug, Default)]
struct Progress {
    /// Requests that were forwarded and not answered.
    due: HashSet<RequestId>,
    input_ended: bool,
    failure: Option<String>,
}

#[derive(Debug, Clone)]
struct Shared {
    progress: Arc<Mutex<Progress>>,
    outbox: Outbox,
    socket: Arc<Socket>,
    /// Taken at the end: the input's worker may stay behind, and a handle in it would keep the timer going.
    timer: Arc<Mutex<Option<TimerHandle>>>,
    drain_deadline: Duration,
}

/// Bridges until the input has ended and everything asked is answered, or until the server ends.
///
/// # Errors
/// The server cannot be reached or refuses, it ends first, or answers are still due at the deadline.
pub fn run(
    config: &ProxyConfig,
    timer: &TimerHandle,
    input: impl Read + Send + 'static,
    output: impl Write,
) -> Result<(), StartError> {
    let mut socket = shake_hands(config)?;
    let (outbox, drain) = Outbox::new(OutboxLimits {
        messages: limits::OUTBOX_MESSAGES,
        bytes: limits::OUTBOX_BYTES_STDIO,
        control_frames: limits::OUTBOX_CONTROL_FRAMES,
        overflow: Overflow::Wait,
    });
    socket.get_mut().outbox = Some(outbox.clone());
    let shared = Shared {
        progress: Arc::default(),
        outbox,
        socket: Arc::clone(&socket.get_ref().socket),
        timer: Arc::new(Mutex::new(Some(timer.clone()))),
        drain_deadline: config.drain_deadline,
    };
    let no_worker = |error| StartError::io("cannot start a worker", error);
    let writer = Worker::spawn("px-out", limits::STACK_BYTES_IO, {
        let socket = Arc::clone(&shared.socket);
        move || write_socket(drain, &socket)
    })
    .map_err(no_worker)?;
    let reader = Worker::spawn("px-in", limits::STACK_BYTES_IO, {
        let shared = shared.clone();
        move || read_input(input, &shared)
    })
    .map_err(no_worker)?;
    let ended = write_output(&mut socket, output, &shared);
    drop(lock(&shared.timer).take());
    shared.outbox.cut(Closing { code: 1000, reason: String::new() });
    let _ = shared.socket.shutdown(Shutdown::Both);
    drop(writer);
    if !reader.has_ended() {
        // It waits for a line that may never come, and nothing can wake it but the end of the process.
        std::mem::forget(reader);
    }
    verdict(&shared, ended)
}

/// Connects, in the name of the token if there is one.
///
/// # Errors
/// The server cannot be reached or refuses.
pub(super) fn shake_hands(config: &ProxyConfig) -> Result<WebSocket<Io>, StartError> {
    let target = &config.target;
    let failed = |error: &dyn fmt::Display| StartError::Other(format!("cannot connect to {target}: {error}"));
    let socket = Arc::new(target.connect().map_err(|error| failed(&error))?);
    let url = match target {
        Target::Tcp { url, .. } => url.as_str(),
        Target::Unix(_) => "ws://localhost/rpc",
    };
    let mut request = url.into_client_request().map_err(|error| failed(&error))?;
    if let Some(token) = &config.token {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| failed(&"the token has characters that a header cannot hold"))?;
        value.set_sensitive(true);
        request.headers_mut().insert("authorization", value);
    }
    let limits = WebSocketConfig::default()
        .read_buffer_size(limits::WRITE_BATCH_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(limits::PROXY_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(limits::PROXY_MESSAGE_BYTES_MAX));
    socket.set_read_timeout(Some(limits::HEAD_DEADLINE)).map_err(|error| failed(&error))?;
    let io = Io { socket: Arc::clone(&socket), outbox: None };
    let websocket = match tungstenite::client::client_with_config(request, io, Some(limits)) {
        Ok((websocket, _)) => websocket,
        Err(HandshakeError::Failure(tungstenite::Error::Http(response))) => {
            let text = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default()).into_owned();
            return Err(failed(&format_args!("{} {}", response.status(), text.trim())));
        }
        Err(HandshakeError::Failure(error)) => return Err(failed(&error)),
        Err(HandshakeError::Interrupted(_)) => return Err(failed(&"the server does not answer")),
    };
    socket.set_read_timeout(None).map_err(|error| failed(&error))?;
    Ok(websocket)
}

/// Runs on `px-in`: every line is a message.
fn read_input(input: impl Read, shared: &Shared) {
    let mut input = BufReader::new(input);
    let mut failure = None;
    loop {
        let mut line = Vec::new();
        let most = limits::MESSAGE_BYTES_MAX as u64 + 1;
        match (&mut input).take(most).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) if line.len() > limits::MESSAGE_BYTES_MAX => {
                failure = Some("an input line is larger than a message may be".to_owned());
                break;
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                failure = Some(format!("cannot read the input: {error}"));
                break;
            }
        }
        let message = line.trim_ascii();
        if message.is_empty() {
            continue;
        }
        if std::str::from_utf8(message).is_err() {
            failure = Some("an input line is not UTF-8".to_owned());
            break;
        }
        if let Ok(Incoming::Request(request)) = decode(message) {
            lock(&shared.progress).due.insert(request.id);
        }
        if shared.outbox.push(Bytes::copy_from_slice(message)) == Pushed::Dropped {
            return;
        }
    }
    let mut progress = lock(&shared.progress);
    progress.input_ended = true;
    progress.failure = failure;
    if progress.due.is_empty() {
        shared.finish();
    } else {
        shared.hang_up_after(shared.drain_deadline);
    }
}

/// Runs on the caller's worker: every message is a line.
fn write_output(
    socket: &mut WebSocket<Io>,
    mut output: impl Write,
    shared: &Shared,
) -> Result<Option<CloseFrame>, StartError> {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => {
                // A line break in JSON is white space: inside of a string it is written as an escape.
                let line = text.replace(['\n', '\r'], " ");
                writeln!(output, "{line}")
                    .and_then(|()| output.flush())
                    .map_err(|error| StartError::io("cannot write the output", error))?;
                if let Some(id) = answered(text.as_bytes()) {
                    let mut progress = lock(&shared.progress);
                    progress.due.remove(&id);
                    if progress.input_ended && progress.due.is_empty() {
                        shared.finish();
                    }
                }
            }
            Ok(Message::Close(frame)) => return Ok(frame),
            Ok(_) => {}
            Err(_) => return Ok(None),
        }
    }
}

fn answered(text: &[u8]) -> Option<RequestId> {
    match decode(text) {
        Ok(Incoming::Answer { id, .. }) => Some(id),
        _ => None,
    }
}

impl Shared {
    /// Says goodbye. A server that does not answer it is left.
    fn finish(&self) {
        self.outbox.finish(Closing { code: 1000, reason: String::new() });
        self.hang_up_after(limits::CLOSE_DEADLINE);
    }

    fn hang_up_after(&self, deadline: Duration) {
        let socket = Arc::downgrade(&self.socket);
        if let Some(timer) = &*lock(&self.timer) {
            timer.arm_after(deadline, move || {
                if let Some(socket) = socket.upgrade() {
                    let _ = socket.shutdown(Shutdown::Both);
                }
            });
        }
    }
}

/// Runs on `px-out`.
fn write_socket(mut drain: OutboxDrain, socket: &Socket) {
    let mut batch = Batch::default();
    let mut buffer = Vec::new();
    loop {
        let next = drain.next(&mut batch, limits::WRITE_BATCH_BYTES);
        buffer.clear();
        for frame in &batch.control {
            buffer.extend_from_slice(frame);
        }
        for message in &batch.data {
            append(&mut buffer, Frame::message(message.clone(), OpCode::Data(Data::Text), true));
        }
        if let Next::Close(closing) = &next {
            append(
                &mut buffer,
                Frame::close(Some(CloseFrame { code: closing.code.into(), reason: "".into() })),
            );
        }
        let mut socket = socket;
        if socket.write_all(&buffer).is_err() || matches!(next, Next::Close(_)) {
            return;
        }
    }
}

/// A client's frames are masked (RFC 6455, section 5.3).
fn append(buffer: &mut Vec<u8>, mut frame: Frame) {
    let [a, b, c, d, ..] = *uuid::Uuid::new_v4().as_bytes();
    frame.header_mut().mask = Some([a, b, c, d]);
    // Writing to memory does not fail.
    let _ = frame.format(buffer);
}

fn verdict(shared: &Shared, ended: Result<Option<CloseFrame>, StartError>) -> Result<(), StartError> {
    let frame = ended?;
    let progress = lock(&shared.progress);
    if let Some(failure) = &progress.failure {
        return Err(StartError::Other(failure.clone()));
    }
    match (progress.input_ended, progress.due.len()) {
        (true, 0) => Ok(()),
        (true, due) => Err(StartError::Other(format!(
            "{due} requests were not answered within {} s after the input's end",
            shared.drain_deadline.as_secs()
        ))),
        (false, _) => Err(StartError::Other(match frame {
            Some(frame) => format!("the server closed the connection: {frame}"),
            None => "the connection to the server was lost".to_owned(),
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_understood_or_named_in_the_error() {
        let tcp = |authority: &str, url: &str| Target::Tcp { authority: authority.into(), url: url.into() };
        let parse = |url: &str| Target::parse(url).map_err(|error| error.to_string());
        for (url, authority) in [
            ("ws://localhost:80", "localhost:80"),
            ("ws://[::1]:1/rpc?x", "[::1]:1"),
            ("ws://10.0.0.1:65535/", "10.0.0.1:65535"),
        ] {
            assert_eq!(parse(url), Ok(tcp(authority, url)));
        }
        assert_eq!(parse("unix:///run/a.sock"), Ok(Target::Unix("/run/a.sock".into())));
        for url in ["", "unix://", "ws://localhost", "ws://:80", "ws://u@h:80", "http://h:80", "ws://h:99999"]
        {
            let error = parse(url).expect_err(url);
            assert!(error.contains(&format!("`{url}`")), "{error}");
        }
        assert!(parse("wss://h:1").expect_err("TLS").contains("TLS"));
    }

    #[test]
    fn a_token_that_is_not_there_is_an_error_that_names_the_variable() {
        assert_eq!(ProxyConfig::token_from("T", Some(" t\n".into())).ok().as_deref(), Some("t"));
        for value in [None, Some(String::new()), Some("  ".into())] {
            let error = ProxyConfig::token_from("T", value).expect_err("no token").to_string();
            assert!(error.contains("`--token-env T`"), "{error}");
        }
    }

    #[test]
    fn the_token_is_not_in_the_debug_form() {
        let target = Target::Unix("/s".into());
        let config = ProxyConfig { target, token: Some("s3cret".into()), drain_deadline: Duration::ZERO };
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
