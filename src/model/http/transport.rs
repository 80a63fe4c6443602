//! Sockets to model providers and MCP servers that a cancellation reaches: name lookup, connection, reads and
//! writes.
//!
//! The HTTP library knows no cancellation. It is told what to work for by [`within`], which the worker that
//! makes a call puts around it; each step that may block then has its socket shut down when the turn is
//! cancelled. TLS works on top of this, so its handshake is covered. A name lookup is the system's and cannot
//! be stopped: it has a worker of its own, which a cancelled turn leaves behind until the system gives up.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::bounded;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Agent, Error, Timeout};

use super::proxy::proxy_for;
use crate::clock::Wait;
use crate::limits;
use crate::model::Cancel;
use crate::sys::worker::Worker;

/// What the transport works for.
#[derive(Clone)]
struct Call {
    cancel: Cancel,
    /// Longest silence of the other side.
    patience: Duration,
}

thread_local! {
    static CALL: RefCell<Option<Call>> = const { RefCell::new(None) };
    /// The connection of the call has served another one before.
    static REUSED: Cell<bool> = const { Cell::new(false) };
}

/// Does `work` with the HTTP library, of which each blocking step ends when it is cancelled or when the other
/// side is silent for longer than `patience`.
pub(crate) fn within<R>(cancel: &Cancel, patience: Duration, work: impl FnOnce() -> R) -> R {
    struct Restore(Option<Call>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CALL.set(self.0.take());
        }
    }
    REUSED.set(false);
    let _restore = Restore(CALL.replace(Some(Call { cancel: cancel.clone(), patience })));
    work()
}

/// True if the request of the last [`within`] of this worker went out on a connection that had been used
/// before.
pub(super) fn was_reused() -> bool {
    REUSED.get()
}

fn call() -> Result<Call, Error> {
    let none = || Error::Other("the transport is used outside of a call".into());
    CALL.with_borrow(Clone::clone).ok_or_else(none)
}

fn cancelled() -> Error {
    Error::Io(io::Error::new(ErrorKind::ConnectionAborted, "cancelled"))
}

/// A client for this address whose sockets are cancelled as [`within`] says. Its connections are kept for
/// further requests.
///
/// # Errors
/// What is wrong with the proxy that the environment asks for, for the user.
pub(crate) fn agent(url: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Agent, String> {
    let config = Config::builder()
        .proxy(proxy_for(url, env)?)
        .http_status_as_error(false)
        // A redirected request would have to be made again with the body, and the key would go elsewhere.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("app-server/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .input_buffer_size(limits::MODEL_BUFFER_BYTES)
        .output_buffer_size(limits::MODEL_BUFFER_BYTES)
        .max_idle_connections(limits::MODEL_IDLE_CONNECTIONS)
        .max_idle_connections_per_host(limits::MODEL_IDLE_CONNECTIONS)
        .max_idle_age(limits::MODEL_IDLE_CONNECTION_AGE)
        .build();
    let connector = ().chain(ConnectProxyConnector::default()).chain(Sockets);
    #[cfg(feature = "tls")]
    let connector = connector.chain(super::tls::Tls);
    Ok(Agent::with_parts(config, connector, Names))
}

/// Makes connections.
#[derive(Debug)]
struct Sockets;

impl<In: Transport> Connector<In> for Sockets {
    type Out = Either<In, SocketTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        if let Some(proxied) = chained {
            return Ok(Some(Either::A(proxied)));
        }
        let call = call()?;
        let clock = call.cancel.clock();
        let until = clock.now().after(limits::MODEL_CONNECT_TIMEOUT);
        let mut last = None;
        for (at, address) in details.addrs.iter().enumerate() {
            // The time that is left, shared by the addresses that are left.
            let left = until.since(clock.now());
            let share = left / u32::try_from(details.addrs.len() - at).unwrap_or(1);
            match connect(&call.cancel, *address, share) {
                Ok(socket) => return Ok(Some(Either::B(SocketTransport::new(socket)))),
                Err(_) if call.cancel.is_cancelled() => return Err(cancelled()),
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or(Error::HostNotFound, Error::Io))
    }
}

fn connect(cancel: &Cancel, address: SocketAddr, timeout: Duration) -> io::Result<Arc<Socket>> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    let socket = Arc::new(socket);
    let _wake = wake_on_cancel(cancel, &socket);
    socket.connect_timeout(&address.into(), timeout.max(Duration::from_millis(1)))?;
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(limits::KEEPALIVE_TIME)
        .with_interval(limits::KEEPALIVE_INTERVAL)
        .with_retries(limits::KEEPALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    Ok(socket)
}

fn wake_on_cancel(cancel: &Cancel, socket: &Arc<Socket>) -> crate::model::OnCancel {
    let socket = Arc::clone(socket);
    // Also ends a connection that is only being made. An error means that it has ended already.
    cancel.on_cancel(move || drop(socket.shutdown(Shutdown::Both)))
}

/// A connection.
#[derive(Debug)]
struct SocketTransport {
    socket: Arc<Socket>,
    buffers: LazyBuffers,
    /// As the socket has them.
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    /// It has served a whole request.
    used: bool,
    /// Bytes were read since the last write.
    answered: bool,
}

impl SocketTransport {
    fn new(socket: Arc<Socket>) -> Self {
        let buffers = LazyBuffers::new(limits::MODEL_BUFFER_BYTES, limits::MODEL_BUFFER_BYTES);
        let (read_timeout, write_timeout) = (None, None);
        Self { socket, buffers, read_timeout, write_timeout, used: false, answered: false }
    }
}

/// Does one blocking step; its socket is shut down when the call is cancelled.
fn step<R>(call: &Call, socket: &Arc<Socket>, work: impl Fn() -> io::Result<R>) -> Result<R, Error> {
    let _wake = wake_on_cancel(&call.cancel, socket);
    loop {
        let outcome = work();
        if call.cancel.is_cancelled() {
            return Err(cancelled());
        }
        match outcome {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(Error::Timeout(Timeout::PerRead));
            }
            outcome => return outcome.map_err(Error::Io),
        }
    }
}

