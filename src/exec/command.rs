//! What the workers and the holder of a [`super::Running`] share about one command.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use rustix::process::{Pid, Signal};

use super::end::KillReason;
use super::running::{ResizeError, StdinError, Written};
use super::spawner::Hub;
use super::{CommandSpec, TerminalSize};
use crate::limits;
use crate::sync::lock;
use crate::sys::child;
use crate::timer::Key;

/// The number of a command, unique in the process.
pub(super) type CommandId = u64;

/// A command as its steering sees it.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) id: CommandId,
    pub(super) hub: Arc<Hub>,
    state: Mutex<State>,
    /// The io worker was told to look at it and has not come yet.
    is_looked_for: AtomicBool,
}

pub(super) type CommandRef = Arc<Command>;

#[derive(Debug)]
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) stdin: Stdin,
    /// Why it has to end, if it has to.
    pub(super) kill: Option<KillReason>,
    /// Its descriptor for changing the terminal's size; present while it runs on one.
    pub(super) terminal: Option<OwnedFd>,
    pub(super) size: Option<TerminalSize>,
    /// It has ended and its output was awaited long enough.
    pub(super) is_drained: bool,
    /// Armed deadlines, to be taken back at the end.
    pub(super) timers: Vec<Key>,
    is_on_terminal: bool,
}

/// Where in its life a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It waits to be started.
    Starting,
    /// It runs, or has ended and is not reaped: its id is its own.
    Alive(Pid),
    /// It is reaped, or was never started.
    Over,
}

/// The input on its way to a command.
#[derive(Debug)]
pub(super) struct Stdin {
    /// Whether there is a way at all.
    is_piped: bool,
    /// No more may be put in.
    pub(super) is_closed: bool,
    pub(super) writes: VecDeque<Write>,
    bytes: usize,
}

/// Some input, and who wants to know when the command has it.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) bytes: Bytes,
    pub(super) done: Written,
}

impl Stdin {
    /// Takes the front write out once it is through.
    pub(super) fn pop(&mut self) -> Option<Write> {
        let write = self.writes.pop_front()?;
        self.bytes -= write.bytes.len();
        Some(write)
    }

    /// Counts bytes of the front write as through.
    pub(super) fn advance(&mut self, count: usize) {
        if let Some(front) = self.writes.front_mut() {
            drop(front.bytes.split_to(count));
            self.bytes -= count;
        }
    }

    /// Takes no more, and gives back what was not taken.
    pub(super) fn shut(&mut self) -> VecDeque<Write> {
        self.is_closed = true;
        self.bytes = 0;
        std::mem::take(&mut self.writes)
    }
}

