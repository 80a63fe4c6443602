//! `thread/goal/set`, `thread/goal/get`, `thread/goal/clear`, and what the model wants with its goal.

use super::thread_id;
use super::thread_life::store_of;
use super::thread_lists::refusal;
use crate::agent::{GoalAsk, GoalWish, ThreadId, TurnId};
use crate::limits;
use crate::proto::{
    ThreadGoalClearParams, ThreadGoalClearResponse, ThreadGoalCleared, ThreadGoalGetResponse,
    ThreadGoalSetParams, ThreadGoalSetResponse, ThreadGoalStatus, ThreadIdParams,
};
use crate::rpc::{Reason, Reply, RpcError};
use crate::server::agenda::{shown, status, status_text};
use crate::server::dispatch::{Caller, Query};
use crate::server::processor::Processor;
use crate::store::{Database, GoalRecord};

fn refuse(text: String) -> RpcError {
    RpcError::invalid_request(text).with(Reason::InvalidParams)
}

/// `thread/goal/set`: a new objective begins a new goal; anything else changes the one that is there. An
/// active goal of a loaded thread is worked on at once.
pub(in crate::server) fn set(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadGoalSetParams,
    reply: Reply,
) {
    let prepared = thread_id(&params.thread_id).and_then(|id| {
        let checked = check(params.objective.as_deref(), params.token_budget.flatten());
        Ok((id, checked.map_err(refuse)?))
    });
    let (id, objective) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return reply.refuse(error),
    };
    let now = processor.services.clock.wall_ms();
    let text = id.to_string();
    // The processor's own books of a loaded thread are newer than the store's.
    let loaded = processor.threads.get(id).map(|thread| thread.agenda.goal.clone());
    let work = move |database: &mut Database| {
        database.refuse_other_writer(&text)?;
        let known = match loaded {
            Some(known) => known,
            None => database.goal(&text)?,
        };
        let changed = change(known, objective, &params, now);
        if let Ok(goal) = &changed {
            database.put_goal(&text, goal)?;
        }
        Ok(changed)
    };
    let store = store_of(processor, id);
    processor.write_then(&store, reply, work, move |processor, reply, goal| match goal {
        Err(text) => reply.refuse(refuse(text)),
        Ok(goal) => {
            reply.send(Ok(ThreadGoalSetResponse { goal: shown(id, &goal) }));
            processor.tell_goal(id, /*turn*/ None, &goal);
            processor.agenda_goal_set(id, Some(goal));
        }
    });
}

/// The objective that is given, if one is, and that the budget means something.
fn check(objective: Option<&str>, token_budget: Option<i64>) -> Result<Option<String>, String> {
    if token_budget.is_some_and(|budget| budget <= 0) {
        return Err("tokenBudget must be greater than 0".to_owned());
    }
    let Some(objective) = objective.map(str::trim) else { return Ok(None) };
    if objective.is_empty() {
        return Err("goal objective must not be empty".to_owned());
    }
    if objective.chars().count() > limits::GOAL_CHARS_MAX {
        let max = limits::GOAL_CHARS_MAX;
        return Err(format!("goal objective exceeds the maximum length of {max} characters"));
    }
    Ok(Some(objective.to_owned()))
}

fn change(
    known: Option<GoalRecord>,
    objective: Option<String>,
    params: &ThreadGoalSetParams,
    now: i64,
) -> Result<GoalRecord, String> {
    let is_new = |objective: &String| known.as_ref().is_none_or(|known| known.objective != *objective);
    let mut goal = match (objective.filter(is_new), known) {
        (Some(objective), _) => GoalRecord {
            objective,
            status: status_text(ThreadGoalStatus::Active),
            created_at_ms: now,
            ..GoalRecord::default()
        },
        (None, Some(known)) => known,
        (None, None) => return Err("the thread has no goal; give an objective".to_owned()),
    };
    if let Some(status) = params.status {
        goal.status = status_text(status);
    }
    if let Some(budget) = params.token_budget {
        goal.token_budget = budget;
    }
    goal.updated_at_ms = now;
    Ok(goal)
}

