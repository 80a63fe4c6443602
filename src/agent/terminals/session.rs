//! One command: what is known of it, and how it is waited for, typed into and ended.

use std::sync::{Arc, Mutex};

use crossbeam_channel::{Sender, bounded};

use super::output::HeadTail;
use super::pump::{self, Feed, FeedSink, Typed};
use super::{BackgroundTerminal, NewCommand};
use crate::agent::teller::Teller;
use crate::clock::{Clock, Monotonic};
use crate::exec::{Refusal, Running, Spawner, StdinError, Written};
use crate::limits;
use crate::model::Cancel;
use crate::proto::CommandExecutionItem;
use crate::sync::lock;
use crate::sys::worker::Worker;

/// Why a command did not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StartFailure {
    /// The thread has too many.
    #[error("{0} commands run in this thread, the limit; end one of them first")]
    TooMany(usize),
    /// The server does not take it.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// There is no worker for it.
    #[error("the command could not be watched: {0}")]
    NoWorker(String),
    /// The system, or the sandbox, does not start it.
    #[error("{0}")]
    NotStarted(String),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exit {
    /// Its exit code.
    pub(crate) code: i32,
}

/// One command of the agent. Dropping it kills the command and waits until its end was told.
#[derive(Debug)]
pub(crate) struct Session {
    id: i64,
    // Dropped in this order: the kill comes before the wait.
    running: Mutex<Option<Running>>,
    typed: FeedSink,
    shared: Arc<Shared>,
    pump: Mutex<Option<Worker>>,
}

/// What the session and the worker that serves it both know.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) teller: Arc<Teller>,
    pub(super) item: CommandExecutionItem,
    pub(super) shown_since_ms: Option<i64>,
    pub(super) state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// What the model was not told yet.
    pub(super) unread: HeadTail,
    /// No call waits for it.
    background: bool,
    /// Who waits for the next phase.
    waiting: Vec<Sender<()>>,
}

#[derive(Debug, Clone)]
pub(super) enum Phase {
    Starting,
    Running,
    Failed(String),
    Ended(Exit),
}

impl Shared {
    /// Goes on to another phase and wakes who waits for it.
    pub(super) fn enter(&self, phase: Phase) {
        let mut state = lock(&self.state);
        state.phase = phase;
        for waiting in state.waiting.drain(..) {
            // A full slot means that it is being woken already.
            let _ = waiting.try_send(());
        }
    }

    fn phase(&self) -> Phase {
        lock(&self.state).phase.clone()
    }
}

/// What a command said since it was last looked at.
pub(crate) struct Heard {
    /// How it ended, if it has.
    pub(crate) exit: Option<Exit>,
    /// The text, shortened to what was asked for.
    pub(crate) text: String,
    /// Bytes of the whole.
    pub(crate) bytes: u64,
    /// Lines of the whole, if the text was shortened.
    pub(crate) cut_lines: Option<u64>,
}

impl Session {
    pub(super) fn start(id: i64, spawner: &Spawner, new: NewCommand) -> Result<Arc<Self>, StartFailure> {
        let NewCommand { spec, mut item, shown_since_ms, teller } = new;
        item.process_id = Some(id.to_string());
        let unread = HeadTail::new(limits::COMMAND_UNREAD_BYTES);
        let state = State { phase: Phase::Starting, unread, background: false, waiting: Vec::new() };
        let shared = Arc::new(Shared { teller, item, shown_since_ms, state: Mutex::new(state) });
        let (feed, sink) = Feed::new();
        let pump = Worker::spawn(format!("cmd-{id}"), limits::STACK_BYTES_IO, {
            let shared = Arc::clone(&shared);
            move || pump::run(&feed, &shared)
        })
        .map_err(|error| StartFailure::NoWorker(error.to_string()))?;
        // If it is refused, these two are dropped, and the pump ends without a word.
        let typed = sink.clone();
        let running = spawner.start(spec, Box::new(sink))?;
        let (running, pump) = (Mutex::new(Some(running)), Mutex::new(Some(pump)));
        Ok(Arc::new(Self { id, running, typed, shared, pump }))
    }

    pub(crate) fn id(&self) -> i64 {
        self.id
    }