impl Command {
    pub(super) fn new(id: CommandId, hub: Arc<Hub>, spec: &CommandSpec) -> CommandRef {
        Arc::new(Self {
            id,
            hub,
            state: Mutex::new(State {
                phase: Phase::Starting,
                stdin: Stdin {
                    is_piped: spec.stdin || spec.terminal.is_some(),
                    is_closed: false,
                    writes: VecDeque::new(),
                    bytes: 0,
                },
                kill: None,
                terminal: None,
                size: spec.terminal,
                is_drained: false,
                timers: Vec::new(),
                is_on_terminal: spec.terminal.is_some(),
            }),
            is_looked_for: AtomicBool::new(false),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Makes the io worker look at this command.
    pub(super) fn look(self: &Arc<Self>) {
        if !self.is_looked_for.swap(true, Ordering::SeqCst) {
            self.hub.look(Arc::clone(self));
        }
    }

    /// From here on a call of [`Self::look`] means another look.
    pub(super) fn looking(&self) {
        self.is_looked_for.store(false, Ordering::SeqCst);
    }

    pub(super) fn write(self: &Arc<Self>, bytes: Bytes, close: bool, done: Written) {
        let refused = {
            let mut state = self.lock();
            let on_terminal = state.is_on_terminal;
            let stdin = &mut state.stdin;
            if !stdin.is_piped {
                Err((StdinError::NotPiped, done))
            } else if state.phase == Phase::Over {
                Err((StdinError::Ended, done))
            } else if state.stdin.is_closed && bytes.is_empty() && close {
                // Closing twice is closing.
                Ok(Some(done))
            } else if state.stdin.is_closed {
                Err((StdinError::Closed, done))
            } else if state.stdin.is_full(bytes.len()) {
                Err((StdinError::Full, done))
            } else {
                let stdin = &mut state.stdin;
                stdin.put(bytes, done);
                if close && on_terminal {
                    // A terminal has no end of file of its own; a new line and this byte make one.
                    stdin.put(Bytes::from_static(b"\n\x04"), Written::nobody());
                }
                stdin.is_closed |= close;
                Ok(None)
            }
        };
        match refused {
            Ok(None) => self.look(),
            Ok(Some(done)) => done.tell(Ok(())),
            Err((error, done)) => done.tell(Err(error)),
        }
    }

    pub(super) fn resize(&self, size: TerminalSize) -> Result<(), ResizeError> {
        let mut state = self.lock();
        if state.phase == Phase::Over {
            return Err(ResizeError::Ended);
        }
        if !state.is_on_terminal {
            return Err(ResizeError::NotATerminal);
        }
        // One that is about to be started starts with it.
        state.size = Some(size);
        match &state.terminal {
            Some(terminal) => {
                child::resize(terminal.as_fd(), size.rows, size.columns).map_err(ResizeError::Os)
            }
            None => Ok(()),
        }
    }

    /// Tells the command to end, and kills it if it has not after a while. The first reason counts.
    pub(super) fn kill(self: &Arc<Self>, reason: KillReason) {
        let mut state = self.lock();
        if state.kill.is_some() || state.phase == Phase::Over {
            return;
        }
        state.kill = Some(reason);
        if let Phase::Alive(pid) = state.phase {
            self.begin_kill(&mut state, pid);
        }
        drop(state);
        self.look();
    }

    /// The first step, also for a command that was to end before it had started.
    pub(super) fn begin_kill(self: &Arc<Self>, state: &mut State, pid: Pid) {
        child::signal_group(pid, Signal::TERM);
        if state.is_on_terminal {
            // What the end of a terminal means; interactive shells ignore the other signal.
            child::signal_group(pid, Signal::HUP);
        }
        // One that is stopped would not hear of it.
        child::signal_group(pid, Signal::CONT);
        let command = Arc::clone(self);
        let key = self.hub.timer.arm_after(limits::COMMAND_KILL_GRACE, move || command.kill_now());
        state.timers.push(key);
    }

    /// The command is over and reaped, or never ran: its place is free and who waited for it is told.
    pub(super) fn close(&self) {
        let (writes, timers) = {
            let mut state = self.lock();
            state.phase = Phase::Over;
            state.terminal = None;
            (state.stdin.shut(), std::mem::take(&mut state.timers))
        };
        for key in timers {
            self.hub.timer.cancel(key);
        }
        for write in writes {
            write.done.tell(Err(StdinError::Ended));
        }
        self.hub.forget(self);
    }

    /// Kills the whole group, at once.
    pub(super) fn kill_now(&self) {
        // Under the lock, so that the id cannot be let go, and given to another, meanwhile.
        let mut state = self.lock();
        state.kill.get_or_insert(KillReason::Demanded);
        if let Phase::Alive(pid) = state.phase {
            child::signal_group(pid, Signal::KILL);
        }
    }
}

impl Stdin {
    fn put(&mut self, bytes: Bytes, done: Written) {
        self.bytes += bytes.len();
        self.writes.push_back(Write { bytes, done });
    }

    fn is_full(&self, more: usize) -> bool {
        // One write is let in however large: it has passed the message limit elsewhere.
        !self.writes.is_empty()
            && (self.bytes + more > limits::COMMAND_STDIN_BYTES
                || self.writes.len() >= limits::COMMAND_STDIN_WRITES)
    }
}
