//! The listener: binds, accepts, and owns every connection that came through it.
//!
//! Started and dropped by whoever runs the server. Dropping it stops accepting, says goodbye to all clients
//! and waits until their workers have ended.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use socket2::{Domain, SockAddr, Socket, Type};

use super::accept::{Acceptor, spare};
use super::auth::Authenticator;
use super::door::Door;
use super::metrics::Scrape;
use super::readiness::Readiness;
use super::unix::{self, SocketFile};
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
    note: &'static str,
    is_adopted: bool,
    /// Taken to stop the accept loop.
    stop: Option<Sender<()>>,
    accept: Option<Worker>,
    /// Its drop removes the file.
    _file: Option<SocketFile>,
}

/// Shortens the wait for a listener's clients at the end.
#[derive(Debug, Clone)]
pub struct Hurry(Weak<Door>);

impl Hurry {
    /// From now on clients have only a moment to take what is queued for them.
    pub fn up(&self) {
        if let Some(door) = self.0.upgrade() {
            door.hurry();
        }
    }
}

/// What a listener is connected with.
#[derive(Debug)]
pub struct Wiring {
    /// Where the clients' messages go.
    pub inbox: NetInbox,
    /// Gives each connection its id.
    pub ids: ConnectionIds,
    /// For the deadlines.
    pub timer: TimerHandle,
    /// For `/readyz`.
    pub readiness: Readiness,
    /// What `/metrics` shows beside the listener's own numbers.
    pub scrape: Scrape,
}

impl Listener {
    /// Binds `endpoint` and begins to accept.
    ///
    /// # Errors
    /// The secrets cannot be read, auth is required and missing, the endpoint cannot be bound, or there is no
    /// worker for the accept loop.
    pub fn start(config: NetConfig, endpoint: &Endpoint, wiring: Wiring) -> Result<Self, StartError> {
        let auth = Authenticator::load(&config.auth)?;
        check_exposure(&config, endpoint, &auth)?;
        let (socket, bound, file) = match endpoint {
            Endpoint::Tcp(address) => {
                let (socket, bound) = bind_tcp(*address)?;
                (socket, Endpoint::Tcp(bound), None)
            }
            Endpoint::Unix(path) => {
                let (socket, file) = unix::bind(path, config.unix_mode)?;
                (socket, endpoint.clone(), Some(file))
            }
        };
        Self::run(config, auth, socket, bound, file, wiring)
    }

    /// Accepts on a listening socket that a supervisor has passed ([`crate::sys::activation`]). The socket
    /// stays the supervisor's: it is neither shut down nor removed at the end.
    ///
    /// # Errors
    /// As [`Listener::start`], or the socket is neither TCP nor a unix socket.
    pub fn adopt(config: NetConfig, socket: OwnedFd, wiring: Wiring) -> Result<Self, StartError> {
        let auth = Authenticator::load(&config.auth)?;
        let socket = Socket::from(socket);
        // A supervisor may have made it non-blocking, and the accept loop waits.
        let address = socket
            .set_nonblocking(false)
            .and_then(|()| socket.local_addr())
            .map_err(|error| StartError::io("cannot use the passed socket", error))?;
        let bound = match (address.as_socket(), address.as_pathname()) {
            (Some(address), _) => Endpoint::Tcp(address),
            (None, Some(path)) => Endpoint::Unix(path.to_owned()),
            (None, None) => {
                let text = "the passed socket is neither TCP nor a unix socket with a path";
                return Err(StartError::Other(text.to_owned()));
            }
        };
        check_exposure(&config, &bound, &auth)?;
        let mut listener = Self::run(config, auth, socket, bound, /*file*/ None, wiring)?;
        listener.is_adopted = true;
        Ok(listener)
    }

