//! What a turn tells the outside.

use std::sync::Arc;

use bytes::Bytes;

use super::ask::Ask;
use super::goal::GoalAsk;
use super::ids::{ThreadId, TurnId};
use super::live::GrownTo;
use crate::proto::{Notification, ThreadItem, ThreadTokenUsage, Turn};
use crate::rpc;
use crate::store::{StoreError, TurnRecord};

/// Something happened in a turn.
#[derive(Debug)]
pub struct TurnEvent {
    /// The thread.
    pub thread_id: ThreadId,
    /// The turn.
    pub turn_id: TurnId,
    /// What changed.
    pub change: Change,
    /// What subscribers are told, encoded once for all of them.
    pub notification: Option<Encoded>,
}

/// What an event changes for those who keep track of the turn.
#[derive(Debug)]
pub enum Change {
    /// The turn is in the store and runs.
    Started {
        /// Unix milliseconds.
        started_at_ms: i64,
    },
    /// The turn could not be written down and does not run.
    NotStarted(StoreError),
    /// What was submitted had been submitted before, under the same id; this turn took it then, and no new
    /// one runs.
    Repeated(Box<TurnRecord>),
    /// Something that only subscribers care for.
    Streamed,
    /// The message that the agent is saying has grown.
    TextGrew(GrownTo),
    /// The plan that it proposes has.
    PlanGrew(GrownTo),
    /// An item began.
    ItemStarted(Arc<ThreadItem>),
    /// An item is complete and in the store.
    ItemCompleted(Arc<ThreadItem>),
    /// The clients are asked something.
    Asked(Box<Ask>),
    /// The model wants something with the thread's goal.
    Goal(Box<GoalAsk>),
    /// Tokens were used.
    TokenUsage(Box<ThreadTokenUsage>),
    /// The turn has ended and is in the store; nothing follows.
    Ended {
        /// The turn.
        turn: Box<Turn>,
        /// What subscribers are told of a failure, before they are told of the end.
        failure: Option<Encoded>,
    },
}

/// A notification as it goes to every subscriber.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// Its method, by which clients opt out.
    pub method: &'static str,
    /// The whole message.
    pub message: Bytes,
}

impl Encoded {
    /// Encodes `notification`, made at `now_ms` (Unix milliseconds). None, and a log line, if that fails,
    /// which would be a bug of its type.
    #[must_use]
    pub fn new<N: Notification>(notification: &N, now_ms: i64) -> Option<Self> {
        match rpc::notification(N::METHOD, notification, now_ms) {
            Ok(message) => Some(Self { method: N::METHOD, message }),
            Err(error) => {
                tracing::error!(method = N::METHOD, %error, "a notification could not be encoded");
                None
            }
        }
    }

    /// The same with its number in its thread, as `seq` at the end.
    #[must_use]
    pub fn with_seq(&self, seq: u64) -> Self {
        Self { method: self.method, message: rpc::with_seq(&self.message, seq) }
    }
}

/// Nobody listens to the turn any more; it should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerGone;

/// Takes the events of turns, in order. May make the turn wait.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    ///
    /// # Errors
    /// If there is no point in going on.
    fn tell(&self, event: TurnEvent) -> Result<(), ListenerGone>;
}
