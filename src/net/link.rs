//! One connection's socket, shared by its reader, its writer and its timers.
//!
//! There is one file descriptor per connection. The reader alone reads, the writer alone writes once the
//! WebSocket exists, or who has its outbox's leave, and anyone may shut the socket down, which wakes both.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use socket2::Socket;

use super::ConnectionId;
use crate::clock::Monotonic;
use crate::limits;
use crate::queue::Outbox;
use crate::sync::lock;
use crate::timer::{Key, TimerHandle};

/// A connection's socket and what its timers look at.
#[derive(Debug)]
pub(crate) struct Link {
    id: ConnectionId,
    socket: Socket,
    timer: TimerHandle,
    /// Set once, with the upgrade.
    outbox: OnceLock<Outbox>,
    /// When the client last sent something.
    last_read_ms: AtomicU64,
    /// When the running system call of the writer began; zero between two.
    writing_since_ms: AtomicU64,
    close_sent: AtomicBool,
    heartbeat: Mutex<Option<Key>>,
}

impl Link {
    /// A link over an accepted socket.
    pub(crate) fn new(id: ConnectionId, socket: Socket, timer: TimerHandle) -> Arc<Self> {
        let now = timer.clock().now().0;
        Arc::new(Self {
            id,
            socket,
            timer,
            outbox: OnceLock::new(),
            last_read_ms: AtomicU64::new(now),
            writing_since_ms: AtomicU64::new(0),
            close_sent: AtomicBool::new(false),
            heartbeat: Mutex::new(None),
        })
    }

    /// The connection's id.
    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    /// The socket, before the connection has a reader.
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The connection's timers.
    pub(crate) fn timer(&self) -> &TimerHandle {
        &self.timer
    }

    /// Makes the outbox known to timers and to the end of the listener.
    pub(crate) fn set_outbox(&self, outbox: Outbox) {
        let _ = self.outbox.set(outbox);
    }

    /// The outbox, once the WebSocket exists.
    pub(crate) fn outbox(&self) -> Option<&Outbox> {
        self.outbox.get()
    }

    /// When the client last sent something.
    pub(crate) fn last_read(&self) -> Monotonic {
        Monotonic(self.last_read_ms.load(Ordering::Relaxed))
    }

    /// Since when the writer waits for the client to take bytes.
    pub(crate) fn writing_since(&self) -> Option<Monotonic> {
        let since = self.writing_since_ms.load(Ordering::Relaxed);
        (since != 0).then_some(Monotonic(since))
    }

    /// Notes that the server's Close was written: what the client sends from now on is not looked at.
    pub(crate) fn note_close_sent(&self) {
        self.close_sent.store(true, Ordering::Relaxed);
    }

    /// True once the server's Close was written.
    pub(crate) fn is_close_sent(&self) -> bool {
        self.close_sent.load(Ordering::Relaxed)
    }

    /// Remembers the armed heartbeat.
    pub(crate) fn set_heartbeat(&self, key: Key) {
        *lock(&self.heartbeat) = Some(key);
    }

    /// Takes the heartbeat back, so that it does not stay in the timer after the connection.
    pub(crate) fn stop_heartbeat(&self) {
        if let Some(key) = lock(&self.heartbeat).take() {
            self.timer.cancel(key);
        }
    }

    /// Shuts the socket down; whoever waits in a read or a write is woken.
    pub(crate) fn shut(&self, how: Shutdown) {
        // It fails only if the client was faster.
        let _ = self.socket.shutdown(how);
    }

    /// Shuts the socket down unless it is gone by then.
    pub(crate) fn shut_after(self: &Arc<Self>, deadline: Duration, how: Shutdown) -> Key {
        let link = Arc::downgrade(self);
        self.timer.arm_after(deadline, move || {
            if let Some(link) = link.upgrade() {
                link.shut(how);
            }
        })
    }

    /// Writes what the client takes without waiting.
    ///
    /// # Errors
    /// It takes nothing now, or nothing more.
    pub(crate) fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send_with_flags(bytes, libc::MSG_DONTWAIT)
    }

    /// Reads and drops until the client ends or the socket is shut down. Closing a socket with unread bytes
    /// resets it, and a reset takes what was just written out of the client's hands.
    pub(crate) fn linger(&self) {
        let mut stream = self;
        let mut scrap = [0; limits::LINGER_BYTES];
        while matches!(stream.read(&mut scrap), Ok(1..)) {}
    }
}

impl Read for &Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match (&self.socket).read(buffer) {
                Ok(size) => {
                    self.last_read_ms.store(self.timer.clock().now().0, Ordering::Relaxed);
                    return Ok(size);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Each call offers the kernel a bounded number of bytes: the client has to take that much within the stall
/// deadline, so a large message over a slow line is not mistaken for a client that stopped reading.
impl Write for &Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.timed(|socket| socket.send(&bytes[..bytes.len().min(limits::WRITE_CHUNK_BYTES)]))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [first, second, ..] if first.len() < limits::WRITE_CHUNK_BYTES => {
                let room = limits::WRITE_CHUNK_BYTES - first.len();
                let both = [IoSlice::new(first), IoSlice::new(&second[..second.len().min(room)])];
                self.timed(|socket| socket.send_vectored(&both))
            }
            [first, ..] => self.write(first),
            [] => Ok(0),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Link {
    fn timed(&self, send: impl FnOnce(&Socket) -> io::Result<usize>) -> io::Result<usize> {
        // Zero means that nothing is being written, so the first millisecond counts as the second.
        self.writing_since_ms.store(self.timer.clock().now().0.max(1), Ordering::Relaxed);
        let sent = send(&self.socket);
        self.writing_since_ms.store(0, Ordering::Relaxed);
        sent
    }
}
