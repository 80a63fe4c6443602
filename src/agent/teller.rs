//! Tells what happens in a turn, and writes it down first. The turn's own worker and those of its tools share
//! one: whoever tells of an item tells all of it, so its events keep their order.

use std::sync::Arc;

use super::conversation::written;
use super::event::{Change, Encoded, EventSink, ListenerGone, TurnEvent};
use super::ids::{ThreadId, TurnId};
use super::items;
use super::stop::Stop;
use crate::clock::{Clock, Monotonic};
use crate::model::InputItem;
use crate::proto::{ItemBody, ItemCompleted, ItemStarted, Notification, ThreadItem};
use crate::store::StoreHandle;

impl std::fmt::Debug for Teller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Teller").field("turn", &self.turn).finish_non_exhaustive()
    }
}

/// Tells of one turn. What it tells as completed is in the store.
pub(crate) struct Teller {
    thread_id: ThreadId,
    turn_id: TurnId,
    thread: String,
    turn: String,
    store: StoreHandle,
    sink: Arc<dyn EventSink>,
    clock: Clock,
}

impl Teller {
    pub(super) fn new(
        thread_id: ThreadId,
        turn_id: TurnId,
        store: StoreHandle,
        sink: Arc<dyn EventSink>,
        clock: Clock,
    ) -> Self {
        let (thread, turn) = (thread_id.to_string(), turn_id.to_string());
        Self { thread_id, turn_id, thread, turn, store, sink, clock }
    }

    /// The thread's id as it is written.
    pub(crate) fn thread(&self) -> &str {
        &self.thread
    }

    /// The turn's id as it is written.
    pub(crate) fn turn(&self) -> &str {
        &self.turn
    }

    /// Unix milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    /// Time for durations.
    pub(crate) fn now(&self) -> Monotonic {
        self.clock.now()
    }

    pub(super) fn encode<N: Notification>(&self, notification: &N) -> Option<Encoded> {
        Encoded::new(notification, self.now_ms())
    }

    pub(super) fn tell(&self, change: Change, notification: Option<Encoded>) -> Result<(), ListenerGone> {
        let (thread_id, turn_id) = (self.thread_id, self.turn_id);
        self.sink.tell(TurnEvent { thread_id, turn_id, change, notification })
    }

    /// Tells subscribers something that changes nothing else.
    ///
    /// # Errors
    /// [`ListenerGone`]
    pub(crate) fn notify<N: Notification>(&self, notification: &N) -> Result<(), ListenerGone> {
        self.tell(Change::Streamed, self.encode(notification))
    }

    /// Tells that an item began.
    ///
    /// # Errors
    /// [`Stop::Interrupted`] if nobody listens.
    pub(crate) fn start_item(&self, body: ItemBody, started_at_ms: i64) -> Result<(), Stop> {
        let item = ThreadItem { body, started_at_ms: Some(started_at_ms), completed_at_ms: None };
        let started =
            ItemStarted { item: &item, thread_id: &self.thread, turn_id: &self.turn, started_at_ms };
        let notification = self.encode(&started);
        Ok(self.tell(Change::ItemStarted(Arc::new(item)), notification)?)
    }

    /// Writes an item down, in one step with what the model is told of it from now on, and tells that it is
    /// complete.
    ///
    /// # Errors
    /// The store's refusal; [`Stop::Interrupted`] if nobody listens.
    pub(crate) fn complete_item(
        &self,
        body: ItemBody,
        started_at_ms: i64,
        entries: &[InputItem],
    ) -> Result<Arc<ThreadItem>, Stop> {
        let completed_at_ms = self.now_ms();
        let item =
            ThreadItem { body, started_at_ms: Some(started_at_ms), completed_at_ms: Some(completed_at_ms) };
        let stored = items::stored(&self.turn, &item)?;
        let entries = entries.iter().map(written).collect::<Result<Vec<_>, _>>()?;
        let (thread_id, turn_id) = (self.thread.clone(), self.turn.clone());
        self.store.call_write(move |database| {
            database.put_item(&thread_id, &stored)?;
            database.append_conversation(&thread_id, Some(&turn_id), /*starts_over*/ false, &entries)
        })?;
        let completed = ItemCompleted {
            item: &item,
            thread_id: &self.thread,
            turn_id: &self.turn,
            content_token_count: None,
            completed_at_ms,
        };
        let notification = self.encode(&completed);
        let item = Arc::new(item);
        self.tell(Change::ItemCompleted(Arc::clone(&item)), notification)?;
        Ok(item)
    }

    /// Writes down what the model is told from now on.
    ///
    /// # Errors
    /// The store's refusal.
    pub(super) fn keep(&self, entries: &[InputItem], starts_over: bool) -> Result<(), Stop> {
        let entries = entries.iter().map(written).collect::<Result<Vec<_>, _>>()?;
        let (thread_id, turn_id) = (self.thread.clone(), self.turn.clone());
        Ok(self.store.call_write(move |database| {
            database.append_conversation(&thread_id, Some(&turn_id), starts_over, &entries)
        })?)
    }
}
