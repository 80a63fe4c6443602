//! What everybody is told: kept once, and taken by each connection when it comes by.
//!
//! A broadcast to thousands of connections that do nothing would wake thousands of writers while somebody
//! waits for the answer behind it. So the teller only puts the message into a shared log. Each outbox that
//! *listens* remembers how far it has read. It reads on before it takes any other message, so everything to
//! one connection stays one FIFO; and a worker, `broadcast`, goes round and has the outboxes read on that
//! nothing else happens to, a few at a time. It writes what that brings by itself where the writer has
//! nothing to do. What was said meanwhile comes along in the same round.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;

use super::outbox::{Outbox, Overflow};
use crate::sync::{lock, wait};
use crate::sys::worker::Worker;

/// The bounds of the log, and the pace of its worker.
#[derive(Debug, Clone, Copy)]
pub struct BroadcastLimits {
    /// Messages in the log. At the bound the teller has everybody read on by itself.
    pub messages: usize,
    /// Bytes in the log; the same.
    pub bytes: usize,
    /// Outboxes that the worker has read on before it pauses.
    pub at_once: usize,
    /// Bytes that the worker writes to a client by itself; more is for the client's writer.
    pub written_bytes: usize,
    /// The pause.
    pub pause: Duration,
    /// Stack of the worker, in bytes.
    pub stack_bytes: usize,
}

/// The teller's side. Its drop ends the worker; what is in the log then is lost to who has not read on.
#[derive(Debug)]
pub struct Broadcaster {
    log: Arc<BroadcastLog>,
    worker: Option<Worker>,
}

/// The shared log.
#[derive(Debug)]
pub(super) struct BroadcastLog {
    limits: BroadcastLimits,
    /// The number of the next message.
    head: AtomicU64,
    state: Mutex<State>,
    told: Condvar,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    /// The number of the first entry.
    first: u64,
    bytes: usize,
    listeners: HashMap<u64, Outbox>,
    /// The worker has nothing to do.
    is_idle: bool,
    stopped: bool,
}

struct Entry {
    topic: &'static str,
    message: Bytes,
}

/// Without the message: what clients are told must not get into a log by way of a debug form.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.topic)
    }
}

/// How far an outbox has read.
#[derive(Debug)]
pub(super) struct Listening {
    log: Arc<BroadcastLog>,
    next: u64,
    /// Topics that it does not want.
    deaf_to: Arc<HashSet<Box<str>>>,
}

impl Broadcaster {
    /// An empty log. The worker starts with the first message.
    #[must_use]
    pub fn new(limits: BroadcastLimits) -> Self {
        let log =
            BroadcastLog { limits, head: AtomicU64::new(0), state: Mutex::default(), told: Condvar::new() };
        Self { log: Arc::new(log), worker: None }
    }

    /// From now on this outbox gets what is told, but for some topics. False for an outbox whose producers
    /// wait: nobody may wait in a round.
    pub fn join(&mut self, id: u64, outbox: &Outbox, deaf_to: Arc<HashSet<Box<str>>>) -> bool {
        if *outbox.overflow() == Overflow::Wait {
            return false;
        }
        let next = self.next_number();
        outbox.listen(Listening { log: Arc::clone(&self.log), next, deaf_to });
        lock(&self.log.state).listeners.insert(id, outbox.clone());
        true
    }

    /// Forgets an outbox, which takes nothing more of what is told: the log goes on without it.
    pub fn leave(&mut self, id: u64) {
        // An outbox's lock may be held while the log's is taken, never the other way round.
        let outbox = lock(&self.log.state).listeners.get(&id).cloned();
        if let Some(outbox) = outbox {
            outbox.stop_listening();
            lock(&self.log.state).listeners.remove(&id);
        }
    }

    /// The number of the message that is told next; for [`Outbox::pass_over`].
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.log.head.load(Ordering::Acquire)
    }

    /// Tells everybody who listens.
    ///
    /// # Errors
    /// The worker could not be started. Everybody was told all the same, before this returns.
    pub fn tell(&mut self, topic: &'static str, message: Bytes) -> io::Result<()> {
        let is_full = self.log.append(topic, message);
        let started = self.start();
        if is_full || started.is_err() {
            self.log.round(Outbox::read_on, |_| true);
        }
        started
    }

    fn start(&mut self) -> io::Result<()> {
        if self.worker.is_none() {
            let log = Arc::clone(&self.log);
            let worker = Worker::spawn("broadcast", self.log.limits.stack_bytes, move || log.run())?;
            self.worker = Some(worker);
        }
        Ok(())
    }
}

impl Drop for Broadcaster {
    fn drop(&mut self) {
        let mut state = lock(&self.log.state);
        state.stopped = true;
        // The log and its listeners hold each other.
        let listeners = std::mem::take(&mut state.listeners);
        self.log.told.notify_all();
        drop(state);
        drop(listeners);
    }
}

