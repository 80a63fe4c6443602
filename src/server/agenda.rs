//! What a thread does by itself: the next message of its queue, the next turn towards its goal. Runs in the
//! processor, at a turn's end and when a client changes one of the two.
//!
//! A turn that fails or is interrupted ends that until somebody says so: what waits is held, and a goal is
//! blocked or paused. Nothing is begun while the server ends.

use serde_json::Value;

use super::processor::Processor;
use super::replay::Audience;
use super::threads::LoadedThread;
use crate::agent::{ThreadId, TurnId};
use crate::limits;
use crate::proto::{
    ThreadGoal, ThreadGoalStatus, ThreadGoalUpdated, ThreadQueueChanged, ThreadReadState,
    ThreadReadStateChanged, ThreadUnreadPosition, Turn, TurnStartParams, TurnStatus, UserInput,
};
use crate::rpc::Reply;
use crate::store::{AgendaRecord, Database, GoalRecord, QueuedRecord, ReadState, StoreError, StoreHandle};

/// What a loaded thread is to do next.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    pub(super) goal: Option<GoalRecord>,
    /// How many messages wait, as far as is known; the store knows better.
    pub(super) queued: usize,
    /// What waits does not start by itself now.
    pub(super) held: bool,
    /// The running turn was for the goal until the model stopped it: it counts to its end.
    stopped_by_model: bool,
    /// The turn that runs for the goal.
    goal_turn: Option<TurnId>,
    /// Turns for the goal since a user last said something.
    goal_turns: u32,
    /// Tokens that the thread had used when the running turn began, or the goal was set in it.
    tokens_before: i64,
}

impl Agenda {
    /// What the store knew when the thread was loaded. Old messages wait for somebody to say so.
    pub(super) fn new(record: AgendaRecord) -> Self {
        Self { goal: record.goal, held: record.queued > 0, queued: record.queued, ..Self::default() }
    }

    fn has_active_goal(&self) -> bool {
        self.goal.as_ref().is_some_and(|goal| status(goal) == ThreadGoalStatus::Active)
    }
}

/// A status as the store keeps it.
pub(super) fn status_text(status: ThreadGoalStatus) -> String {
    match serde_json::to_value(status) {
        Ok(Value::String(text)) => text,
        _ => String::new(),
    }
}

/// Where a stored goal stands; one that a newer program put somewhere else does nothing here.
pub(super) fn status(goal: &GoalRecord) -> ThreadGoalStatus {
    serde_json::from_value(Value::String(goal.status.clone())).unwrap_or(ThreadGoalStatus::Paused)
}

/// A stored goal as clients see it.
pub(super) fn shown(id: ThreadId, goal: &GoalRecord) -> ThreadGoal {
    ThreadGoal {
        thread_id: id.to_string(),
        objective: goal.objective.clone(),
        status: status(goal),
        token_budget: goal.token_budget,
        tokens_used: goal.tokens_used,
        time_used_seconds: goal.time_used_ms / 1000,
        created_at: goal.created_at_ms / 1000,
        updated_at: goal.updated_at_ms / 1000,
    }
}

/// What was read, as clients see it.
pub(super) fn shown_read_state(state: &ReadState) -> ThreadReadState {
    let unread = state.unread_turn.clone();
    ThreadReadState {
        first_unread: unread.map(|turn_id| ThreadUnreadPosition::Turn { turn_id }),
        revision: state.revision.to_string(),
    }
}

fn tokens(thread: &LoadedThread) -> i64 {
    thread.token_usage.as_ref().map_or(0, |usage| usage.total.total_tokens)
}