/// `thread/goal/get`.
pub(in crate::server) fn get(
    processor: &mut Processor,
    params: ThreadIdParams,
) -> Result<Query<ThreadGoalGetResponse>, RpcError> {
    let id = thread_id(&params.thread_id)?;
    let loaded = processor.threads.get(id).map(|thread| thread.agenda.goal.clone());
    let read = move |database: &Database| {
        let goal = match loaded {
            Some(goal) => goal,
            None => database.goal(&id.to_string()).map_err(refusal(id))?,
        };
        Ok(ThreadGoalGetResponse { goal: goal.map(|goal| shown(id, &goal)) })
    };
    Ok(Query { store: store_of(processor, id), read: Box::new(read) })
}

/// `thread/goal/clear`: a turn that runs for it goes on to its end.
pub(in crate::server) fn clear(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadGoalClearParams,
    reply: Reply,
) {
    let id = match thread_id(&params.thread_id) {
        Ok(id) => id,
        Err(error) => return reply.refuse(error),
    };
    let text = id.to_string();
    let work = move |database: &mut Database| {
        database.refuse_other_writer(&text)?;
        database.clear_goal(&text)
    };
    let store = store_of(processor, id);
    processor.write_then(&store, reply, work, move |processor, reply, cleared| {
        reply.send(Ok(ThreadGoalClearResponse { cleared }));
        if cleared {
            processor.broadcast_of(id, &ThreadGoalCleared { thread_id: &id.to_string() });
            processor.agenda_goal_set(id, /*goal*/ None);
        }
    });
}

/// The goal as the model wants it to be.
fn wished(known: Option<GoalRecord>, wish: GoalWish, now: i64) -> Result<GoalRecord, String> {
    let is_complete = |goal: &GoalRecord| status(goal) == ThreadGoalStatus::Complete;
    match (wish, known) {
        (GoalWish::Begin { .. }, Some(known)) if !is_complete(&known) => {
            Err("the thread has a goal already; it is not complete".to_owned())
        }
        (GoalWish::Begin { objective, token_budget }, _) => {
            let objective = check(Some(&objective), token_budget)?.unwrap_or_default();
            let status = status_text(ThreadGoalStatus::Active);
            let (created_at_ms, updated_at_ms) = (now, now);
            Ok(GoalRecord {
                objective,
                status,
                token_budget,
                created_at_ms,
                updated_at_ms,
                ..GoalRecord::default()
            })
        }
        (GoalWish::Mark(_) | GoalWish::Read, None) => Err("the thread has no goal".to_owned()),
        (GoalWish::Mark(status), Some(mut goal)) => {
            goal.status = status_text(status);
            goal.updated_at_ms = now;
            Ok(goal)
        }
        (GoalWish::Read, Some(goal)) => Ok(goal),
    }
}

impl Processor {
    /// The model of a running turn looks at the goal or changes it. It is answered when that is in the store.
    pub(in crate::server) fn on_goal_wish(&mut self, id: ThreadId, turn: TurnId, ask: GoalAsk) {
        let GoalAsk { wish, answer } = ask;
        let Some(thread) = self.threads.get(id) else { return };
        if wish == GoalWish::Read {
            return answer.send(Ok(thread.agenda.goal.as_ref().map(|goal| shown(id, goal))));
        }
        let (text, now) = (id.to_string(), self.services.clock.wall_ms());
        // All that the processor has changed was queued before this, so the store knows as much.
        let work = move |database: &mut Database| {
            let goal = wished(database.goal(&text)?, wish, now);
            if let Ok(goal) = &goal {
                database.put_goal(&text, goal)?;
            }
            Ok(goal)
        };
        self.write_by_itself(&thread.store, work, move |processor, goal| {
            if let Ok(goal) = &goal {
                processor.agenda_goal_by_model(id, turn, goal.clone());
            }
            answer.send(goal.map(|goal| Some(shown(id, &goal))));
        });
    }
}
