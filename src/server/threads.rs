//! Loaded threads: which there are, who listens to them, and what they are doing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::agenda::Agenda;
use super::asks::OpenAsk;
use super::configuration::Ground;
use super::processor::Processor;
use super::replay::Replay;
use crate::agent::{Approvals, CommandRules, GrownTo, Settings, Terminals, ThreadId, TurnHandle, TurnId};
use crate::clock::Monotonic;
use crate::net::ConnectionId;
use crate::proto::{ItemBody, ThreadItem, ThreadStatus, ThreadTokenUsage, TurnStartParams};
use crate::rpc::{Reply, RpcError};
use crate::store::{StoreHandle, ThreadRecord};
use crate::timer::Key;

/// A thread in memory: ready to run turns.
#[derive(Debug)]
pub(super) struct LoadedThread {
    pub(super) id: ThreadId,
    /// As it was when it was loaded, or last changed here; its settings text is not kept up to date.
    pub(super) record: ThreadRecord,
    pub(super) settings: Settings,
    /// The configuration that it was loaded with.
    pub(super) ground: Ground,
    /// It lives in memory only.
    pub(super) ephemeral: bool,
    /// Where its turns are written: on disk or in memory.
    pub(super) store: StoreHandle,
    pub(super) subscribers: Vec<ConnectionId>,
    pub(super) turn: Option<RunningTurn>,
    /// The last turn failed; cleared by the next one.
    pub(super) failed: bool,
    pub(super) token_usage: Option<ThreadTokenUsage>,
    /// What has to wait for the end of the running turn, in its order.
    pub(super) waiting: VecDeque<Waiting>,
    /// What was said of it, by number.
    pub(super) replay: Replay,
    /// What it does by itself.
    pub(super) agenda: Agenda,
    /// Its agent's commands, which may outlive their turns.
    pub(super) terminals: Arc<Terminals>,
    /// The last turn found the conversation too long for the model: the next one makes it shorter first.
    pub(super) too_long: bool,
    /// What clients have allowed its agent.
    pub(super) approvals: Approvals,
    pub(super) idle: Idle,
}

/// Something that waits for the end of a thread's turn.
pub(super) enum Waiting {
    /// A start that came when the running turn took no more input.
    Start(Reply, Box<TurnStartParams>),
    /// Anything else.
    Then(Box<dyn FnOnce(&mut Processor) + Send>),
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Start(reply, _) => f.debug_tuple("Start").field(reply.id()).finish(),
            Self::Then(_) => f.write_str("Then"),
        }
    }
}

/// Since when a thread has been idle, in both senses, and when it is to be unloaded for that.
#[derive(Debug)]
pub(super) struct Idle {
    /// How long a thread without subscribers and turn is kept.
    pub(super) delay: Duration,
    pub(super) no_subscribers_since: Option<Monotonic>,
    pub(super) no_turn_since: Option<Monotonic>,
    /// When it was last used, for whoever has to make room.
    pub(super) used_at: Monotonic,
    /// The armed timer and its deadline.
    pub(super) timer: Option<(Key, Monotonic)>,
    /// Bytes that it counts for, as they were when it was loaded.
    pub(super) bytes: usize,
}

impl Idle {
    /// A thread that was loaded now.
    pub(super) fn new(delay: Duration, now: Monotonic) -> Self {
        Self {
            delay,
            no_subscribers_since: Some(now),
            no_turn_since: Some(now),
            used_at: now,
            timer: None,
            bytes: 0,
        }
    }

    /// When it is to be unloaded: after the later of the two beginnings, or not at all while one of them is
    /// missing.
    pub(super) fn due(&self) -> Option<Monotonic> {
        let later = self.no_subscribers_since?.max(self.no_turn_since?);
        Some(later.after(self.delay))
    }
}

/// Who waits to be told that a turn has begun.
#[derive(Debug)]
pub(super) enum Starting {
    /// Who started a turn.
    Turn(Reply),
    /// Who started a review.
    Review(Reply),
    /// Who started it was answered already.
    Nobody,
}

impl Starting {
    /// Who waits for an answer.
    pub(super) fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Turn(reply) | Self::Review(reply) => Some(reply),
            Self::Nobody => None,
        }
    }

    /// Tells that it could not be.
    pub(super) fn refuse(self, error: RpcError) {
        match self {
            Self::Turn(reply) | Self::Review(reply) => reply.refuse(error),
            Self::Nobody => tracing::warn!(%error, "work of a thread could not be started"),
        }
    }
}

/// A turn that runs.
#[derive(Debug)]
pub(super) struct RunningTurn {
    pub(super) id: TurnId,
    pub(super) handle: TurnHandle,
    /// Who started it, until the start is in the store and can be answered.
    pub(super) starting: Option<Starting>,
    /// Set when it is in the store, in Unix milliseconds.
    pub(super) started_at_ms: Option<i64>,
    /// Its complete items, and those that have begun, in their order.
    pub(super) items: Vec<Arc<ThreadItem>>,
    /// How far the message is that the agent is saying; of its items the one that has not ended.
    pub(super) saying: Option<GrownTo>,
    /// How far the plan is that it proposes.
    pub(super) planning: Option<GrownTo>,
    /// Ids under which clients submitted what it has taken.
    pub(super) submissions: Vec<String>,
    /// What it waits for clients to answer, the oldest first.
    pub(super) asks: Vec<OpenAsk>,
}

