//! How the server comes to its end: end of input, signals, a lost output, a store that does not open.

use std::time::Duration;

use super::event::{Event, StopCause};
use super::processor::{Processor, Step};
use crate::net::Transport;
use crate::queue::Closing;
use crate::store::StoreError;
use crate::sys::signals::Signal;

/// How far the end is.
#[derive(Debug)]
pub(super) struct Ending {
    /// How long running turns may go on once the end has begun; for ever if there is none.
    drain_timeout: Option<Duration>,
    state: State,
    /// A pipe has no more input.
    input_ended: bool,
    /// The drain deadline is armed.
    deadline_armed: bool,
    /// Whether the store opened is known. A pipe without input may end before that, and its end must not hide
    /// a store that does not open.
    store_known: bool,
    store: Option<StoreError>,
    /// What was last logged, so that each change is logged once.
    turns_logged: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Serving,
    /// No new turns; those that run go on.
    Draining,
    /// Running turns are interrupted; the end waits only for them to say so.
    Stopping,
}

/// What a client is told when the server ends (RFC 6455, 7.4.1: going away).
pub(super) fn goodbye() -> Closing {
    Closing { code: 1001, reason: "the server is shutting down".to_owned() }
}

impl Ending {
    pub(super) fn new(drain_timeout: Option<Duration>) -> Self {
        Self {
            drain_timeout,
            state: State::Serving,
            input_ended: false,
            deadline_armed: false,
            store_known: false,
            store: None,
            turns_logged: None,
        }
    }

    pub(super) fn store_opened(&mut self, outcome: Result<(), StoreError>) {
        self.store_known = true;
        self.store = outcome.err();
    }

    /// True if nobody can say anything any more: a pipe has one client, and it has said all.
    pub(super) fn input_has_ended(&self) -> bool {
        self.input_ended
    }

    /// True if new work is taken.
    pub(super) fn takes_work(&self) -> bool {
        self.state == State::Serving
    }
}

impl Processor {
    /// True while threads may begin turns that nobody has asked for just now.
    pub(super) fn may_begin_by_itself(&self) -> bool {
        self.ending.takes_work() && !self.ending.input_ended
    }

    /// Why the server should stop now, if it should.
    pub(super) fn stop_cause(&mut self) -> Option<StopCause> {
        if let Some(error) = self.ending.store.take() {
            return Some(StopCause::Store(error));
        }
        let running = self.threads.running_turns();
        match self.ending.state {
            State::Serving => {
                let input_served = self.ending.input_ended
                    && running == 0
                    && self.commands.is_empty()
                    && self.all_answered();
                (input_served && self.ending.store_known).then_some(StopCause::Done)
            }
            State::Draining => {
                if running > 0 && self.ending.turns_logged != Some(running) {
                    self.ending.turns_logged = Some(running);
                    tracing::info!(running_turns = running, "waiting for running turns");
                }
                // Commands are not waited for: they end with the server, and their clients are told.
                let open = self.open_requests().saturating_sub(self.commands.open_requests());
                (running == 0 && open == 0).then_some(StopCause::Done)
            }
            State::Stopping => (running == 0).then_some(StopCause::Forced),
        }
    }

    fn all_answered(&self) -> bool {
        self.open_requests() == 0
    }

    /// Requests of all clients that are not answered yet.
    pub(super) fn open_requests(&self) -> usize {
        self.sessions.iter().map(super::session::Session::open_requests).sum()
    }

    pub(super) fn on_signal(&mut self, signal: Signal) {
        let on_stdio = self.sessions.iter().any(|session| session.transport == Transport::Stdio);
        match self.ending.state {
            // A client on a pipe that sends a signal wants the process gone: the Python SDK kills after 2 s.
            State::Serving | State::Draining if on_stdio => self.stop("a signal", Step::StoppingAtOnce),
            State::Serving => self.drain("a signal"),
            // A lost terminal is no order to hurry.
            State::Draining if signal == Signal::Hangup => {}
            State::Draining => self.stop("a second signal", Step::StoppingAtOnce),
            State::Stopping => {}
        }
    }

    /// Stops taking work and lets running turns finish.
    pub(super) fn drain(&mut self, why: &str) {
        if self.ending.state != State::Serving {
            return;
        }
        let (connections, running_turns) = (self.sessions.len(), self.threads.running_turns());
        tracing::info!(connections, running_turns, "{why}: draining, new turns are refused");
        self.ending.state = State::Draining;
        self.ending.turns_logged = Some(running_turns);
        (self.services.on_step)(Step::Draining);
        self.arm_drain_deadline();
        self.reconsider_all_asks();
    }

    /// Interrupts running turns and ends when they have.
    pub(super) fn stop(&mut self, why: &str, step: Step) {
        if self.ending.state == State::Stopping {
            return;
        }
        tracing::info!(running_turns = self.threads.running_turns(), "{why}: stopping now");
        if self.ending.state == State::Serving {
            (self.services.on_step)(Step::Draining);
        }
        (self.services.on_step)(step);
        self.ending.state = State::Stopping;
        for thread in self.threads.iter() {
            if let Some(turn) = &thread.turn {
                turn.handle.interrupter.interrupt();
            }
        }
    }

    pub(super) fn on_drain_over(&mut self) {
        self.stop("the drain deadline has passed", Step::Stopping);
    }

    /// The end of input on stdio: what was asked is answered and what runs goes on, within the deadline.
    pub(super) fn on_input_end(&mut self) {
        self.ending.input_ended = true;
        self.commands.end_input();
        self.arm_drain_deadline();
        self.reconsider_all_asks();
    }

    /// A stdio client that has closed its output wants nothing more.
    pub(super) fn on_connection_gone(&mut self, transport: Transport) {
        if transport == Transport::Stdio {
            self.stop("the output is closed", Step::StoppingAtOnce);
        }
    }

    fn arm_drain_deadline(&mut self) {
        let Some(timeout) = self.ending.drain_timeout else { return };
        if !std::mem::replace(&mut self.ending.deadline_armed, true) {
            let events = self.services.events.clone();
            self.services.timer.arm_after(timeout, move || events.tell_first(Event::DrainOver));
        }
    }
}
