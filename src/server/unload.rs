//! Unloading threads that nobody needs: after a time of idleness, and when memory is short.
//!
//! A thread without a turn has no worker, so letting it go is one step of the processor: there is no moment
//! in which it is half gone, and a resume finds it either loaded or stored.

use super::event::Event;
use super::processor::Processor;
use super::threads::LoadedThread;
use crate::agent::ThreadId;
use crate::limits;
use crate::net::ConnectionId;
use crate::obs::metrics::values::THREAD_UNLOADS;
use crate::proto::{ThreadClosed, ThreadStatus};

impl Processor {
    /// Takes a thread in, with its first subscriber if there is one and it is still there, and makes room for
    /// it.
    pub(super) fn add_thread(&mut self, thread: LoadedThread, subscriber: Option<ConnectionId>) {
        let id = thread.id;
        self.threads.insert(thread);
        if let Some(subscriber) = subscriber {
            self.subscribe(subscriber, id);
        }
        self.reconsider_unload(id);
        self.make_room(id);
    }

    /// Makes a connection hear a thread's events. Does nothing if one of the two is gone.
    pub(super) fn subscribe(&mut self, connection: ConnectionId, thread: ThreadId) {
        if let Some(session) = self.sessions.get_mut(connection)
            && let Some(loaded) = self.threads.get_mut(thread)
        {
            if session.subscriptions.insert(thread) {
                loaded.subscribers.push(connection);
            }
            self.keep_for_replay(connection, thread);
            self.threads.touch(thread, self.services.clock.now());
            self.reconsider_unload(thread);
            self.reconsider_asks(thread);
        }
    }

    /// The one way out of a subscription, for a request as for a lost connection. True if there was one.
    pub(super) fn unsubscribe(&mut self, connection: ConnectionId, thread: ThreadId) -> bool {
        if let Some(session) = self.sessions.get_mut(connection) {
            session.subscriptions.remove(&thread);
        }
        let was = self.threads.unsubscribe(thread, connection);
        self.reconsider_unload(thread);
        self.reconsider_asks(thread);
        was
    }

    /// Arms, moves or takes back a thread's unload timer, after its subscribers or its turn have changed.
    pub(super) fn reconsider_unload(&mut self, id: ThreadId) {
        let now = self.services.clock.now();
        let Some(thread) = self.threads.get_mut(id) else { return };
        keep_since(&mut thread.idle.no_subscribers_since, thread.subscribers.is_empty(), now);
        keep_since(&mut thread.idle.no_turn_since, thread.turn.is_none() && thread.waiting.is_empty(), now);
        let due = thread.idle.due();
        if thread.idle.timer.map(|(_, armed)| armed) == due {
            return;
        }
        if let Some((key, _)) = thread.idle.timer.take() {
            self.services.timer.cancel(key);
        }
        thread.idle.timer =
            due.map(|deadline| (arm(&self.services, deadline, move || Event::UnloadDue(id)), deadline));
    }

    /// A thread's time has come, unless something has happened since.
    pub(super) fn on_unload_due(&mut self, id: ThreadId) {
        let now = self.services.clock.now();
        let Some(thread) = self.threads.get_mut(id) else { return };
        if thread.idle.due().is_some_and(|due| due <= now) {
            thread.idle.timer = None;
            self.unload(id, "idle");
        }
    }

    /// Makes room if the loaded threads are too many or too large: the one used longest ago goes first, also
    /// with silent subscribers, who are told. `newcomer` and threads with a turn stay.
    pub(super) fn make_room(&mut self, newcomer: ThreadId) {
        let max = self.facts.loaded_bytes_max;
        while are_too_many(self.threads.len(), self.threads.bytes(), max) {
            let Some(oldest) = self.threads.least_recent(newcomer) else { return };
            self.unload(oldest, "memory");
        }
    }

    fn unload(&mut self, id: ThreadId, why: &'static str) {
        if !self.let_go(id) {
            return;
        }
        THREAD_UNLOADS.add_one();
        tracing::info!(thread = %id, why, "thread unloaded");
        self.broadcast_of(id, &ThreadClosed { thread_id: &id.to_string() });
    }

    /// Takes a thread without a turn out of memory, gives it up in the store, and tells everybody that it
    /// is not loaded any more. False if it was not.
    pub(super) fn let_go(&mut self, id: ThreadId) -> bool {
        let Some(thread) = self.threads.remove(id) else { return false };
        if let Some((key, _)) = thread.idle.timer {
            self.services.timer.cancel(key);
        }
        for subscriber in &thread.subscribers {
            if let Some(session) = self.sessions.get_mut(*subscriber) {
                session.subscriptions.remove(&id);
            }
        }
        self.leaving.extend(thread.terminals.let_go());
        give_up(thread);
        self.broadcast_status(id, &ThreadStatus::NotLoaded);
        true
    }
}

/// True if one of so many loaded threads, of so many bytes together, has to go.
fn are_too_many(threads: usize, bytes: usize, bytes_max: usize) -> bool {
    bytes > bytes_max || threads > limits::THREADS_LOADED_MAX
}

fn keep_since(since: &mut Option<crate::clock::Monotonic>, holds: bool, now: crate::clock::Monotonic) {
    *since = if holds { since.or(Some(now)) } else { None };
}

/// Arms a deadline that tells the processor `event`.
pub(super) fn arm(
    services: &super::processor::Services,
    deadline: crate::clock::Monotonic,
    event: impl Fn() -> Event + Send + Sync + 'static,
) -> crate::timer::Key {
    let (events, timer) = (services.events.clone(), services.timer.clone());
    let event = std::sync::Arc::new(event);
    services.timer.arm(deadline, move || say_due(&events, &timer, event))
}

/// Tells the processor without waiting: the timer worker serves everybody. If there is no room now, a little
/// later.
fn say_due(
    events: &super::EventSender,
    timer: &crate::timer::TimerHandle,
    event: std::sync::Arc<dyn Fn() -> Event + Send + Sync>,
) {
    if events.try_tell(event()).is_err() {
        let (events, again) = (events.clone(), timer.clone());
        timer.arm_after(limits::DUE_RETRY, move || say_due(&events, &again, event));
    }
}

/// Gives a thread up in the store: an ephemeral one leaves nothing behind, any other is free for the next
/// writer.
fn give_up(thread: LoadedThread) {
    let (id, ephemeral) = (thread.record.id, thread.ephemeral);
    let queued = thread.store.write(
        move |database| {
            if ephemeral { database.delete_thread(&id).map(|_| ()) } else { database.release(&id) }
        },
        |outcome| {
            if let Err(error) = outcome {
                tracing::warn!(%error, "an unloaded thread could not be given up");
            }
        },
    );
    if queued.is_err() {
        tracing::warn!("an unloaded thread could not be given up: the store's queue is full");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_to_go_above_either_limit_and_not_at_it() {
        let (threads, bytes) = (limits::THREADS_LOADED_MAX, limits::LOADED_THREADS_BYTES);
        assert!(!are_too_many(threads, bytes, bytes));
        assert!(are_too_many(threads + 1, bytes, bytes));
        assert!(are_too_many(threads, bytes + 1, bytes));
        assert!(are_too_many(/*threads*/ 1, bytes + 1, bytes), "also one alone");
    }
}