impl LoadedThread {
    /// A thread as it is when it comes into memory: nobody listens and nothing runs.
    #[expect(clippy::too_many_arguments, reason = "each is a part of it")]
    pub(super) fn new(
        id: ThreadId,
        record: ThreadRecord,
        settings: Settings,
        ground: Ground,
        store: StoreHandle,
        ephemeral: bool,
        rules: &Arc<CommandRules>,
        idle: Idle,
    ) -> Self {
        let token_usage = record.token_usage.as_deref().and_then(|usage| serde_json::from_str(usage).ok());
        Self {
            id,
            replay: Replay::new(record.epoch),
            record,
            settings,
            ground,
            ephemeral,
            store,
            subscribers: Vec::new(),
            turn: None,
            failed: false,
            token_usage,
            waiting: VecDeque::new(),
            agenda: Agenda::default(),
            terminals: Arc::default(),
            too_long: false,
            approvals: Approvals::new(Arc::clone(rules)),
            idle,
        }
    }

    /// What the thread is doing (facts G2).
    pub(super) fn status(&self) -> ThreadStatus {
        match &self.turn {
            Some(turn) if turn.started_at_ms.is_some() => {
                ThreadStatus::Active { active_flags: turn.waits_for() }
            }
            _ if self.failed => ThreadStatus::SystemError,
            _ => ThreadStatus::Idle,
        }
    }

    /// About how many bytes it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let record = &self.record;
        let texts = [&record.preview, &record.cwd, &record.settings, &record.model, &record.model_provider];
        let optional = [
            &record.name,
            &record.git,
            &record.token_usage,
            &record.originator,
            &self.settings.base_instructions,
            &self.settings.developer_instructions,
        ];
        size_of::<Self>()
            + texts.iter().map(|text| text.len()).sum::<usize>()
            + optional.iter().map(|text| text.as_ref().map_or(0, String::len)).sum::<usize>()
    }

    /// The running turn's id, as stored turns name it.
    pub(super) fn running_turn(&self) -> Option<String> {
        self.turn.as_ref().map(|turn| turn.id.to_string())
    }
}

impl RunningTurn {
    /// True if this was submitted before.
    pub(super) fn has_taken(&self, client_id: Option<&String>) -> bool {
        client_id.is_some_and(|id| self.submissions.contains(id))
    }

    /// Its items as they are now: the message that the agent is saying, and its plan, with the text so far.
    pub(super) fn items_now(&self) -> Vec<ThreadItem> {
        let mut items: Vec<ThreadItem> = self.items.iter().map(|item| ThreadItem::clone(item)).collect();
        for item in items.iter_mut().filter(|item| item.completed_at_ms.is_none()) {
            match (&mut item.body, &self.saying, &self.planning) {
                (ItemBody::AgentMessage(message), Some(saying), _) => message.text = saying.read(),
                (ItemBody::Plan(plan), _, Some(planning)) => plan.text = planning.read(),
                _ => {}
            }
        }
        items
    }

    /// Notes an item that began or ended.
    pub(super) fn note_item(&mut self, item: Arc<ThreadItem>) {
        match item.body {
            ItemBody::AgentMessage(_) => self.saying = None,
            ItemBody::Plan(_) => self.planning = None,
            _ => {}
        }
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
    /// Those without a turn, the one that was used longest ago first.
    by_age: BTreeSet<(Monotonic, ThreadId)>,
    /// Bytes of all of them, each as it was when it was loaded.
    bytes: usize,
    /// Bytes that are kept of what was said of all of them.
    pub(super) replay_bytes: usize,
}

impl Threads {
    pub(super) fn get(&self, id: ThreadId) -> Option<&LoadedThread> {
        self.loaded.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ThreadId) -> Option<&mut LoadedThread> {
        self.loaded.get_mut(&id)
    }

    pub(super) fn insert(&mut self, mut thread: LoadedThread) {
        thread.idle.bytes = thread.bytes();
        self.bytes += thread.idle.bytes;
        self.by_age.insert((thread.idle.used_at, thread.id));
        self.loaded.insert(thread.id, thread);
    }

    /// Takes a thread out; it must not have a turn.
    pub(super) fn remove(&mut self, id: ThreadId) -> Option<LoadedThread> {
        let thread = self.loaded.remove(&id)?;
        debug_assert!(thread.turn.is_none(), "a thread with a turn was taken out");
        self.by_age.remove(&(thread.idle.used_at, id));
        self.bytes -= thread.idle.bytes;
        self.replay_bytes -= thread.replay.bytes();
        Some(thread)
    }

    /// About how many bytes the loaded threads take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Notes that a thread is in use now.
    pub(super) fn touch(&mut self, id: ThreadId, now: Monotonic) {
        if let Some(thread) = self.loaded.get_mut(&id) {
            let was_idle = self.by_age.remove(&(thread.idle.used_at, id));
            thread.idle.used_at = now;
            if was_idle {
                self.by_age.insert((now, id));
            }
        }
    }

    /// The thread without a turn that was used longest ago, other than `but`.
    pub(super) fn least_recent(&self, but: ThreadId) -> Option<ThreadId> {
        self.by_age.iter().map(|(_, id)| *id).find(|id| *id != but)
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
            self.by_age.remove(&(thread.idle.used_at, id));
        }
    }

    /// Notes that a thread's turn has ended.
    pub(super) fn end_turn(&mut self, id: ThreadId) -> Option<RunningTurn> {
        let thread = self.loaded.get_mut(&id)?;
        let turn = thread.turn.take()?;
        self.running -= 1;
        self.by_age.insert((thread.idle.used_at, id));
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
