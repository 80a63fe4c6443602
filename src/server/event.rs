//! What wakes the processor.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::processor::Processor;
use crate::agent::{EventSink, ListenerGone, ThreadId, TurnEvent};
use crate::limits;
use crate::mcp::StartStatus;
use crate::net::{NetEvent, NetInbox};
use crate::queue::{Inbox, InboxDrain};
use crate::rpc::Answer;
use crate::store::StoreError;
use crate::sys::signals::Signal;

/// What a worker tells the processor. The closed list of all that can happen beside messages of clients.
pub enum Event {
    /// Something happened in a turn.
    Turn(TurnEvent),
    /// A worker has made an answer; the processor sends it.
    Answer(Answer),
    /// A worker is done; the rest has to run in the processor.
    Then(Box<dyn FnOnce(&mut Processor) + Send>),
    /// An MCP server starts, or has started, or has not.
    McpStart(StartStatus),
    /// How opening the store ended.
    StoreOpened(Result<(), StoreError>),
    /// What the sandbox can enforce has been tried out.
    SandboxKnown,
    /// A signal came.
    Signal(Signal),
    /// A thread may have been idle for long enough.
    UnloadDue(ThreadId),
    /// Nobody may have come to decide a request for long enough.
    AskDue(ThreadId, i64),
    /// The drain deadline has passed.
    DrainOver,
    /// The owner wants the server to stop, as after a first signal.
    Stop,
}

/// Why the processor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopCause {
    /// All that was asked for is done: input ended, or a drain is over.
    Done,
    /// It was told to stop at once: a second signal, a signal or a closed output on stdio.
    Forced,
    /// The store did not open.
    Store(StoreError),
    /// The processor panicked: its state cannot be trusted.
    Panicked,
}

/// The receiving ends; the processor owns them.
pub struct Events {
    pub(super) net: InboxDrain<NetEvent>,
    pub(super) workers: Receiver<Event>,
    pub(super) control: Receiver<Event>,
}

/// The sending ends, for everyone who has to tell the processor something.
#[derive(Debug, Clone)]
pub struct EventSender {
    /// Waits when full; for workers, which the processor never waits for.
    workers: Sender<Event>,
    /// Signals and timers: few, and looked at first.
    control: Sender<Event>,
}

/// The processor's queue has no room now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull;

impl Events {
    /// Nothing waits for the processor.
    pub(super) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.workers.is_empty() && self.net.receiver().is_empty()
    }

    /// The queues of a new server: where transports put messages, where workers tell events, and the ends
    /// that the processor takes.
    #[must_use]
    pub fn new() -> (NetInbox, EventSender, Self) {
        let (inbox, net) =
            Inbox::new(limits::INBOX_MESSAGES, limits::INBOX_BYTES, limits::INBOX_MESSAGES_PER_CONNECTION);
        let (workers_in, workers) = bounded(limits::WORKER_EVENTS);
        let (control_in, control) = bounded(limits::CONTROL_EVENTS);
        let sender = EventSender { workers: workers_in, control: control_in };
        (inbox, sender, Self { net, workers, control })
    }
}

impl EventSender {
    /// Tells the processor, waiting for room. Nothing happens if the processor has ended.
    pub fn tell(&self, event: Event) {
        let _ = self.workers.send(event);
    }

    /// Tells the processor if there is room; never waits.
    ///
    /// # Errors
    /// The queue is full. A processor that has ended takes everything.
    pub fn try_tell(&self, event: Event) -> Result<(), QueueFull> {
        match self.workers.try_send(event) {
            Err(TrySendError::Full(_)) => Err(QueueFull),
            _ => Ok(()),
        }
    }

    /// Tells the processor ahead of everything else; never waits. Dropped if the lane is full, which takes
    /// more signals than anybody means.
    pub fn tell_first(&self, event: Event) {
        if self.control.try_send(event).is_err() {
            tracing::debug!("a control event was dropped");
        }
    }

    /// How much waits for the processor.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.workers.len() + self.control.len()
    }

    /// The sender as turns know it.
    #[must_use]
    pub fn turn_sink(&self) -> Arc<dyn EventSink> {
        Arc::new(self.clone())
    }
}

impl EventSink for EventSender {
    fn tell(&self, event: TurnEvent) -> Result<(), ListenerGone> {
        self.workers.send(Event::Turn(event)).map_err(|_| ListenerGone)
    }
}