impl Transport for SocketTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        let call = call()?;
        self.used |= std::mem::take(&mut self.answered);
        REUSED.set(self.used);
        if self.write_timeout != Some(call.patience) {
            self.socket.set_write_timeout(Some(call.patience))?;
            self.write_timeout = Some(call.patience);
        }
        let mut rest = &self.buffers.output()[..amount];
        while !rest.is_empty() {
            match step(&call, &self.socket, || (&*self.socket).write(rest))? {
                0 => return Err(Error::Io(ErrorKind::WriteZero.into())),
                count => rest = &rest[count..],
            }
        }
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        let call = call()?;
        if self.read_timeout != Some(call.patience) {
            self.socket.set_read_timeout(Some(call.patience))?;
            self.read_timeout = Some(call.patience);
        }
        let room = RefCell::new(self.buffers.input_append_buf());
        let count = step(&call, &self.socket, || (&*self.socket).read(&mut room.borrow_mut()))?;
        self.buffers.input_appended(count);
        self.answered |= count > 0;
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        // Open and silent: what speaks unasked, or has ended, is of no use.
        let probe = self.socket.set_nonblocking(true).and_then(|()| (&*self.socket).read(&mut [0]));
        let silent = probe.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        silent && self.socket.set_nonblocking(false).is_ok()
    }
}

/// Looks up names.
#[derive(Debug)]
struct Names;

/// Lookups that are under way, also those that nobody waits for any more.
static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

/// One of them.
struct Lookup;

impl Lookup {
    fn begin() -> Option<Self> {
        let lookup = Self;
        (LOOKUPS.fetch_add(1, Ordering::Relaxed) < limits::MODEL_RESOLVERS_MAX).then_some(lookup)
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        LOOKUPS.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(Error::BadUri("the address has no scheme or no host".to_owned()));
        };
        let Some(name) = DefaultResolver::host_and_port(scheme, authority) else {
            return Err(Error::BadUri("the address has no port".to_owned()));
        };
        let mut found = self.empty();
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if let (Ok(ip), Some((_, port))) = (host.parse::<IpAddr>(), name.rsplit_once(':')) {
            found.push(SocketAddr::new(ip, port.parse().map_err(|_| Error::HostNotFound)?));
            return Ok(found);
        }
        // As many as the library's array has room for.
        let ask = move || name.to_socket_addrs().map(Iterator::collect);
        for address in look_up(&call()?, ask)?.into_iter().take(16) {
            found.push(address);
        }
        if found.is_empty() { Err(Error::HostNotFound) } else { Ok(found) }
    }
}

/// What a lookup ends with for the one who waits for it.
enum LookedUp {
    Told(io::Result<Vec<SocketAddr>>),
    Cancelled,
}

fn look_up(
    call: &Call,
    ask: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
) -> Result<Vec<SocketAddr>, Error> {
    let Some(lookup) = Lookup::begin() else {
        return Err(Error::Io(io::Error::other("too many lookups of names are under way")));
    };
    // One for each side, so that neither waits.
    let (tell, told) = bounded(2);
    let tell_cancelled = tell.clone();
    let wake = call.cancel.on_cancel(move || drop(tell_cancelled.try_send(LookedUp::Cancelled)));
    let worker = Worker::spawn("resolve", limits::STACK_BYTES_WORK, move || {
        let _lookup = lookup;
        let _ = tell.try_send(LookedUp::Told(ask()));
    })?;
    let clock = call.cancel.clock();
    let until = clock.now().after(limits::MODEL_RESOLVE_TIMEOUT);
    let outcome = match clock.recv_deadline(&told, Some(until)) {
        Wait::Got(LookedUp::Told(addresses)) => return addresses.map_err(Error::Io),
        Wait::Got(LookedUp::Cancelled) => Err(cancelled()),
        Wait::TimedOut => Err(Error::Timeout(Timeout::Resolve)),
        Wait::Closed => Err(Error::HostNotFound),
    };
    drop(wake);
    worker.join_within(Duration::ZERO);
    outcome
}

#[cfg(test)]
mod tests;
