//! Loaded threads: which there are, who listens to them, and what they are doing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::agent::{Settings, ThreadId, TurnHandle, TurnId};
use crate::net::ConnectionId;
use crate::proto::{ThreadItem, ThreadStatus, ThreadTokenUsage, TurnStartParams};
use crate::rpc::Reply;
use crate::store::{StoreHandle, ThreadRecord};

/// A thread in memory: ready to run turns.
#[derive(Debug)]
pub(super) struct LoadedThread {
    pub(super) id: ThreadId,
    /// As it was when it was loaded, or last changed here; its settings text is not kept up to date.
    pub(super) record: ThreadRecord,
    pub(super) settings: Settings,
    /// It lives in memory only.
    pub(super) ephemeral: bool,
    /// Where its turns are written: on disk or in memory.
    pub(super) store: StoreHandle,
    pub(super) subscribers: Vec<ConnectionId>,
    pub(super) turn: Option<RunningTurn>,
    /// The last turn failed; cleared by the next one.
    pub(super) failed: bool,
    pub(super) token_usage: Option<ThreadTokenUsage>,
    /// Starts that came when the running turn took no more input; they begin when it has ended.
    pub(super) waiting: VecDeque<(Reply, TurnStartParams)>,
}

/// A turn that runs.
#[derive(Debug)]
pub(super) struct RunningTurn {
    pub(super) id: TurnId,
    pub(super) handle: TurnHandle,
    /// Who started it, until the start is in the store and can be answered.
    pub(super) starting: Option<Reply>,
    /// Set when it is in the store, in Unix milliseconds.
    pub(super) started_at_ms: Option<i64>,
    /// Its complete items, and those that have begun, in their order.
    pub(super) items: Vec<Arc<ThreadItem>>,
}

impl LoadedThread {
    /// What the thread is doing (facts G2).
    pub(super) fn status(&self) -> ThreadStatus {
        match &self.turn {
            Some(turn) if turn.started_at_ms.is_some() => ThreadStatus::Active { active_flags: Vec::new() },
            _ if self.failed => ThreadStatus::SystemError,
            _ => ThreadStatus::Idle,
        }
    }

    /// The running turn's id, as stored turns name it.
    pub(super) fn running_turn(&self) -> Option<String> {
        self.turn.as_ref().map(|turn| turn.id.to_string())
    }
}

impl RunningTurn {
    /// Notes an item that began or ended.
    pub(super) fn note_item(&mut self, item: Arc<ThreadItem>) {
        match self.items.iter_mut().find(|known| known.id() == item.id()) {
            Some(known) => *known = item,
            None => self.items.push(item),
        }
    }
}

/// All loaded threads, by id.
#[derive(Debug, Default)]
pub(super) struct Threads {
    loaded: BTreeMap<ThreadId, LoadedThread>,
    /// How many of them have a turn.
    running: usize,
}

impl Threads {
    pub(super) fn get(&self, id: ThreadId) -> Option<&LoadedThread> {
        self.loaded.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ThreadId) -> Option<&mut LoadedThread> {
        self.loaded.get_mut(&id)
    }

    pub(super) fn insert(&mut self, thread: LoadedThread) {
        self.loaded.insert(thread.id, thread);
    }

    pub(super) fn len(&self) -> usize {
        self.loaded.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &LoadedThread> {
        self.loaded.values()
    }

    /// Ids after `after`, in order.
    pub(super) fn ids_after(&self, after: Option<ThreadId>) -> impl Iterator<Item = ThreadId> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.loaded.range((from, std::ops::Bound::Unbounded)).map(|(id, _)| *id)
    }

    /// Turns that run, counting those that are being started.
    pub(super) fn running_turns(&self) -> usize {
        self.running
    }

    /// Notes that a thread runs a turn. A thread has one turn at a time.
    pub(super) fn begin_turn(&mut self, id: ThreadId, turn: RunningTurn) {
        if let Some(thread) = self.loaded.get_mut(&id) {
            debug_assert!(thread.turn.is_none(), "a second turn of one thread");
            thread.turn = Some(turn);
            self.running += 1;
        }
    }

    /// Notes that a thread's turn has ended.
    pub(super) fn end_turn(&mut self, id: ThreadId) -> Option<RunningTurn> {
        let turn = self.loaded.get_mut(&id)?.turn.take()?;
        self.running -= 1;
        Some(turn)
    }

    /// Takes a connection out of a thread's subscribers. False if it was not among them.
    pub(super) fn unsubscribe(&mut self, id: ThreadId, connection: ConnectionId) -> bool {
        let Some(thread) = self.loaded.get_mut(&id) else { return false };
        let before = thread.subscribers.len();
        thread.subscribers.retain(|subscriber| *subscriber != connection);
        thread.subscribers.len() < before
    }
}
