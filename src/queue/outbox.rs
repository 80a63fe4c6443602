//! A connection's outbound queue: everything for one client goes through it in one order.
//!
//! Two lanes: *control* for a WebSocket's own frames (pong, close), which go first, and *data*, one FIFO of
//! whole messages. Data is bounded in messages and bytes, counting what the writer has taken and not yet
//! written. At the bound an outbox either closes its connection ([`Overflow::Cut`]) or makes the producer
//! wait ([`Overflow::Wait`], for stdio, where nobody else can be disturbed).

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;

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

/// What the writer has to write next, in this order: control, then data.
#[derive(Debug, Default)]
pub struct Batch {
    /// Whole control frames.
    pub control: Vec<Bytes>,
    /// Whole messages.
    pub data: Vec<Bytes>,
    data_bytes: usize,
    data_charged: usize,
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
    /// Messages and bytes on the data lane, counting those that the writer is writing.
    messages: usize,
    bytes: usize,
    closing: Option<Closing>,
    /// How far it has read what everybody is told.
    listening: Option<Box<Listening>>,
    writer_waits: bool,
    writer_gone: bool,
}

/// Without the messages: what clients are told must not get into a log by way of a debug form.
impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("messages", &self.messages)
            .field("bytes", &self.bytes)
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
        let shared = &*self.0;
        let mut state = lock(&shared.state);
        shared.read_on(&mut state);
        while shared.limits.overflow == Overflow::Wait && state.is_open() && !shared.has_room(&state, charged)
        {
            state = wait(&shared.room, state);
        }
        shared.put(&mut state, Queued { message, charged })
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
        let shared = &*self.0;
        shared.read_on(&mut lock(&shared.state));
    }

    /// Leaves out the message with this number, which everybody is told next: this client is told the same
    /// in another form, or at once.
    pub fn pass_over(&self, number: u64) {
        let shared = &*self.0;
        let mut state = lock(&shared.state);
        shared.read_on(&mut state);
        if let Some(listening) = &mut state.listening {
            listening.pass_over(number);
        }
    }

    /// Puts a whole control frame on the control lane. Too many of them close the connection (1008).
    pub fn push_control(&self, frame: Bytes) -> Pushed {
        let shared = &*self.0;
        let mut state = lock(&shared.state);
        if !state.is_open() {
            return Pushed::Dropped;
        }
        if state.control.len() >= shared.limits.control_frames {
            let reason = "too many pings without reading the pongs".to_owned();
            shared.cut(&mut state, Closing { code: 1008, reason });
            return Pushed::Dropped;
        }
        state.control.push_back(frame);
        shared.wake_writer(&mut state);
        Pushed::Queued
    }

    /// Ends the connection after everything that is queued has been written.
    pub fn finish(&self, closing: Closing) {
        let shared = &*self.0;
        let mut state = lock(&shared.state);
        shared.read_on(&mut state);
        if state.closing.is_none() {
            state.closing = Some(closing);
            shared.room.notify_all();
            shared.wake_writer(&mut state);
        }
    }

    /// Ends the connection now: what is queued is not written any more, only the goodbye.
    pub fn cut(&self, closing: Closing) {
        let shared = &*self.0;
        let mut state = lock(&shared.state);
        shared.cut(&mut state, closing);
    }

    /// True if nothing more will be written.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        !lock(&self.0.state).is_open()
    }

    /// Bytes on the data lane, counting those that are being written.
    #[must_use]
    pub fn bytes_queued(&self) -> usize {
        lock(&self.0.state).bytes
    }
}

impl State {
    fn is_open(&self) -> bool {
        self.closing.is_none() && !self.writer_gone
    }
}

