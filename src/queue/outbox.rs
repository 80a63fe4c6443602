//! A connection's outbound queue: everything for one client goes through it in one order.
//!
//! Two lanes: *control* for a WebSocket's own frames (pong, close), which go first, and *data*, one FIFO of
//! whole messages. Data is bounded in messages and bytes, counting what the writer has taken and not yet
//! written. At the bound an outbox either closes its connection ([`Overflow::Cut`]) or makes the producer
//! wait ([`Overflow::Wait`], for stdio, where nobody else can be disturbed).

mod shortcut;
#[cfg(test)]
mod tests;
mod wakes;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};

use bytes::Bytes;

pub use shortcut::Shortcut;
pub use wakes::Wakes;

use super::broadcast::Listening;
use crate::obs::metrics::values::CLIENTS_CUT_OFF;
use crate::sync::{lock, wait};

/// What happens to a message for which there is no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overflow {
    /// The connection is closed for this reason, and the message is gone with it.
    Cut(Closing),
    /// The producer waits.
    Wait,
}

/// The bounds of one outbox.
#[derive(Debug, Clone)]
pub struct OutboxLimits {
    /// Messages on the data lane.
    pub messages: usize,
    /// Bytes on the data lane.
    pub bytes: usize,
    /// Frames on the control lane.
    pub control_frames: usize,
    /// What happens above these.
    pub overflow: Overflow,
}

/// Why and how a connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// WebSocket close code (RFC 6455, section 7.4); unused on stdio.
    pub code: u16,
    /// Text for the client's developer, at most 123 bytes on the wire.
    pub reason: String,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It will be written.
    Queued,
    /// There was no room, or the connection is closing: it will not be written.
    Dropped,
}

/// The producing side; clones feed the same connection.
#[derive(Debug, Clone)]
pub struct Outbox(Arc<Shared>);

/// The writing side: one per outbox, owned by the writer. Its drop releases everyone who waits.
#[derive(Debug)]
pub struct OutboxDrain(Arc<Shared>);

/// What the writer has to write next, in this order: the rest, control, then data.
#[derive(Debug, Default)]
pub struct Batch {
    /// The end of what was begun by the [`Shortcut`], as it goes onto the wire.
    pub rest: Bytes,
    /// Whole control frames.
    pub control: Vec<Bytes>,
    /// Whole messages.
    pub data: Vec<Bytes>,
    data_bytes: usize,
    /// What the messages and the rest count on the data lane.
    load: Load,
}

/// How much counts against the bounds of the data lane.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    messages: usize,
    bytes: usize,
}

/// A message on the data lane.
struct Queued {
    message: Bytes,
    /// Bytes that count against the bound.
    charged: usize,
}

/// What the writer does after it wrote the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Ask again.
    Continue,
    /// Nothing comes after this batch: say goodbye with this and stop.
    Close(Closing),
}

#[derive(Debug)]
struct Shared {
    limits: OutboxLimits,
    state: Mutex<State>,
    /// The writer waits here for something to write.
    filled: Condvar,
    /// Producers of a stdio outbox wait here for room.
    room: Condvar,
}

#[derive(Default)]
struct State {
    control: VecDeque<Bytes>,
    data: VecDeque<Queued>,
    /// On the data lane, counting what is being written.
    load: Load,
    /// What the shortcut has begun, and what that counts.
    rest: Option<(Bytes, Load)>,
    closing: Option<Closing>,
    /// How far it has read what everybody is told.
    listening: Option<Box<Listening>>,
    shortcut: Option<Weak<dyn Shortcut>>,
    /// The shortcut is writing; the writer must not.
    is_lent: bool,
    writer_waits: bool,
    writer_gone: bool,
    /// Some [`Wakes`] will see to it that what is here is written.
    is_gathered: bool,
}

/// Without the messages: what clients are told must not get into a log by way of a debug form.
impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("load", &self.load)
            .field("closing", &self.closing)
            .finish_non_exhaustive()
    }
}

impl Outbox {
    /// An empty outbox with its two sides.
    #[must_use]
    pub fn new(limits: OutboxLimits) -> (Self, OutboxDrain) {
        let shared = Arc::new(Shared {
            limits,
            state: Mutex::new(State::default()),
            filled: Condvar::new(),
            room: Condvar::new(),
        });
        (Self(Arc::clone(&shared)), OutboxDrain(shared))
    }

