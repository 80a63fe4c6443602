//! The reading half of a WebSocket: from the socket to the processor's inbox.
//!
//! It runs on the connection's reader, which owns the tungstenite `WebSocket`. What tungstenite wants to
//! write (pongs, the reply to a Close) goes to the outbox's control lane. It knows the JSON-RPC envelope
//! and no method.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use tungstenite::protocol::frame::Utf8Bytes;
use tungstenite::protocol::{Message, Role, WebSocket, WebSocketConfig};

use super::frame_watch::FrameWatch;
use super::link::Link;
use super::{Admission, ConnectionId, NetEvent};
use crate::limits;
use crate::queue::{Closing, InboxPort, Outbox, Refused};
use crate::rpc::{Incoming, RpcError, decode_text, error_response};

/// What the reader of one WebSocket needs.
#[derive(Debug)]
pub(crate) struct WsReader {
    pub(crate) link: Arc<Link>,
    pub(crate) outbox: Outbox,
    pub(crate) port: Arc<InboxPort<NetEvent>>,
    pub(crate) admission: Admission,
    pub(crate) message_bytes_max: usize,
    pub(crate) message_bytes_max_before_initialize: usize,
}

/// Why reading ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReadEnd {
    /// Both have said Close.
    Closed,
    /// The client is gone without a Close.
    Gone,
    /// The client is to be told this, and the rest of what it sends is not looked at.
    Refuse(Closing),
}

/// What tungstenite reads from and writes to.
#[derive(Debug)]
struct Io {
    link: Arc<Link>,
    outbox: Outbox,
    admission: Admission,
    message_bytes_max: usize,
    message_bytes_max_before_initialize: usize,
    watch: FrameWatch,
    /// The limit that the next frame breaks.
    over: Option<usize>,
}

impl WsReader {
    /// Reads until the connection's input ends. `leftover` came behind the HTTP head.
    pub(crate) fn run(self, leftover: Vec<u8>) -> ReadEnd {
        let mut socket = match self.websocket(leftover) {
            Ok(socket) => socket,
            Err(end) => return end,
        };
        let mut taken = 0;
        let mut is_swollen = false;
        let mut warned_of_binary = false;
        loop {
            let message = match socket.read() {
                Ok(message) => message,
                Err(error) => return self.ending(&error, socket.get_ref()),
            };
            taken += 1;
            // After these tungstenite holds a reply that leaves with the next read.
            let owes_reply = matches!(message, Message::Ping(_) | Message::Close(_));
            match message {
                Message::Text(text) if !self.link.is_close_sent() => {
                    is_swollen |= text.len() > limits::READ_KEEP_BYTES;
                    if let Err(end) = self.deliver(&text) {
                        return end;
                    }
                }
                Message::Binary(bytes) if !self.link.is_close_sent() => {
                    is_swollen |= bytes.len() > limits::READ_KEEP_BYTES;
                    if !std::mem::replace(&mut warned_of_binary, true) {
                        tracing::warn!(
                            connection = self.link.id().0,
                            bytes = bytes.len(),
                            "binary messages are ignored; send JSON as text"
                        );
                    }
                }
                Message::Text(_)
                | Message::Binary(_)
                | Message::Ping(_)
                | Message::Pong(_)
                | Message::Close(_)
                | Message::Frame(_) => {}
            }
            if is_swollen && !owes_reply && socket.get_ref().watch.is_drained(taken) {
                // tungstenite would keep the large buffer for the rest of the connection.
                socket = WebSocket::from_raw_socket(socket.into_inner(), Role::Server, Some(self.config()));
                is_swollen = false;
            }
        }
    }