impl Processor {
    /// Notes that a turn has begun, and takes what began it out of the queue.
    pub(super) fn agenda_turn_began(&mut self, id: ThreadId, turn: TurnId) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        let used = tokens(thread);
        let agenda = &mut thread.agenda;
        agenda.tokens_before = used;
        agenda.stopped_by_model = false;
        agenda.held = false;
        if agenda.goal_turn != Some(turn) {
            agenda.goal_turn = None;
            agenda.goal_turns = 0;
        }
        self.agenda_input_taken(id);
    }

    /// Takes what the running turn has taken out of the queue, if the turn is in the store.
    pub(super) fn agenda_input_taken(&mut self, id: ThreadId) {
        let turn = self.threads.get(id).and_then(|thread| thread.turn.as_ref());
        if turn.is_some_and(|turn| turn.started_at_ms.is_some()) {
            self.agenda_repeated(id);
        }
    }

    /// The same for a turn that does not run, because an earlier one took what began it.
    pub(super) fn agenda_repeated(&mut self, id: ThreadId) {
        let Some(thread) = self.threads.get(id).filter(|thread| thread.agenda.queued > 0) else { return };
        let Some(turn) = &thread.turn else { return };
        let (text, taken) = (id.to_string(), turn.submissions.clone());
        let work = move |database: &mut Database| {
            let mut changed = false;
            for client_id in &taken {
                changed |= database.queue_take(&text, client_id)?;
            }
            Ok((changed, database.agenda(&text)?.queued))
        };
        self.write_by_itself(&thread.store, work, move |processor, (changed, queued)| {
            if let Some(thread) = processor.threads.get_mut(id) {
                thread.agenda.queued = queued;
            }
            if changed {
                processor.broadcast_of(id, &ThreadQueueChanged { thread_id: &id.to_string() });
            }
        });
    }

    /// Counts a turn's end: what the goal has cost. Before anybody is
    /// told of the end.
    pub(super) fn agenda_turn_ended(&mut self, id: ThreadId, turn: &Turn) {
        let now = self.services.clock.wall_ms();
        let Some(thread) = self.threads.get_mut(id) else { return };
        let used = tokens(thread) - thread.agenda.tokens_before;
        let agenda = &mut thread.agenda;
        agenda.held = turn.status != TurnStatus::Completed && agenda.queued > 0;
        let was_active = agenda.has_active_goal();
        let counts = was_active || agenda.stopped_by_model;
        let goal = agenda.goal.as_mut().filter(|_| counts).map(|goal| {
            goal.tokens_used += used;
            goal.time_used_ms += turn.duration_ms.unwrap_or(0);
            goal.updated_at_ms = now;
            let over = goal.token_budget.is_some_and(|budget| goal.tokens_used >= budget);
            let stopped = match turn.status {
                _ if !was_active => None,
                TurnStatus::Interrupted => Some(ThreadGoalStatus::Paused),
                TurnStatus::Failed => Some(ThreadGoalStatus::Blocked),
                _ if over => Some(ThreadGoalStatus::BudgetLimited),
                _ => None,
            };
            if let Some(stopped) = stopped {
                goal.status = status_text(stopped);
            }
            goal.clone()
        });
        if let Some(goal) = goal {
            self.keep_goal(id, &goal);
            self.tell_goal(id, Some(&turn.id), &goal);
        }
    }

    /// Tells that there is something to read. The store counts the same with the turn's end.
    pub(super) fn tell_unread(&mut self, id: ThreadId, turn: &str) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        let record = &mut thread.record;
        record.unread_turn.get_or_insert_with(|| turn.to_owned());
        record.read_revision += 1;
        let state = ReadState { unread_turn: record.unread_turn.clone(), revision: record.read_revision };
        self.tell_read_state(id, &state);
    }

    /// Tells subscribers who know of it what is read.
    pub(super) fn tell_read_state(&mut self, id: ThreadId, state: &ReadState) {
        let text = id.to_string();
        let changed = ThreadReadStateChanged { thread_id: &text, read_state: &shown_read_state(state) };
        if let Some(encoded) = self.encode(&changed) {
            self.tell(id, &encoded, Audience::Experimental);
        }
    }

    pub(super) fn tell_goal(&mut self, id: ThreadId, turn: Option<&str>, goal: &GoalRecord) {
        let text = id.to_string();
        let goal = shown(id, goal);
        self.broadcast_of(id, &ThreadGoalUpdated { thread_id: &text, turn_id: turn, goal: &goal });
    }

    fn keep_goal(&self, id: ThreadId, goal: &GoalRecord) {
        let Some(thread) = self.threads.get(id) else { return };
        let (text, goal) = (id.to_string(), goal.clone());
        // Unless it was cleared or set anew meanwhile.
        let work = move |database: &mut Database| match database.goal(&text)? {
            Some(known) if known.created_at_ms == goal.created_at_ms => database.put_goal(&text, &goal),
            _ => Ok(()),
        };
        self.write_by_itself(&thread.store, work, |_, ()| {});
    }

    /// A user has set the goal of a loaded thread, or has taken it away.
    pub(super) fn agenda_goal_set(&mut self, id: ThreadId, goal: Option<GoalRecord>) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        let used = tokens(thread);
        let agenda = &mut thread.agenda;
        if !agenda.has_active_goal() {
            agenda.tokens_before = used;
        }
        agenda.goal = goal;
        agenda.goal_turns = 0;
        self.go_on(id);
    }

    /// The model has begun a goal in the running turn, or has said where it stands; the store has it. What
    /// follows begins with the turn's end. Turns without a user's word go on being counted: a model that
    /// sets itself one goal after the other must not work for ever.
    pub(super) fn agenda_goal_by_model(&mut self, id: ThreadId, turn: TurnId, mut goal: GoalRecord) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        let used = tokens(thread);
        let is_over = thread.turn.as_ref().is_none_or(|running| running.id != turn);
        let agenda = &mut thread.agenda;
        let is_known = agenda.goal.as_ref().is_some_and(|known| known.created_at_ms == goal.created_at_ms);
        if is_over && is_known {
            // The interrupt that ended the turn has paused it, also in the store.
            return;
        }
        if is_over {
            goal.status = status_text(ThreadGoalStatus::Paused);
        } else if is_known {
            agenda.stopped_by_model |= agenda.has_active_goal();
        } else {
            agenda.tokens_before = used;
        }
        agenda.goal = Some(goal.clone());
        if is_over {
            self.keep_goal(id, &goal);
        }
        self.tell_goal(id, Some(&turn.to_string()), &goal);
    }

    /// Begins what is next, if the thread is free for it: what waits comes before the goal.
    pub(super) fn go_on(&mut self, id: ThreadId) {
        if !self.may_begin_by_itself() {
            return;
        }
        let Some(thread) = self.threads.get(id) else { return };
        if thread.turn.is_some() || !thread.waiting.is_empty() {
            return;
        }
        if thread.agenda.queued > 0 && !thread.agenda.held {
            let store = thread.store.clone();
            self.start_queued(id, &store);
        } else if thread.agenda.has_active_goal() {
            self.start_goal_turn(id);
        }
    }

    fn start_queued(&self, id: ThreadId, store: &StoreHandle) {
        let text = id.to_string();
        let work = move |database: &mut Database| database.queued(&text, /*id*/ None);
        self.write_by_itself(store, work, move |processor, queued| {
            let Some(thread) = processor.threads.get_mut(id) else { return };
            if thread.turn.is_some() || !thread.waiting.is_empty() || thread.agenda.held {
                return;
            }
            match queued {
                Some(queued) => processor.begin_queued(id, queued, Reply::to_nobody()),
                None => {
                    thread.agenda.queued = 0;
                    processor.go_on(id);
                }
            }
        });
    }

    /// Begins a turn with a message of the queue; it leaves the queue when the turn is in the store.
    pub(super) fn begin_queued(&mut self, id: ThreadId, queued: QueuedRecord, reply: Reply) {
        let input = serde_json::from_str::<Vec<UserInput>>(&queued.input).unwrap_or_else(|error| {
            tracing::warn!(thread = %id, %error, "a queued message cannot be read; it is empty");
            Vec::new()
        });
        let metadata = queued.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok());
        self.begin_turn(
            TurnStartParams {
                client_user_message_id: Some(queued.client_id),
                responsesapi_client_metadata: metadata,
                ..TurnStartParams::of(id.to_string(), input)
            },
            reply,
        );
        self.agenda_input_taken(id);
    }

    fn start_goal_turn(&mut self, id: ThreadId) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        let Some(goal) = thread.agenda.goal.clone() else { return };
        thread.agenda.goal_turns += 1;
        if thread.agenda.goal_turns > limits::GOAL_TURNS_MAX {
            return self.block_goal(id, "it goes on and on without a word of a user");
        }
        self.tell_model_of_goal(id, &goal);
        self.begin_turn(TurnStartParams::of(id.to_string(), Vec::new()), Reply::to_nobody());
        let Some(thread) = self.threads.get_mut(id) else { return };
        match &thread.turn {
            Some(turn) => thread.agenda.goal_turn = Some(turn.id),
            None => self.block_goal(id, "its turn could not be started"),
        }
    }

    fn block_goal(&mut self, id: ThreadId, why: &'static str) {
        tracing::warn!(thread = %id, why, "a goal is blocked");
        let now = self.services.clock.wall_ms();
        let Some(goal) = self.threads.get_mut(id).and_then(|thread| thread.agenda.goal.as_mut()) else {
            return;
        };
        goal.status = status_text(ThreadGoalStatus::Blocked);
        goal.updated_at_ms = now;
        let goal = goal.clone();
        self.keep_goal(id, &goal);
        self.tell_goal(id, /*turn*/ None, &goal);
    }

    /// Runs `work` on the store's worker for nobody in particular, and `then` in the processor. What fails is
    /// logged.
    pub(super) fn write_by_itself<T: Send + 'static>(
        &self,
        store: &StoreHandle,
        work: impl FnOnce(&mut Database) -> Result<T, StoreError> + Send + 'static,
        then: impl FnOnce(&mut Processor, T) + Send + 'static,
    ) {
        let events = self.services.events.clone();
        let queued = store.write(work, move |outcome| match outcome {
            Ok(value) => events.tell(super::Event::Then(Box::new(move |processor| then(processor, value)))),
            Err(error) => tracing::warn!(%error, "what a thread does by itself could not be written down"),
        });
        if queued.is_err() {
            tracing::warn!(
                "what a thread does by itself could not be written down: the store's queue is full"
            );
        }
    }
}