    /// Puts a whole message at the end of the data lane.
    pub fn push(&self, message: Bytes) -> Pushed {
        let charged = message.len();
        self.push_charged(message, charged)
    }

    /// Like [`Self::push`] for a message whose bytes somebody else counts and bounds until the last copy of
    /// it is dropped: it counts as one message without bytes.
    pub fn push_held(&self, message: Bytes) -> Pushed {
        self.push_charged(message, /*charged*/ 0)
    }

    fn push_charged(&self, message: Bytes, charged: usize) -> Pushed {
        let shared = &self.0;
        let mut state = lock(&shared.state);
        while shared.limits.overflow == Overflow::Wait && state.is_open() && !shared.has_room(&state, charged)
        {
            if wakes::any_gathered() {
                // Nobody, this writer least of all, waits for who waits here.
                drop(state);
                wakes::release();
                state = lock(&shared.state);
            } else {
                state = wait(&shared.room, state);
            }
        }
        shared.change_locked(state, |state| {
            shared.read_on(state);
            shared.put(state, Queued { message, charged })
        })
    }

    /// What happens above the bounds.
    pub(super) fn overflow(&self) -> &Overflow {
        &self.0.limits.overflow
    }

    /// From now on what everybody is told comes before anything else that is pushed.
    pub(super) fn listen(&self, listening: Listening) {
        lock(&self.0.state).listening = Some(Box::new(listening));
    }

    /// Nothing more of what everybody is told.
    pub(super) fn stop_listening(&self) {
        lock(&self.0.state).listening = None;
    }

    /// Takes what everybody was told meanwhile.
    pub(super) fn read_on(&self) {
        self.0.change(|state| self.0.read_on(state));
    }

    /// Leaves out the message with this number, which everybody is told next: this client is told the same
    /// in another form, or at once.
    pub fn pass_over(&self, number: u64) {
        self.0.change(|state| {
            self.0.read_on(state);
            if let Some(listening) = &mut state.listening {
                listening.pass_over(number);
            }
        });
    }

    /// Puts a whole control frame on the control lane. Too many of them close the connection (1008).
    pub fn push_control(&self, frame: Bytes) -> Pushed {
        let shared = &self.0;
        shared.change(|state| {
            if !state.is_open() {
                return Pushed::Dropped;
            }
            if state.control.len() >= shared.limits.control_frames {
                let reason = "too many pings without reading the pongs".to_owned();
                shared.cut(state, Closing { code: 1008, reason });
                return Pushed::Dropped;
            }
            state.control.push_back(frame);
            Pushed::Queued
        })
    }

    /// Ends the connection after everything that is queued has been written.
    pub fn finish(&self, closing: Closing) {
        let shared = &self.0;
        shared.change(|state| {
            shared.read_on(state);
            if state.closing.is_none() {
                state.closing = Some(closing);
                shared.room.notify_all();
            }
        });
    }

    /// Ends the connection now: what is queued is not written any more, only the goodbye.
    pub fn cut(&self, closing: Closing) {
        self.0.change(|state| self.0.cut(state, closing));
    }

    /// True if nothing more will be written.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        !lock(&self.0.state).is_open()
    }

    /// True if everything that was said is written.
    #[cfg(test)]
    pub(crate) fn is_at_rest(&self) -> bool {
        let state = lock(&self.0.state);
        let has_read_on = state.listening.as_ref().is_none_or(|listening| listening.has_read_on());
        has_read_on && state.writer_waits && !state.has_work()
    }

    /// Bytes on the data lane, counting those that are being written.
    #[must_use]
    pub fn bytes_queued(&self) -> usize {
        lock(&self.0.state).load.bytes
    }
}

impl State {
    /// There is something for the writer to do.
    fn has_work(&self) -> bool {
        !self.control.is_empty() || !self.data.is_empty() || self.rest.is_some() || self.closing.is_some()
    }

    /// The writer waits although there is something to do.
    fn is_wake_due(&self) -> bool {
        self.writer_waits && !self.is_lent && self.has_work()
    }

    fn is_open(&self) -> bool {
        self.closing.is_none() && !self.writer_gone
    }
}

impl Shared {
    /// Does something to the state, and has the writer woken if that leaves it something to do.
    fn change<T>(self: &Arc<Self>, work: impl FnOnce(&mut State) -> T) -> T {
        self.change_locked(lock(&self.state), work)
    }