impl BroadcastLog {
    /// Adds a message; true if the log is full now.
    fn append(&self, topic: &'static str, message: Bytes) -> bool {
        let mut state = lock(&self.state);
        state.bytes += message.len();
        state.entries.push_back(Entry { topic, message });
        let head = state.first + state.entries.len() as u64;
        self.head.store(head, Ordering::Release);
        if std::mem::take(&mut state.is_idle) {
            self.told.notify_one();
        }
        state.entries.len() >= self.limits.messages || state.bytes >= self.limits.bytes
    }

    /// The worker.
    fn run(&self) {
        while self.await_news() {
            let tell = |outbox: &Outbox| outbox.read_on_and_write(self.limits.written_bytes);
            self.round(tell, |at| (at + 1) % self.limits.at_once != 0 || self.pause());
            // What comes within a pause is told in one round.
            self.pause();
        }
    }

    /// Waits until something is in the log; false at the end.
    fn await_news(&self) -> bool {
        let mut state = lock(&self.state);
        while state.entries.is_empty() && !state.stopped {
            state.is_idle = true;
            state = wait(&self.told, state);
        }
        state.is_idle = false;
        !state.stopped
    }

    /// Leaves the processor to others for a moment; false at the end.
    fn pause(&self) -> bool {
        let state = lock(&self.state);
        let paused = self.told.wait_timeout_while(state, self.limits.pause, |state| !state.stopped);
        paused.is_ok_and(|(state, _)| !state.stopped)
    }

    /// Has everybody read on, until `goes_on` says otherwise of one's place, and drops what all have read.
    fn round(&self, read_on: impl Fn(&Outbox), goes_on: impl Fn(usize) -> bool) {
        let state = lock(&self.state);
        let target = state.first + state.entries.len() as u64;
        // Who comes later starts behind the target.
        let listeners: Vec<Outbox> = state.listeners.values().cloned().collect();
        drop(state);
        for (at, outbox) in listeners.iter().enumerate() {
            read_on(outbox);
            if !goes_on(at) {
                return;
            }
        }
        let mut state = lock(&self.state);
        while state.first < target {
            let Some(entry) = state.entries.pop_front() else { break };
            state.bytes -= entry.message.len();
            state.first += 1;
        }
    }
}

impl Listening {
    /// Hands over what was told since the last time, in order, as long as it is taken.
    pub(super) fn take(&mut self, mut put: impl FnMut(Bytes) -> bool) {
        if self.log.head.load(Ordering::Acquire) <= self.next {
            return;
        }
        let state = lock(&self.log.state);
        // What somebody who listens has not read is still there.
        let skipped = usize::try_from(self.next - state.first).unwrap_or(usize::MAX);
        for Entry { topic, message } in state.entries.iter().skip(skipped) {
            self.next += 1;
            if !self.deaf_to.contains(*topic) && !put(message.clone()) {
                return;
            }
        }
    }

    /// True if there is nothing that it has not read.
    #[cfg(test)]
    pub(super) fn has_read_on(&self) -> bool {
        self.log.head.load(Ordering::Acquire) <= self.next
    }

    /// Leaves out the message with this number, which is about to be told.
    pub(super) fn pass_over(&mut self, number: u64) {
        debug_assert!(self.next <= number, "what was not read cannot be passed over twice");
        self.next = number + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Batch, Closing, Next, OutboxDrain, OutboxLimits, Pushed};

    fn limits(messages: usize) -> BroadcastLimits {
        BroadcastLimits {
            messages,
            bytes: 1000,
            at_once: 2,
            written_bytes: 100,
            pause: Duration::from_micros(100),
            stack_bytes: 64 * 1024,
        }
    }

    fn outbox(messages: usize) -> (Outbox, OutboxDrain) {
        let closing = Closing { code: 1013, reason: "too slow".to_owned() };
        Outbox::new(OutboxLimits {
            messages,
            bytes: 10_000,
            control_frames: 2,
            overflow: Overflow::Cut(closing),
        })
    }

    fn nothing() -> Arc<HashSet<Box<str>>> {
        Arc::default()
    }

    /// The next messages; waits for the first.
    fn heard(drain: &mut OutboxDrain) -> Vec<String> {
        let mut batch = Batch::default();
        drain.next(&mut batch, /*bytes_max*/ 10_000);
        batch.data.iter().map(|message| String::from_utf8_lossy(message).into_owned()).collect()
    }

    fn tell(broadcaster: &mut Broadcaster, text: &'static str) {
        broadcaster.tell("topic", Bytes::from_static(text.as_bytes())).expect("a worker");
    }

    #[test]
    fn who_does_nothing_is_told_by_the_worker() {
        let mut broadcaster = Broadcaster::new(limits(/*messages*/ 100));
        let mut drains: Vec<OutboxDrain> = (0..5)
            .map(|id| {
                let (outbox, drain) = outbox(/*messages*/ 8);
                assert!(broadcaster.join(id, &outbox, nothing()));
                drain
            })
            .collect();
        tell(&mut broadcaster, "one");
        for drain in &mut drains {
            assert_eq!(heard(drain), ["one"]);
        }
        tell(&mut broadcaster, "two");
        for drain in &mut drains {
            assert_eq!(heard(drain), ["two"]);
        }
    }

