//! Transports: bytes of stdio, WebSockets and unix sockets to and from [`crate::rpc`] messages.
//!
//! It knows connections and the envelope, and no method, session or thread. Each connection has a reader
//! and a writer worker. The reader decodes and feeds the shared inbox; the writer alone touches the writing
//! side of the socket or pipe and drains the connection's outbox.

mod accept;
mod auth;
mod connection;
mod door;
mod frame_watch;
#[cfg(fuzzing)]
pub mod fuzzing;
mod head;
mod heartbeat;
mod http;
#[cfg(feature = "jwt")]
mod jwt;
mod link;
mod listener;
mod metrics;
mod readiness;
mod slices;
pub mod stdio;
mod unix;
mod upgrade;
mod ws_reader;
mod ws_writer;

pub use listener::{Hurry, Listener, Wiring};
pub use metrics::Scrape;
pub use readiness::{Phase, Readiness};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::queue::{Inbox, Outbox};
use crate::rpc::{Incoming, Undecodable};

/// Names a connection for the life of the process; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Gives each connection its id.
#[derive(Debug, Clone, Default)]
pub struct ConnectionIds(Arc<AtomicU64>);

impl ConnectionIds {
    /// The next id.
    #[must_use]
    pub fn next(&self) -> ConnectionId {
        ConnectionId(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// How a connection reaches its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Lines on stdin and stdout.
    Stdio,
    /// A WebSocket over TCP.
    WebSocket,
    /// A WebSocket over a unix socket.
    Unix,
}

impl Transport {
    /// The name in logs and spans.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::WebSocket => "websocket",
            Self::Unix => "unix",
        }
    }
}

/// What the processor tells the connection's reader, without a message.
#[derive(Debug, Clone, Default)]
pub struct Admission(Arc<AtomicBool>);

impl Admission {
    /// The client has said who it is (`initialize` was answered): full message size, no initialize deadline.
    pub fn admit(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// True after [`Admission::admit`].
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A new connection. Whoever holds this may still write to the client; when it is dropped the output ends
/// behind what is queued, so that a client whose connection was never looked at does not wait for ever.
#[derive(Debug)]
pub struct Opened {
    /// Its id.
    pub id: ConnectionId,
    /// Where everything for its client goes.
    pub outbox: Outbox,
    /// How it is connected.
    pub transport: Transport,
    /// The client's address, for logs.
    pub peer: String,
    /// To be told when the client is initialized.
    pub admission: Admission,
}

impl Drop for Opened {
    fn drop(&mut self) {
        // Who has closed the connection before has said why.
        self.outbox.finish(ws_reader::shutting_down());
    }
}

/// How a connection's input ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputEnd {
    /// No more input, but the client still listens: answer what was asked, then close (stdio).
    EndOfInput,
    /// The client is gone, or its socket is.
    Gone,
}

/// What a transport tells the processor. The events of one connection arrive in their order: `Opened`, its
/// messages, `Closed`.
#[derive(Debug)]
pub enum NetEvent {
    /// A connection opened.
    Opened(Opened),
    /// A message arrived, or something that is none and has to be answered with this error.
    Message(ConnectionId, Result<Incoming, Undecodable>),
    /// Nothing more will come from this connection.
    Closed(ConnectionId, InputEnd),
}

/// The processor's inbox as the transports see it.
pub type NetInbox = Inbox<NetEvent>;