    fn change_locked<T>(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        work: impl FnOnce(&mut State) -> T,
    ) -> T {
        let outcome = work(&mut state);
        if state.is_wake_due() && !wakes::gather(self, &mut state) {
            self.wake(state);
        }
        outcome
    }

    /// Wakes the writer if it has something to do.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        // One wake-up per sleep: while the writer writes, producers only queue.
        let is_due = state.is_wake_due();
        state.writer_waits &= !is_due;
        // Outside of the lock, which is the first that the writer takes.
        drop(state);
        if is_due {
            self.filled.notify_one();
        }
    }

    /// Takes what everybody was told since the last time.
    fn read_on(&self, state: &mut State) {
        let Some(mut listening) = state.listening.take() else { return };
        listening.take(|message| {
            let charged = message.len();
            self.put(state, Queued { message, charged }) == Pushed::Queued
        });
        // The log keeps nothing for who takes nothing more.
        if state.is_open() {
            state.listening = Some(listening);
        }
    }

    /// One message is always let in, however large: it has passed the message limit elsewhere.
    fn has_room(&self, state: &State, charged: usize) -> bool {
        let Load { messages, bytes } = state.load;
        messages == 0 || (messages < self.limits.messages && bytes + charged <= self.limits.bytes)
    }

    fn put(&self, state: &mut State, queued: Queued) -> Pushed {
        if !state.is_open() {
            return Pushed::Dropped;
        }
        if let Overflow::Cut(closing) = &self.limits.overflow
            && !self.has_room(state, queued.charged)
        {
            CLIENTS_CUT_OFF.add_one();
            self.cut(state, closing.clone());
            return Pushed::Dropped;
        }
        state.load.add(queued.load());
        state.data.push_back(queued);
        Pushed::Queued
    }

    fn cut(&self, state: &mut State, closing: Closing) {
        // With the ring, which a burst may have grown: the connection is over.
        for queued in std::mem::take(&mut state.data) {
            state.load.take(queued.load());
        }
        state.closing.get_or_insert(closing);
        self.room.notify_all();
    }
}

impl OutboxDrain {
    /// Waits until there is something to do and moves it into `batch`: a rest, control frames, and messages
    /// of about `bytes_max` bytes (at least one). What `batch` held before counts as written.
    pub fn next(&mut self, batch: &mut Batch, bytes_max: usize) -> Next {
        let shared = &*self.0;
        let mut state = lock(&shared.state);
        if batch.load.messages > 0 {
            state.load.take(batch.load);
            if shared.limits.overflow == Overflow::Wait {
                shared.room.notify_all();
            }
        }
        batch.clear();
        while state.is_lent || !state.has_work() {
            state.writer_waits = true;
            state = wait(&shared.filled, state);
        }
        state.writer_waits = false;
        if let Some(rest) = state.rest.take() {
            (batch.rest, batch.load) = rest;
        }
        batch.control.extend(state.control.drain(..));
        while let Some(queued) = state.data.front() {
            let length = queued.message.len();
            if !batch.data.is_empty() && batch.data_bytes + length > bytes_max {
                break;
            }
            batch.data_bytes += length;
            batch.load.add(queued.load());
            batch.data.extend(state.data.pop_front().map(|queued| queued.message));
        }
        if state.data.is_empty() && state.data.capacity() > 1024 {
            state.data = VecDeque::new();
        }
        match &state.closing {
            Some(closing) if state.data.is_empty() => Next::Close(closing.clone()),
            _ => Next::Continue,
        }
    }
}

impl Queued {
    fn load(&self) -> Load {
        Load { messages: 1, bytes: self.charged }
    }
}

impl Load {
    fn add(&mut self, more: Self) {
        self.messages += more.messages;
        self.bytes += more.bytes;
    }

    fn take(&mut self, less: Self) {
        self.messages -= less.messages;
        self.bytes -= less.bytes;
    }
}

impl Drop for OutboxDrain {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.writer_gone = true;
        state.data = VecDeque::new();
        state.control = VecDeque::new();
        self.0.room.notify_all();
    }
}

impl Batch {
    fn clear(&mut self) {
        if !self.rest.is_empty() {
            self.rest = Bytes::new();
        }
        self.control.clear();
        self.data.clear();
        (self.data_bytes, self.load) = (0, Load::default());
        // An idle connection keeps no large buffer.
        if self.data.capacity() > 256 {
            self.data = Vec::new();
        }
    }
}