    fn run(
        config: NetConfig,
        auth: Authenticator,
        socket: Socket,
        bound: Endpoint,
        file: Option<SocketFile>,
        wiring: Wiring,
    ) -> Result<Self, StartError> {
        let transport = match &bound {
            Endpoint::Tcp(_) => Transport::WebSocket,
            Endpoint::Unix(_) => Transport::Unix,
        };
        let note = note(&bound, &auth);
        let door = Arc::new(Door::new(config, auth, transport, wiring));
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
        let (stop, accept) = (Some(stop), Some(accept));
        Ok(Self { door, socket, bound, note, is_adopted: false, stop, accept, _file: file })
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
        let _ = writeln!(text, "  note: {}", self.note);
        text
    }

    /// How many connections are open, counting those in the handshake.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.door.count()
    }

    /// Lets nobody in any more, says goodbye to all and waits until they are gone: within `delivery` each
    /// takes what is queued for it, or loses the rest.
    pub fn close(mut self, delivery: Duration) {
        self.stop_accepting();
        self.door.close_all(delivery);
    }

    /// Shortens the wait for clients at the end.
    #[must_use]
    pub fn hurry(&self) -> Hurry {
        Hurry(Arc::downgrade(&self.door))
    }

    /// Lets nobody in any more; open connections stay.
    pub fn stop_accepting(&mut self) {
        if self.stop.take().is_some() {
            if let Err(error) = self.wake_accept() {
                tracing::warn!(%error, "the accept loop could not be woken and is left behind");
                std::mem::forget(self.accept.take());
            }
            drop(self.accept.take());
        }
    }
}

impl Listener {
    fn wake_accept(&self) -> io::Result<()> {
        if !self.is_adopted {
            // On Linux this makes a waiting `accept` fail, and refuses whoever comes.
            return self.socket.shutdown(Shutdown::Both);
        }
        // A shutdown would close the supervisor's socket, too, on which the next process is to listen.
        match &self.bound {
            Endpoint::Tcp(address) => {
                let mut address = *address;
                if address.ip().is_unspecified() {
                    address.set_ip(match address {
                        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                    });
                }
                TcpStream::connect(address).map(drop)
            }
            Endpoint::Unix(path) => UnixStream::connect(path).map(drop),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop_accepting();
        self.door.close_all(self.door.config.close_deadline);
    }
}

fn bind_tcp(address: SocketAddr) -> Result<(Socket, SocketAddr), StartError> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // Else a restart would fail for a minute on what the last run's connections left behind.
        socket.set_reuse_address(true)?;
        socket.bind(&SockAddr::from(address))?;
        socket.listen(limits::LISTEN_BACKLOG)?;
        let bound = socket.local_addr()?.as_socket().unwrap_or(address);
        Ok((socket, bound))
    };
    bind().map_err(|error| StartError::io(format_args!("cannot listen on ws://{address}"), error))
}

/// Everyone on the network may come in without auth: that is worth a warning, or a refusal if it was asked
/// for.
fn check_exposure(config: &NetConfig, endpoint: &Endpoint, auth: &Authenticator) -> Result<(), StartError> {
    if endpoint.is_local() || !auth.is_off() {
        return Ok(());
    }
    let url = url(endpoint);
    if config.require_auth {
        return Err(StartError::Other(format!(
            "refusing to start non-loopback websocket listener {url} without auth, as `--require-auth` asks; \
             configure `--ws-auth capability-token` or `--ws-auth signed-bearer-token`"
        )));
    }
    tracing::warn!(endpoint = %url, "the listener is reachable from other machines without auth");
    Ok(())
}

fn url(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp(address) => format!("ws://{address}"),
        Endpoint::Unix(path) => format!("unix://{}", path.display()),
    }
}

fn note(bound: &Endpoint, auth: &Authenticator) -> &'static str {
    match bound {
        Endpoint::Unix(_) => "reachable only through this socket's file permissions",
        Endpoint::Tcp(_) if bound.is_local() => {
            "binds localhost only (use SSH port-forwarding for remote access)"
        }
        Endpoint::Tcp(_) if auth.is_off() => {
            "auth is off; configure `--ws-auth` before real remote use (`--require-auth` insists on it)"
        }
        Endpoint::Tcp(_) => "websocket auth is required for non-localhost listeners",
    }
}