    pub(super) fn turn_id(&self) -> &str {
        self.shared.teller.turn()
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.shared.phase(), Phase::Ended(_) | Phase::Failed(_))
    }

    pub(super) fn as_background(&self) -> Option<BackgroundTerminal> {
        let state = lock(&self.shared.state);
        let runs = matches!(state.phase, Phase::Running);
        let item = &self.shared.item;
        (runs && state.background).then(|| BackgroundTerminal {
            item_id: item.id.clone(),
            process_id: self.id.to_string(),
            command: item.command.clone(),
            cwd: item.cwd.clone(),
        })
    }

    /// Waits until the command runs.
    ///
    /// # Errors
    /// Why it does not.
    pub(crate) fn wait_started(&self, clock: &Clock, cancel: &Cancel) -> Result<(), StartFailure> {
        let started = |phase: &Phase| !matches!(phase, Phase::Starting);
        match self.wait(clock, cancel, /*deadline*/ None, started) {
            Phase::Failed(why) => Err(StartFailure::NotStarted(why)),
            _ => Ok(()),
        }
    }

    /// Waits until the command has ended, or until `deadline`, or until the turn is interrupted.
    pub(crate) fn wait_ended(&self, clock: &Clock, cancel: &Cancel, deadline: Monotonic) {
        let ended = |phase: &Phase| matches!(phase, Phase::Ended(_) | Phase::Failed(_));
        let phase = self.wait(clock, cancel, Some(deadline), ended);
        let mut state = lock(&self.shared.state);
        state.background = !ended(&phase);
    }

    fn wait(
        &self,
        clock: &Clock,
        cancel: &Cancel,
        deadline: Option<Monotonic>,
        until: impl Fn(&Phase) -> bool,
    ) -> Phase {
        let (ring, rung) = bounded(1);
        let cancelled = {
            let ring = ring.clone();
            cancel.on_cancel(move || {
                let _ = ring.try_send(());
            })
        };
        loop {
            {
                let mut state = lock(&self.shared.state);
                if until(&state.phase) || cancel.is_cancelled() {
                    return state.phase.clone();
                }
                state.background = false;
                state.waiting.push(ring.clone());
            }
            match clock.recv_deadline(&rung, deadline) {
                crate::clock::Wait::Got(()) => {}
                crate::clock::Wait::TimedOut | crate::clock::Wait::Closed => {
                    drop(cancelled);
                    return self.shared.phase();
                }
            }
        }
    }

    /// Takes what it said since the last time, as text of about `max` bytes at most.
    pub(crate) fn hear(&self, max: usize) -> Heard {
        let mut state = lock(&self.shared.state);
        let unread = std::mem::replace(&mut state.unread, HeadTail::new(limits::COMMAND_UNREAD_BYTES));
        let exit = match state.phase {
            Phase::Ended(exit) => Some(exit),
            _ => None,
        };
        let (text, cut) = unread.text_within(max);
        Heard { exit, text, bytes: unread.bytes(), cut_lines: cut.then(|| unread.lines()) }
    }

    /// Types into the command, for the turn of `teller`; waits until it was taken and is told, but not beyond
    /// `deadline`.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(crate) fn write(
        &self,
        text: &str,
        teller: &Arc<Teller>,
        clock: &Clock,
        deadline: Monotonic,
    ) -> Result<(), StdinError> {
        let (done, outcome) = bounded(1);
        match &*lock(&self.running) {
            None => return Err(StdinError::Ended),
            Some(running) => {
                let feed = self.typed.clone();
                let typed = Typed { teller: Arc::clone(teller), text: text.to_owned(), done };
                let written = Written::to(move |outcome| match outcome {
                    Ok(()) => feed.typed(typed),
                    Err(error) => {
                        let _ = typed.done.try_send(Err(error));
                    }
                });
                running.write_stdin(text.as_bytes().to_vec(), /*close*/ false, written);
            }
        }
        match clock.recv_deadline(&outcome, Some(deadline)) {
            crate::clock::Wait::Got(outcome) => outcome,
            // It waits in the pipe.
            crate::clock::Wait::TimedOut => Ok(()),
            crate::clock::Wait::Closed => Err(StdinError::Ended),
        }
    }

    /// Asks the command to end, and kills it if it does not.
    pub(super) fn kill(&self) {
        if let Some(running) = &*lock(&self.running) {
            running.kill();
        }
    }

    /// Kills the command and gives its worker away, for who must not wait for it.
    pub(super) fn let_go(&self) -> Option<Worker> {
        self.kill_now();
        lock(&self.pump).take()
    }

    /// Kills the command with all that it started.
    pub(super) fn kill_now(&self) {
        if let Some(running) = &*lock(&self.running) {
            running.kill_now();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.kill_now();
    }
}