impl Shared {
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
        state.messages == 0
            || (state.messages < self.limits.messages && state.bytes + charged <= self.limits.bytes)
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
        state.messages += 1;
        state.bytes += queued.charged;
        state.data.push_back(queued);
        self.wake_writer(state);
        Pushed::Queued
    }

    fn cut(&self, state: &mut State, closing: Closing) {
        for queued in state.data.drain(..) {
            state.bytes -= queued.charged;
            state.messages -= 1;
        }
        // A burst may have grown the ring; the connection is over, so give it back.
        state.data = VecDeque::new();
        state.closing.get_or_insert(closing);
        self.room.notify_all();
        self.wake_writer(state);
    }

    fn wake_writer(&self, state: &mut State) {
        // One wake-up per sleep: while the writer writes, producers only queue.
        if std::mem::take(&mut state.writer_waits) {
            self.filled.notify_one();
        }
    }
}

impl OutboxDrain {
    /// Waits until there is something to do and moves it into `batch`: control frames, and messages of about
    /// `bytes_max` bytes (at least one). What `batch` held before counts as written.
    pub fn next(&mut self, batch: &mut Batch, bytes_max: usize) -> Next {
        let shared = &*self.0;
        let mut state = lock(&shared.state);
        if !batch.data.is_empty() {
            state.messages -= batch.data.len();
            state.bytes -= batch.data_charged;
            if shared.limits.overflow == Overflow::Wait {
                shared.room.notify_all();
            }
        }
        batch.clear();
        while state.control.is_empty() && state.data.is_empty() && state.closing.is_none() {
            state.writer_waits = true;
            state = wait(&shared.filled, state);
        }
        state.writer_waits = false;
        batch.control.extend(state.control.drain(..));
        while let Some(Queued { message, charged }) = state.data.front() {
            if !batch.data.is_empty() && batch.data_bytes + message.len() > bytes_max {
                break;
            }
            batch.data_bytes += message.len();
            batch.data_charged += charged;
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
        self.control.clear();
        self.data.clear();
        (self.data_bytes, self.data_charged) = (0, 0);
        // An idle connection keeps no large buffer.
        if self.data.capacity() > 256 {
            self.data = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(messages: usize, bytes: usize, overflow: Overflow) -> OutboxLimits {
        OutboxLimits { messages, bytes, control_frames: 2, overflow }
    }

    fn too_slow() -> Closing {
        Closing { code: 1013, reason: "too slow".to_owned() }
    }

    fn goodbye() -> Closing {
        Closing { code: 1001, reason: "goodbye".to_owned() }
    }

    fn texts(batch: &Batch) -> Vec<&[u8]> {
        batch.data.iter().map(AsRef::as_ref).collect()
    }

    #[test]
    fn messages_come_out_in_order_and_control_frames_first() {
        let (outbox, mut drain) =
            Outbox::new(limits(/*messages*/ 8, /*bytes*/ 100, Overflow::Wait));
        outbox.push(Bytes::from_static(b"one"));
        outbox.push(Bytes::from_static(b"two"));
        outbox.push_control(Bytes::from_static(b"pong"));
        let mut batch = Batch::default();
        assert_eq!(drain.next(&mut batch, /*bytes_max*/ 100), Next::Continue);
        assert_eq!((texts(&batch), batch.control.len()), (vec![&b"one"[..], b"two"], 1));
    }

    #[test]
    fn a_batch_is_bounded_but_never_empty() {
        let (outbox, mut drain) =
            Outbox::new(limits(/*messages*/ 8, /*bytes*/ 100, Overflow::Wait));
        for text in [&b"1234567890"[..], b"12", b"34"] {
            outbox.push(Bytes::from_static(text));
        }
        let mut batch = Batch::default();
        drain.next(&mut batch, /*bytes_max*/ 4);
        assert_eq!(texts(&batch), [b"1234567890"]);
        drain.next(&mut batch, /*bytes_max*/ 4);
        assert_eq!(texts(&batch), [b"12", b"34"]);
    }

    #[test]
    fn what_is_being_written_still_counts_against_the_bound() {
        let (outbox, mut drain) =
            Outbox::new(limits(/*messages*/ 2, /*bytes*/ 100, Overflow::Cut(too_slow())));
        let mut batch = Batch::default();
        outbox.push(Bytes::from_static(b"a"));
        drain.next(&mut batch, /*bytes_max*/ 100);
        assert_eq!(outbox.push(Bytes::from_static(b"b")), Pushed::Queued);
        assert_eq!(outbox.push(Bytes::from_static(b"c")), Pushed::Dropped);
        assert_eq!(drain.next(&mut batch, /*bytes_max*/ 100), Next::Close(too_slow()));
        assert!(batch.data.is_empty(), "a cut connection hears only the goodbye");
        assert_eq!(outbox.bytes_queued(), 0);
    }

    #[test]
    fn finishing_writes_everything_first_and_takes_nothing_more() {
        let (outbox, mut drain) =
            Outbox::new(limits(/*messages*/ 8, /*bytes*/ 100, Overflow::Wait));
        outbox.push(Bytes::from_static(b"last"));
        outbox.finish(goodbye());
        assert_eq!(outbox.push(Bytes::from_static(b"late")), Pushed::Dropped);
        let mut batch = Batch::default();
        assert_eq!(drain.next(&mut batch, /*bytes_max*/ 100), Next::Close(goodbye()));
        assert_eq!(texts(&batch), [b"last"]);
    }

    #[test]
    fn a_message_above_the_whole_bound_passes_alone() {
        let (outbox, _drain) =
            Outbox::new(limits(/*messages*/ 8, /*bytes*/ 4, Overflow::Cut(too_slow())));
        assert_eq!(outbox.push(Bytes::from_static(b"larger")), Pushed::Queued);
        assert_eq!(outbox.push(Bytes::from_static(b"x")), Pushed::Dropped);
    }

    #[test]
    fn a_message_that_is_counted_elsewhere_takes_no_room() {
        let (outbox, mut drain) =
            Outbox::new(limits(/*messages*/ 8, /*bytes*/ 4, Overflow::Cut(too_slow())));
        for _ in 0..2 {
            assert_eq!(outbox.push_held(Bytes::from_static(b"larger")), Pushed::Queued);
            assert_eq!(outbox.push(Bytes::from_static(b"xx")), Pushed::Queued);
        }
        let mut batch = Batch::default();
        drain.next(&mut batch, /*bytes_max*/ 100);
        assert_eq!((texts(&batch).len(), outbox.bytes_queued()), (4, 4));
        outbox.push(Bytes::new());
        drain.next(&mut batch, /*bytes_max*/ 100);
        assert_eq!(outbox.bytes_queued(), 0);
    }

    #[test]
    fn too_many_control_frames_close_the_connection() {
        let (outbox, mut drain) =
            Outbox::new(limits(/*messages*/ 8, /*bytes*/ 100, Overflow::Wait));
        for _ in 0..2 {
            assert_eq!(outbox.push_control(Bytes::from_static(b"p")), Pushed::Queued);
        }
        assert_eq!(outbox.push_control(Bytes::from_static(b"p")), Pushed::Dropped);
        let next = drain.next(&mut Batch::default(), /*bytes_max*/ 100);
        assert!(matches!(next, Next::Close(Closing { code: 1008, .. })), "{next:?}");
    }

    #[test]
    fn a_waiting_producer_goes_on_when_there_is_room_or_no_writer() {
        let (outbox, mut drain) =
            Outbox::new(limits(/*messages*/ 1, /*bytes*/ 100, Overflow::Wait));
        let producer = outbox.clone();
        std::thread::scope(|scope| {
            let pushed = scope.spawn(move || {
                [&b"a"[..], b"b", b"c"].map(|text| producer.push(Bytes::copy_from_slice(text)))
            });
            let mut batch = Batch::default();
            drain.next(&mut batch, /*bytes_max*/ 100);
            assert_eq!(texts(&batch), [b"a"]);
            drain.next(&mut batch, /*bytes_max*/ 100);
            assert_eq!(texts(&batch), [b"b"]);
            drop(drain);
            let pushed = pushed.join().expect("no panic");
            // The third may have slipped in before the writer went away; it must not hang.
            assert_eq!(pushed[..2], [Pushed::Queued, Pushed::Queued]);
        });
    }
}
