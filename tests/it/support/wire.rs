//! The two ways of carrying messages: lines on pipes, text messages on a WebSocket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{ChildStdin, ChildStdout};
use std::sync::{Arc, Mutex, PoisonError};

use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use super::PATIENCE;

/// Where a client's messages go.
#[derive(Debug)]
pub(crate) enum Sender {
    Pipe(Option<ChildStdin>),
    Socket { socket: Box<WebSocket<Shared>>, stream: TcpStream },
}

/// Where the server's messages come from.
#[derive(Debug)]
pub(crate) enum Receiver {
    Pipe(BufReader<ChildStdout>),
    Socket(Box<WebSocket<Shared>>),
}

/// A socket that is read here and written there; frames are written whole.
#[derive(Debug)]
pub(crate) struct Shared {
    stream: TcpStream,
    writing: Arc<Mutex<()>>,
}

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.stream.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects to a server's WebSocket.
pub(crate) fn connect(address: SocketAddr) -> (Sender, Receiver) {
    connect_as(address, /*token*/ None)
}

fn request(address: SocketAddr, token: Option<&str>) -> tungstenite::handshake::client::Request {
    use tungstenite::client::IntoClientRequest as _;
    let mut request = format!("ws://{address}/").into_client_request().expect("a request");
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().expect("a header's value");
        request.headers_mut().insert("authorization", value);
    }
    request
}

/// Connects with a token, if there is one.
pub(crate) fn connect_as(address: SocketAddr, token: Option<&str>) -> (Sender, Receiver) {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the server accepts connections");
    stream.set_nodelay(true).expect("small messages leave at once");
    // A server that does not take or answer must not hold up the tests for ever.
    stream.set_write_timeout(Some(PATIENCE)).expect("a deadline for writing");
    stream.set_read_timeout(Some(PATIENCE)).expect("a deadline for the handshake");
    let writing = Arc::default();
    let half =
        || Shared { stream: stream.try_clone().expect("a second handle"), writing: Arc::clone(&writing) };
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let (socket, _) = tungstenite::client::client_with_config(request(address, token), half(), Some(config))
        .expect("the server upgrades");
    stream.set_read_timeout(None).expect("no deadline for reading");
    let sending = WebSocket::from_raw_socket(half(), Role::Client, Some(config));
    (Sender::Socket { socket: Box::new(sending), stream }, Receiver::Socket(Box::new(socket)))
}

impl Sender {
    /// Sends one message.
    pub(crate) fn send(&mut self, text: &str) -> Result<(), String> {
        match self {
            Self::Pipe(None) => Err("the input is closed".to_owned()),
            Self::Pipe(Some(pipe)) => {
                let line = format!("{text}\n");
                pipe.write_all(line.as_bytes()).map_err(|error| error.to_string())
            }
            Self::Socket { socket, .. } => {
                socket.send(Message::text(text)).map_err(|error| error.to_string())
            }
        }
    }

    /// Sends many messages in as few system calls as possible.
    pub(crate) fn send_all(&mut self, texts: &[String]) -> Result<(), String> {
        match self {
            Self::Socket { socket, .. } => {
                for text in texts {
                    socket.write(Message::text(text.as_str())).map_err(|error| error.to_string())?;
                }
                socket.flush().map_err(|error| error.to_string())
            }
            _ if texts.is_empty() => Ok(()),
            Self::Pipe(Some(pipe)) => {
                let lines = texts.join("\n") + "\n";
                pipe.write_all(lines.as_bytes()).map_err(|error| error.to_string())
            }
            Self::Pipe(None) => Err("the input is closed".to_owned()),
        }
    }

    /// Sends bytes that need not be a message.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), String> {
        match self {
            Self::Pipe(Some(pipe)) => pipe.write_all(bytes).map_err(|error| error.to_string()),
            Self::Pipe(None) => Err("the input is closed".to_owned()),
            Self::Socket { stream, .. } => stream.write_all(bytes).map_err(|error| error.to_string()),
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn close(&mut self) {
        match self {
            Self::Pipe(pipe) => drop(pipe.take()),
            Self::Socket { stream, .. } => drop(stream.shutdown(Shutdown::Both)),
        }
    }
}

impl Receiver {
    /// The next message, or why there is none.
    pub(crate) fn receive(&mut self) -> Result<String, String> {
        match self {
            Self::Pipe(lines) => {
                let mut line = String::new();
                match lines.read_line(&mut line) {
                    Ok(0) => Err("the output has ended".to_owned()),
                    Ok(_) if line.ends_with('\n') => Ok(line.trim_end_matches('\n').to_owned()),
                    Ok(_) => Err(format!("the output has ended in the middle of a line: {line}")),
                    Err(error) => Err(error.to_string()),
                }
            }
            Self::Socket(socket) => loop {
                match socket.read() {
                    Ok(Message::Text(text)) => return Ok(text.as_str().to_owned()),
                    Ok(Message::Close(Some(frame))) => {
                        return Err(format!("closed: {} {}", u16::from(frame.code), frame.reason));
                    }
                    Ok(Message::Close(None)) => return Err("closed without a code".to_owned()),
                    Ok(_) => {}
                    Err(error) => return Err(error.to_string()),
                }
            },
        }
    }
}
