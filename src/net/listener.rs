//! The listener: binds, accepts, and owns every connection that came through it.
//!
//! Started and dropped by whoever runs the server. Dropping it stops accepting, says goodbye to all clients and
//! waits until their workers have ended.

use std::fmt::Write as _;
use std::io;
use std::net::Shutdown;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Sender, bounded};
use socket2::{Domain, SockAddr, Socket, Type};

use super::accept::{Acceptor, spare};
use super::door::Door;
use super::readiness::Readiness;
use super::{ConnectionIds, NetInbox, Transport};
use crate::config::net::{Endpoint, NetConfig};
use crate::error::StartError;
use crate::limits;
use crate::sys::worker::Worker;
use crate::timer::TimerHandle;

/// A listening socket and its connections.
#[derive(Debug)]
pub struct Listener {
    door: Arc<Door>,
    socket: Arc<Socket>,
    bound: Endpoint,
    notes: Vec<String>,
    /// Taken to stop the accept loop.
    stop: Option<Sender<()>>,
    accept: Option<Worker>,
}

impl Listener {
    /// Binds `endpoint` and begins to accept.
    ///
    /// # Errors
    /// The endpoint cannot be bound, or there is no worker for the accept loop.
    pub fn start(
        config: NetConfig,
        endpoint: &Endpoint,
        inbox: NetInbox,
        ids: ConnectionIds,
        timer: TimerHandle,
        readiness: Readiness,
    ) -> Result<Self, StartError> {
        let (socket, bound) = bind(endpoint)?;
        let transport = match &bound {
            Endpoint::Tcp(_) => Transport::WebSocket,
            Endpoint::Unix(_) => Transport::Unix,
        };
        let notes = vec![note(&bound).to_owned()];
        let door = Arc::new(Door::new(config, transport, inbox, ids, timer, readiness));
        let socket = Arc::new(socket);
        let (stop, stopped) = bounded(0);
        let acceptor = Acceptor {
            door: Arc::clone(&door),
            listener: Arc::clone(&socket),
            stopped,
            spare: spare(),
            backoff: None,
        };
        let accept = Worker::spawn("accept0", limits::STACK_BYTES_IO, move || acceptor.run())
            .map_err(|error| StartError::io("cannot start the accept worker", error))?;
        tracing::info!(endpoint = %url(&bound), "listening");
        Ok(Self { door, socket, bound, notes, stop: Some(stop), accept: Some(accept) })
    }

    /// Where it listens, with the port that the operating system chose.
    #[must_use]
    pub fn bound(&self) -> &Endpoint {
        &self.bound
    }

    /// What stderr shows once the server listens: whole lines, each address a word of its own.
    #[must_use]
    pub fn banner(&self) -> String {
        let mut text = format!("app-server (WebSockets)\n  listening on: {}\n", url(&self.bound));
        if let Endpoint::Tcp(address) = &self.bound {
            // Writing to memory does not fail.
            let _ = writeln!(text, "  readyz: http://{address}/readyz\n  healthz: http://{address}/healthz");
        }
        for note in &self.notes {
            let _ = writeln!(text, "  note: {note}");
        }
        text
    }

    /// How many connections are open, counting those in the handshake.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.door.count()
    }

    /// Lets nobody in any more; open connections stay.
    pub fn stop_accepting(&mut self) {
        if self.stop.take().is_some() {
            // On Linux this makes a waiting `accept` fail, and refuses whoever comes.
            if let Err(error) = self.socket.shutdown(Shutdown::Both) {
                tracing::warn!(%error, "the listener could not be shut down");
            }
            drop(self.accept.take());
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop_accepting();
        self.door.close_all();
    }
}

fn bind(endpoint: &Endpoint) -> Result<(Socket, Endpoint), StartError> {
    let url = url(endpoint);
    let cannot = |error: io::Error| StartError::io(format_args!("cannot listen on {url}"), error);
    match endpoint {
        Endpoint::Tcp(address) => {
            let bind = || {
                let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
                // Else a restart would fail for a minute on what the last run's connections left behind.
                socket.set_reuse_address(true)?;
                socket.bind(&SockAddr::from(*address))?;
                socket.listen(limits::LISTEN_BACKLOG)?;
                let bound = socket.local_addr()?.as_socket().unwrap_or(*address);
                Ok((socket, Endpoint::Tcp(bound)))
            };
            bind().map_err(cannot)
        }
        Endpoint::Unix(path) => {
            let bind = || {
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                socket.bind(&SockAddr::unix(path)?)?;
                socket.listen(limits::LISTEN_BACKLOG)?;
                Ok((socket, Endpoint::Unix(PathBuf::from(path))))
            };
            bind().map_err(cannot)
        }
    }
}

fn url(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp(address) => format!("ws://{address}"),
        Endpoint::Unix(path) => format!("unix://{}", path.display()),
    }
}

fn note(bound: &Endpoint) -> &'static str {
    match bound {
        Endpoint::Unix(_) => "reachable only through this socket's file permissions",
        Endpoint::Tcp(_) if bound.is_local() => {
            "binds localhost only (use SSH port-forwarding for remote access)"
        }
        Endpoint::Tcp(_) => "auth is off: configure --ws-auth before real remote use",
    }
}