    fn websocket(&self, leftover: Vec<u8>) -> Result<WebSocket<Io>, ReadEnd> {
        let mut io = Io {
            link: Arc::clone(&self.link),
            outbox: self.outbox.clone(),
            admission: self.admission.clone(),
            message_bytes_max: self.message_bytes_max,
            message_bytes_max_before_initialize: self.message_bytes_max_before_initialize,
            watch: FrameWatch::default(),
            over: None,
        };
        let good = io.look(&leftover);
        let mut leftover = leftover;
        leftover.truncate(good);
        if let (0, Some(limit)) = (good, io.over) {
            return Err(ReadEnd::Refuse(too_large(limit)));
        }
        Ok(WebSocket::from_partially_read(io, leftover, Role::Server, Some(self.config())))
    }

    fn config(&self) -> WebSocketConfig {
        // A reply leaves at once; one frame may be as large as a message.
        WebSocketConfig::default()
            .read_buffer_size(limits::WEBSOCKET_READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(self.message_bytes_max))
            .max_frame_size(Some(self.message_bytes_max))
    }

    fn deliver(&self, text: &Utf8Bytes) -> Result<(), ReadEnd> {
        let id = self.link.id();
        let message = decode_text(text);
        let is_request = matches!(message, Ok(Incoming::Request(_)));
        let event = NetEvent::Message(id, message);
        let refused =
            if is_request { self.port.offer(event, text.len()) } else { self.port.send(event, text.len()) };
        match refused {
            Ok(()) => Ok(()),
            Err(Refused::Full(event)) => {
                self.refuse_request(id, &event);
                Ok(())
            }
            Err(Refused::Ended) => Err(ReadEnd::Refuse(shutting_down())),
        }
    }

    fn refuse_request(&self, id: ConnectionId, event: &NetEvent) {
        let NetEvent::Message(_, Ok(Incoming::Request(request))) = event else { return };
        tracing::debug!(connection = id.0, "the inbox is full: a request is refused");
        self.outbox.push(error_response(Some(&request.id), &RpcError::overloaded()));
    }

    fn ending(&self, error: &tungstenite::Error, io: &Io) -> ReadEnd {
        use tungstenite::error::{CapacityError, Error, ProtocolError};
        if self.link.is_close_sent() {
            return ReadEnd::Closed;
        }
        if let Some(limit) = io.over {
            return ReadEnd::Refuse(too_large(limit));
        }
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => ReadEnd::Closed,
            Error::Io(_) | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => ReadEnd::Gone,
            Error::Utf8(_) => ReadEnd::Refuse(closing(/*code*/ 1007, "a text message was not UTF-8")),
            Error::Capacity(CapacityError::MessageTooLong { max_size, .. }) => {
                ReadEnd::Refuse(too_large(*max_size))
            }
            error => ReadEnd::Refuse(closing(/*code*/ 1002, &error.to_string())),
        }
    }
}

impl Io {
    /// Looks at new input before tungstenite does; gives the number of bytes that it may see.
    fn look(&mut self, bytes: &[u8]) -> usize {
        let limit = if self.admission.is_admitted() {
            self.message_bytes_max
        } else {
            self.message_bytes_max_before_initialize
        };
        match self.watch.see(bytes, limit) {
            Ok(()) => bytes.len(),
            Err(too_large) => {
                self.over = Some(limit);
                too_large.good_bytes
            }
        }
    }
}

impl Read for Io {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut good = 0;
        if self.over.is_none() {
            let size = (&*self.link).read(buffer)?;
            good = self.look(&buffer[..size]);
        }
        if good == 0 && self.over.is_some() {
            return Err(io::Error::other("the message is too large"));
        }
        Ok(good)
    }
}

impl Write for Io {
    /// tungstenite hands over one whole control frame per call, because its write buffer is empty.
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        self.outbox.push_control(Bytes::copy_from_slice(frame));
        Ok(frame.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn closing(code: u16, reason: &str) -> Closing {
    Closing { code, reason: reason.to_owned() }
}

fn too_large(limit: usize) -> Closing {
    closing(/*code*/ 1009, &format!("the message is larger than the limit of {limit} bytes"))
}

/// What clients are told when the server ends.
pub(crate) fn shutting_down() -> Closing {
    closing(/*code*/ 1001, "the server is shutting down")
}
