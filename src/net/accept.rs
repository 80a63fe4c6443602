//! The accept loop: it ends when the listener is stopped, and for nothing else.
//!
//! It runs on the accept worker, hands each client to a reader of its own, and never waits for a client.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use socket2::{SockAddr, Socket, TcpKeepalive};

use super::Transport;
use super::connection::{Connection, full, stopping};
use super::door::Door;
use super::http::Answer;
use super::link::Link;
use crate::clock::Wait;
use crate::limits;
use crate::sys::worker::Worker;

/// What an error of `accept` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AcceptError {
    /// That client is gone; the next one.
    Next,
    /// The system is out of something; wait.
    Exhausted,
}

/// The accept loop's state.
pub(crate) struct Acceptor {
    pub(crate) door: Arc<Door>,
    pub(crate) listener: Arc<Socket>,
    /// Closed when the listener is stopped; nothing is ever sent.
    pub(crate) stopped: Receiver<()>,
    /// Given up for a moment when there is no file descriptor left, so that clients are turned away instead
    /// of kept waiting in the backlog.
    pub(crate) spare: Option<File>,
    pub(crate) backoff: Option<Duration>,
}

impl Acceptor {
    /// Accepts until the listener is stopped.
    pub(crate) fn run(mut self) {
        while !self.is_stopped() {
            match self.listener.accept() {
                // Stopping wakes the loop with a connection of its own if the socket is a supervisor's; but
                // this may be a client, too.
                Ok((socket, _)) if self.is_stopped() => {
                    turn_away(&socket, &stopping());
                    return;
                }
                Ok((socket, address)) => match self.welcome(socket, &address) {
                    Ok(()) => self.backoff = None,
                    Err(error) => self.exhausted(&error),
                },
                // Checked before the error is looked at: stopping makes `accept` fail.
                Err(_) if self.is_stopped() => return,
                Err(error) => match classify(&error) {
                    AcceptError::Next => {}
                    AcceptError::Exhausted => self.exhausted(&error),
                },
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.try_recv() == Err(crossbeam_channel::TryRecvError::Disconnected)
    }

    /// Hands a client to a reader, or turns it away.
    fn welcome(&self, socket: Socket, address: &SockAddr) -> io::Result<()> {
        let Some(permit) = self.door.permit() else {
            turn_away(&socket, &full());
            return Ok(());
        };
        let peer = match self.door.transport {
            Transport::Unix => "unix".to_owned(),
            Transport::WebSocket | Transport::Stdio => {
                prepare_tcp(&socket);
                address.as_socket().map_or_else(String::new, |address| address.to_string())
            }
        };
        let link = Link::new(self.door.ids.next(), socket, self.door.timer.clone());
        let name = format!("c{}-rd", link.id().0);
        let connection = Connection { door: Arc::clone(&self.door), link: Arc::clone(&link), peer, permit };
        self.door
            .open(Arc::clone(&link), || Worker::spawn(name, limits::STACK_BYTES_IO, move || connection.run()))
            .inspect_err(|_| turn_away(link.socket(), &full()))
    }

    /// Turns away who is waiting, as far as the spare descriptor makes that possible, and waits.
    fn exhausted(&mut self, error: &io::Error) {
        if self.backoff.is_none() {
            tracing::warn!(%error, "no more connections can be accepted for now; trying again");
        }
        if self.spare.take().is_some() {
            self.turn_away_the_waiting();
        }
        self.spare = spare();
        let backoff = next_backoff(self.backoff);
        self.backoff = Some(backoff);
        let clock = self.door.timer.clock();
        // Ends early when the listener is stopped.
        let _: Wait<()> = clock.recv_deadline(&self.stopped, Some(clock.now().after(backoff)));
    }
}

impl Acceptor {
    /// An answer now is better than a place in a queue that does not move.
    fn turn_away_the_waiting(&self) {
        if self.listener.set_nonblocking(true).is_err() {
            return;
        }
        for _ in 0..limits::LISTEN_BACKLOG {
            let Ok((socket, _)) = self.listener.accept() else { break };
            turn_away(&socket, &full());
        }
        if let Err(error) = self.listener.set_nonblocking(false) {
            // The loop would become a busy one without its back-off, which it has.
            tracing::warn!(%error, "the listener stays non-blocking");
        }
    }
}

/// A file descriptor to give up in need.
pub(crate) fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

fn next_backoff(before: Option<Duration>) -> Duration {
    before.map_or(limits::ACCEPT_BACKOFF_MIN, |before| (before * 2).min(limits::ACCEPT_BACKOFF_MAX))
}

fn classify(error: &io::Error) -> AcceptError {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => AcceptError::Exhausted,
        Some(
            Errno::INTR
            | Errno::CONNABORTED
            | Errno::PROTO
            | Errno::PERM
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::HOSTUNREACH
            | Errno::HOSTDOWN
            | Errno::NOPROTOOPT
            | Errno::OPNOTSUPP,
        ) => AcceptError::Next,
        // Not known to happen; waiting keeps it from becoming a busy loop.
        _ => AcceptError::Exhausted,
    }
}

fn prepare_tcp(socket: &Socket) {
    let keepalive = TcpKeepalive::new()
        .with_time(limits::KEEPALIVE_TIME)
        .with_interval(limits::KEEPALIVE_INTERVAL)
        .with_retries(limits::KEEPALIVE_RETRIES);
    let prepared = socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_keepalive(&keepalive));
    // Elsewhere the system's own patience with unacknowledged bytes holds.
    #[cfg(target_os = "linux")]
    let prepared = prepared.and_then(|()| socket.set_tcp_user_timeout(Some(limits::TCP_USER_TIMEOUT)));
    if let Err(error) = prepared {
        // The client may have left already.
        tracing::debug!(%error, "a socket option could not be set");
    }
}

/// Tells a client why it cannot come in, without waiting for it.
fn turn_away(mut socket: &Socket, answer: &Answer) {
    // A fresh socket takes a few hundred bytes at once; if not, the client gets no more than the end.
    let _ = socket.set_nonblocking(true);
    let _ = socket.write_all(&answer.render(/*without_body*/ false));
    let _ = socket.shutdown(Shutdown::Write);
    // What has arrived is taken out, because closing with unread bytes would reset the answer away.
    let _ = socket.read(&mut [0; limits::LINGER_BYTES]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn no_error_of_accept_ends_the_loop_and_exhaustion_waits() {
        let of = |errno: Errno| classify(&io::Error::from(errno));
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS, Errno::BADF] {
            assert_eq!(of(errno), AcceptError::Exhausted, "{errno:?}");
        }
        for errno in [Errno::INTR, Errno::CONNABORTED, Errno::PROTO, Errno::NETUNREACH] {
            assert_eq!(of(errno), AcceptError::Next, "{errno:?}");
        }
    }

    #[test]
    fn the_wait_doubles_up_to_a_second() {
        let mut waits = Vec::new();
        let mut before = None;
        for _ in 0..7 {
            let wait = next_backoff(before);
            before = Some(wait);
            waits.push(wait.as_millis());
        }
        assert_eq!(waits, [50, 100, 200, 400, 800, 1000, 1000]);
    }
}
