//! The lane of finished lines to stderr, and the worker that writes them.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use rustix::event::{PollFd, PollFlags, poll};
use tracing::Level;

use super::TARGET;
use super::format::Format;
use crate::clock::{Clock, Wait};
use crate::limits::STACK_BYTES_IO;
use crate::obs::metrics::values::LOG_DROPPED;
use crate::sync::lock;
use crate::sys::worker::Worker;

/// Opens what the lines are written to; called on the worker that logs first.
pub type OpenSink = Box<dyn Fn() -> Box<dyn Write + Send> + Send + Sync>;

/// What the worker gets.
enum Entry {
    Line(String),
    /// Everything before is written when this is answered.
    Flush(Sender<()>),
    /// No more lines.
    End,
}

/// The lane. Everyone may put lines in and nobody waits.
pub(super) struct Lane {
    entries: Sender<Entry>,
    dropped: Arc<AtomicU64>,
    /// True once the worker runs; spares the lock.
    is_running: AtomicBool,
    state: Mutex<State>,
    clock: Clock,
    format: Format,
}

enum State {
    /// Nothing was logged yet, so there is no worker.
    Idle {
        entries: Receiver<Entry>,
        open: OpenSink,
    },
    Running(Worker),
    Ended,
}

impl fmt::Debug for Lane {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Lane").field("queued", &self.entries.len()).finish_non_exhaustive()
    }
}

impl Lane {
    /// A lane for `lines` lines to what `open` opens.
    pub(super) fn new(lines: usize, format: Format, open: OpenSink, clock: Clock) -> Arc<Self> {
        let (sender, entries) = bounded(lines);
        Arc::new(Self {
            entries: sender,
            dropped: Arc::default(),
            is_running: AtomicBool::new(false),
            state: Mutex::new(State::Idle { entries, open }),
            clock,
            format,
        })
    }

    /// How its lines look.
    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// The time.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Logs a text past the filter.
    pub(super) fn say(&self, level: Level, target: &str, text: &str) {
        self.offer(self.format.say(self.clock.wall_ms(), level, target, &text));
    }

    /// Puts a line into the lane, or counts it as dropped.
    pub(super) fn offer(&self, line: String) {
        if let Err(TrySendError::Full(_)) = self.entries.try_send(Entry::Line(line)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            LOG_DROPPED.add_one();
        }
        if !self.is_running.load(Ordering::Acquire) {
            self.start();
        }
    }

    /// Starts the worker. If the operating system refuses, the lines wait in the lane and the next one tries
    /// again.
    fn start(&self) {
        // Whoever holds the lock is starting it, or ending.
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let State::Idle { entries, open } = &*state else { return };
        let mut writing = Writing {
            entries: entries.clone(),
            sink: open(),
            dropped: Arc::clone(&self.dropped),
            clock: self.clock.clone(),
            format: self.format,
        };
        if let Ok(worker) = Worker::spawn("log", STACK_BYTES_IO, move || writing.run()) {
            *state = State::Running(worker);
            self.is_running.store(true, Ordering::Release);
        }
    }

    /// Waits until everything offered so far is written, at most `deadline`. True if it is.
    pub(super) fn flush(&self, deadline: Duration) -> bool {
        if !self.is_running.load(Ordering::Acquire) {
            if self.entries.is_empty() {
                return true;
            }
            self.start();
        }
        let until = self.clock.now().after(deadline);
        let (written, wait) = bounded(1);
        if self.entries.send_timeout(Entry::Flush(written), deadline).is_err() {
            return false;
        }
        matches!(self.clock.recv_deadline(&wait, Some(until)), Wait::Got(()))
    }

    /// Writes what is queued, at most for `deadline`, and ends the worker. A worker that is stuck in a write
    /// is left behind.
    pub(super) fn end(&self, deadline: Duration) {
        self.flush(deadline);
        let state = std::mem::replace(&mut *lock(&self.state), State::Ended);
        let State::Running(worker) = state else { return };
        // In a full lane there is no room for the end, and the worker that does not empty it would not see
        // it.
        let patience = match self.entries.try_send(Entry::End) {
            Ok(()) => deadline,
            Err(_) => Duration::ZERO,
        };
        worker.join_within(patience);
    }
}

/// The worker's part.
struct Writing {
    entries: Receiver<Entry>,
    sink: Box<dyn Write + Send>,
    dropped: Arc<AtomicU64>,
    clock: Clock,
    format: Format,
}

impl Writing {
    fn run(&mut self) {
        while let Ok(entry) = self.entries.recv() {
            // A lane's worth of entries at most: what was dropped had no more than that before it, so its
            // count comes about where the lines would have been.
            let most = self.entries.capacity().unwrap_or(1);
            let waiting = self.entries.clone();
            for entry in [entry].into_iter().chain(waiting.try_iter().take(most)) {
                match entry {
                    Entry::Line(line) => self.write(&line),
                    Entry::Flush(done) => {
                        self.tell_dropped();
                        let _ = done.try_send(());
                    }
                    Entry::End => return self.tell_dropped(),
                }
            }
            self.tell_dropped();
        }
    }

    fn tell_dropped(&mut self) {
        match self.dropped.swap(0, Ordering::Relaxed) {
            0 => {}
            count => {
                let text = format!("{count} log lines were dropped, because stderr is slow");
                self.write(&self.format.say(self.clock.wall_ms(), Level::WARN, TARGET, &text));
            }
        }
    }

    fn write(&mut self, line: &str) {
        // A stderr that is closed is no reason to do anything else: there is nobody to tell.
        let _ = self.sink.write_all(line.as_bytes());
    }
}

/// The process's stderr.
pub(super) fn stderr() -> OpenSink {
    Box::new(|| Box::new(Stderr))
}

/// File descriptor 2. Not through the standard library's lock, which somebody may hold while stderr is
/// blocked.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stderr = rustix::stdio::stderr();
        loop {
            match rustix::io::write(stderr, bytes) {
                Ok(written) => return Ok(written),
                Err(rustix::io::Errno::INTR) => {}
                // Somebody shares the terminal or pipe with us and made it non-blocking.
                Err(rustix::io::Errno::AGAIN) => {
                    let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
                    let _ = poll(&mut fds, None);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