    #[test]
    fn what_is_pushed_later_never_overtakes() {
        let mut broadcaster = Broadcaster::new(limits(/*messages*/ 10_000));
        let (outbox, mut drain) = outbox(/*messages*/ 10_000);
        broadcaster.join(/*id*/ 1, &outbox, nothing());
        let mut told = Vec::new();
        for at in 0..1000 {
            let message = Bytes::from(at.to_string());
            if at % 3 == 0 {
                assert_eq!(outbox.push_held(message), Pushed::Queued);
            } else {
                broadcaster.tell("topic", message).expect("a worker");
            }
            told.push(at.to_string());
        }
        let mut all = Vec::new();
        while all.len() < told.len() {
            all.extend(heard(&mut drain));
        }
        assert_eq!(all, told);
    }

    #[test]
    fn nobody_hears_what_was_said_before_or_is_not_wanted() {
        let mut broadcaster = Broadcaster::new(limits(/*messages*/ 100));
        let (early, mut early_drain) = outbox(/*messages*/ 8);
        let (late, mut late_drain) = outbox(/*messages*/ 8);
        let deaf: HashSet<Box<str>> = HashSet::from(["noise".into()]);
        broadcaster.join(/*id*/ 1, &early, Arc::new(deaf));
        tell(&mut broadcaster, "before");
        broadcaster.join(/*id*/ 2, &late, nothing());
        broadcaster.tell("noise", Bytes::from_static(b"noise")).expect("a worker");
        tell(&mut broadcaster, "after");
        early.finish(Closing { code: 1001, reason: String::new() });
        late.finish(Closing { code: 1001, reason: String::new() });
        assert_eq!(heard(&mut early_drain).concat(), "beforeafter");
        assert_eq!(heard(&mut late_drain).concat(), "noiseafter");
    }

    #[test]
    fn who_was_told_in_another_form_passes_the_common_one_over() {
        let mut broadcaster = Broadcaster::new(limits(/*messages*/ 100));
        let (outbox, mut drain) = outbox(/*messages*/ 8);
        broadcaster.join(/*id*/ 1, &outbox, nothing());
        tell(&mut broadcaster, "a");
        outbox.pass_over(broadcaster.next_number());
        outbox.push(Bytes::from_static(b"B"));
        tell(&mut broadcaster, "b");
        tell(&mut broadcaster, "c");
        let mut all = String::new();
        while all.len() < 3 {
            all += &heard(&mut drain).concat();
        }
        assert_eq!(all, "aBc");
    }

    #[test]
    fn at_its_bound_the_log_is_emptied_by_the_teller() {
        // The worker goes round at most once.
        let pause = Duration::from_secs(3600);
        let mut broadcaster = Broadcaster::new(BroadcastLimits { pause, ..limits(/*messages*/ 2) });
        let (outbox, _drain) = outbox(/*messages*/ 100);
        broadcaster.join(/*id*/ 1, &outbox, nothing());
        for _ in 0..20 {
            tell(&mut broadcaster, "x");
            assert!(lock(&broadcaster.log.state).entries.len() < 2);
        }
        assert!(outbox.bytes_queued() >= 19, "{} of 20 are with their reader", outbox.bytes_queued());
    }

    #[test]
    fn who_does_not_read_is_cut_off_and_holds_up_nobody() {
        let mut broadcaster = Broadcaster::new(limits(/*messages*/ 100));
        let (slow, mut slow_drain) = outbox(/*messages*/ 2);
        let (quick, mut quick_drain) = outbox(/*messages*/ 100);
        broadcaster.join(/*id*/ 1, &slow, nothing());
        broadcaster.join(/*id*/ 2, &quick, nothing());
        for text in ["1", "2", "3"] {
            tell(&mut broadcaster, text);
        }
        let mut all = String::new();
        while all.len() < 3 {
            all += &heard(&mut quick_drain).concat();
        }
        assert_eq!(all, "123");
        slow.read_on();
        let next = slow_drain.next(&mut Batch::default(), /*bytes_max*/ 100);
        assert!(matches!(next, Next::Close(Closing { code: 1013, .. })), "{next:?}");
    }

    #[test]
    fn who_has_left_hears_nothing_more_of_the_log() {
        let mut broadcaster = Broadcaster::new(limits(/*messages*/ 1));
        let (outbox, _drain) = outbox(/*messages*/ 100);
        broadcaster.join(/*id*/ 1, &outbox, nothing());
        broadcaster.leave(/*id*/ 1);
        // A full log is told at once and emptied.
        tell(&mut broadcaster, "1");
        tell(&mut broadcaster, "2");
        // An answer that was on its way when the client left.
        outbox.push(Bytes::from_static(b"late"));
        assert_eq!(outbox.bytes_queued(), 4);
    }

    #[test]
    fn an_outbox_whose_producers_wait_does_not_listen() {
        let mut broadcaster = Broadcaster::new(limits(/*messages*/ 2));
        let limits = OutboxLimits { messages: 1, bytes: 1, control_frames: 1, overflow: Overflow::Wait };
        let (outbox, _drain) = Outbox::new(limits);
        assert!(!broadcaster.join(/*id*/ 1, &outbox, nothing()));
    }
}
