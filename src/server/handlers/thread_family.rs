//! What is done to a stored thread as a whole: `thread/archive`, `thread/unarchive`, `thread/delete`,
//! `thread/fork`, `thread/revert`, `thread/metadata/update`.

use super::thread_life::{Numbered, place, refuse_work, store_of};
use super::thread_settings::{override_settings, settings_text};
use super::{session_id, thread_id, thread_not_found};
use crate::agent::{Settings, ThreadId};
use crate::proto::{
    EmptyResponse, GitInfo, GitInfoUpdate, ThreadArchived, ThreadDeleted, ThreadForkParams, ThreadIdParams,
    ThreadMetadataUpdateParams, ThreadResponse, ThreadRevertParams, ThreadRevertResponse, ThreadReverted,
    ThreadStarted, ThreadStatus, ThreadUnarchived,
};
use crate::rpc::{Reason, Reply, RpcError};
use crate::server::configuration::Ground;
use crate::server::dispatch::Caller;
use crate::server::processor::Processor;
use crate::server::threads::{Idle, LoadedThread, Waiting};
use crate::server::{PROTOCOL_RELEASE, view};
use crate::store::{
    ConversationEntry, Database, ItemRecord, LatestCursors, StoreError, ThreadRecord, TurnRecord,
};

fn no_rollout(id: ThreadId) -> RpcError {
    thread_not_found(format!("no rollout found for thread id {id}"))
}

fn is_ephemeral(processor: &Processor, id: ThreadId) -> bool {
    processor.threads.get(id).is_some_and(|thread| thread.ephemeral)
}

impl Processor {
    /// Runs `then` when the thread has no turn: now, or when the running turn, which is interrupted, has
    /// ended.
    pub(super) fn when_quiet(&mut self, id: ThreadId, then: impl FnOnce(&mut Processor) + Send + 'static) {
        match self.threads.get_mut(id) {
            Some(thread) if thread.turn.is_some() => {
                if let Some(turn) = &thread.turn {
                    turn.handle.interrupter.interrupt();
                }
                thread.waiting.push_back(Waiting::Then(Box::new(then)));
            }
            _ => then(self),
        }
    }
}

/// `thread/archive`: a running turn is interrupted first.
pub(in crate::server) fn archive(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadIdParams,
    reply: Reply,
) {
    let id = match session_id(&params.thread_id) {
        Ok(id) if is_ephemeral(processor, id) => return reply.refuse(no_rollout(id)),
        Ok(id) => id,
        Err(error) => return reply.refuse(error),
    };
    let (store, text) = (processor.services.store.clone(), id.to_string());
    let work = move |database: &mut Database| {
        let open = database.thread(&text)?.is_some_and(|record| !record.archived);
        if open {
            database.claim(&text)?;
            database.set_archived(&text, /*archived*/ true)?;
        }
        Ok(open)
    };
    processor.write_then(&store, reply, work, move |processor, reply, archived| {
        if !archived {
            return reply.refuse(no_rollout(id));
        }
        processor.when_quiet(id, move |processor| {
            processor.let_go(id);
            reply.send(Ok(EmptyResponse {}));
            processor.broadcast_of(id, &ThreadArchived { thread_id: &id.to_string() });
        });
    });
}

/// `thread/unarchive`.
pub(in crate::server) fn unarchive(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadIdParams,
    reply: Reply,
) {
    let id = match session_id(&params.thread_id) {
        Ok(id) => id,
        Err(error) => return reply.refuse(error),
    };
    let (store, text) = (processor.services.store.clone(), id.to_string());
    let work = move |database: &mut Database| {
        let Some(record) = database.thread(&text)?.filter(|record| record.archived) else { return Ok(None) };
        database.set_archived(&text, /*archived*/ false)?;
        Ok(Some(ThreadRecord { archived: false, ..record }))
    };
    processor.write_then(&store, reply, work, move |processor, reply, record| match record {
        None => reply.refuse(thread_not_found(format!("no archived rollout found for thread id {id}"))),
        Some(record) => {
            let thread = view::thread(&record, ThreadStatus::NotLoaded, /*ephemeral*/ false, Vec::new());
            reply.send(Ok(ThreadResponse { thread }));
            processor.broadcast_of(id, &ThreadUnarchived { thread_id: &id.to_string() });
        }
    });
}

/// `thread/delete`: a running turn is interrupted first, so that nothing writes to a thread that is gone.
pub(in crate::server) fn delete(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadIdParams,
    reply: Reply,
) {
    let id = match thread_id(&params.thread_id) {
        Ok(id) if is_ephemeral(processor, id) => {
            let text = format!("thread is not persisted and cannot be deleted: {id}");
            return reply.refuse(RpcError::invalid_request(text).with(Reason::InvalidParams));
        }
        Ok(id) => id,
        Err(error) => return reply.refuse(error),
    };
    processor.when_quiet(id, move |processor| {
        let (store, text) = (processor.services.store.clone(), id.to_string());
        let work = move |database: &mut Database| {
            if database.thread(&text)?.is_none() {
                return Ok(false);
            }
            database.claim(&text)?;
            database.delete_thread(&text)
        };
        processor.write_then(&store, reply, work, move |processor, reply, deleted| {
            if !deleted {
                return reply.refuse(no_rollout(id));
            }
            // A turn that began meanwhile finds its thread gone and ends by itself.
            processor.when_quiet(id, move |processor| {
                processor.let_go(id);
                reply.send(Ok(EmptyResponse {}));
                processor.broadcast_of(id, &ThreadDeleted { thread_id: &id.to_string() });
            });
        });
    });
}

/// What a fork takes from its source.
struct Source {
    record: ThreadRecord,
    turns: Vec<(TurnRecord, Vec<ItemRecord>)>,
    conversation: Vec<ConversationEntry>,
}

/// `thread/fork`: a new thread with the turns of another. A turn that runs in the source shows as
/// interrupted in the fork.
pub(in crate::server) fn fork(
    processor: &mut Processor,
    caller: Caller,
    params: ThreadForkParams,
    reply: Reply,
) {
    let id = match refuse_work(processor)
        .and_then(|()| refuse_both_ends(&params))
        .and_then(|()| session_id(&params.thread_id))
    {
        Ok(id) if is_ephemeral(processor, id) => return reply.refuse(no_rollout(id)),
        Ok(id) => id,
        Err(error) => return reply.refuse(error),
    };
    let store = store_of(processor, id);
    let text = id.to_string();
    let (last, before) = (params.last_turn_id.clone(), params.before_turn_id.clone());
    let read = move |database: &Database| {
        let Some(record) = database.thread(&text)?.filter(|record| !record.archived) else { return Ok(None) };
        let turns = cut(database.all_turns(&text)?, last.as_deref(), before.as_deref());
        let conversation = database.conversation_entries(&text)?;
        Ok(Some(turns.map(|turns| Source { record, turns, conversation })))
    };
    processor.read_then(&store, reply, read, move |processor, reply, source| match source {
        None => reply.refuse(no_rollout(id)),
        Some(Err(turn)) => {
            let error = RpcError::invalid_request(format!("turn not found: {turn}"));
            reply.refuse(error.with(Reason::InvalidParams));
        }
        Some(Ok(source)) => {
            let cwd = place(processor, params.cwd.as_deref(), Some(source.record.cwd.clone()));
            processor.with_ground(caller, reply, cwd, move |processor, reply, ground| {
                write_fork(processor, caller, &params, source, ground, reply);
            });
        }
    });
}

fn refuse_both_ends(params: &ThreadForkParams) -> Result<(), RpcError> {
    let text = match (&params.before_turn_id, &params.last_turn_id, &params.path) {
        (Some(_), Some(_), _) => "`beforeTurnId` cannot be combined with `lastTurnId`",
        (_, _, Some(_)) => "thread/fork.path is not supported by this server: threads are forked by their id",
        _ => return Ok(()),
    };
    Err(RpcError::invalid_request(text).with(Reason::InvalidParams))
}

/// The turns up to and with `last`, or up to but without `before`; the id that is not there otherwise.
fn cut(
    mut turns: Vec<(TurnRecord, Vec<ItemRecord>)>,
    last: Option<&str>,
    before: Option<&str>,
) -> Result<Vec<(TurnRecord, Vec<ItemRecord>)>, String> {
    let Some(end) = last.or(before) else { return Ok(turns) };
    let at = turns.iter().position(|(turn, _)| turn.id == end).ok_or_else(|| end.to_owned())?;
    turns.truncate(at + usize::from(last.is_some()));
    Ok(turns)
}

fn write_fork(
    processor: &mut Processor,
    caller: Caller,
    params: &ThreadForkParams,
    source: Source,
    ground: Ground,
    reply: Reply,
) {
    let mut settings = serde_json::from_str::<Settings>(&source.record.settings)
        .unwrap_or_else(|_| ground.defaults.settings());
    if let Err(error) = override_settings(processor, &ground, &mut settings, params) {
        return reply.refuse(error);
    }
    let id = ThreadId::new();
    let now = processor.services.clock.wall_ms();
    let record = ThreadRecord {
        id: id.to_string(),
        session_id: id.to_string(),
        forked_from_id: Some(source.record.id.clone()),
        name: source.record.name.clone(),
        model_provider: settings.model_provider.clone(),
        model: settings.model.clone(),
        cwd: settings.cwd.clone(),
        source: view::source_text(&processor.facts.source),
        thread_source: params.thread_source.clone(),
        cli_version: PROTOCOL_RELEASE.to_owned(),
        created_at_ms: now,
        updated_at_ms: now,
        recency_at_ms: now,
        settings: settings_text(&settings),
        turn_count: i64::try_from(source.turns.len()).unwrap_or(i64::MAX),
        ..source.record
    };
    let store = if params.ephemeral {
        processor.services.store.ephemeral()
    } else {
        processor.services.store.clone()
    };
    let (kept, exclude_turns, ephemeral) = (store.clone(), params.exclude_turns, params.ephemeral);
    let work = move |database: &mut Database| {
        database.insert_thread(&record)?;
        database.claim(&record.id)?;
        database.append_turns(&record.id, &source.turns, now)?;
        database.copy_conversation(&record.id, &source.conversation)?;
        let turns = if exclude_turns { Vec::new() } else { database.all_turns(&record.id)? };
        Ok((record, view::EncodedTurns::new(turns)?))
    };
    processor.write_then(&store, reply, work, move |processor, reply, (record, turns)| {
        let idle = Idle::new(ground.config.thread_unload_delay, processor.services.clock.now());
        let rules = &processor.services.rules;
        let thread = LoadedThread::new(id, record, settings, ground, kept, ephemeral, rules, idle);
        let shown = view::loaded(&thread);
        let answer = view::started(shown.clone(), &thread.settings);
        processor.add_thread(thread, Some(caller.connection));
        let answer = Numbered::new(processor, caller, id, answer, /*replay*/ None);
        turns.answer(reply, &answer, /*filling*/ None);
        processor.broadcast_of(id, &ThreadStarted { thread: &shown });
    });
}

/// `thread/revert`: takes back a turn and all that follow it. A running turn is interrupted first.
pub(in crate::server) fn revert(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadRevertParams,
    reply: Reply,
) {
    let id = match thread_id(&params.thread_id) {
        Ok(id) if processor.threads.get(id).is_none() => {
            return reply.refuse(thread_not_found(format!("thread not found: {id}")));
        }
        Ok(id) => id,
        Err(error) => return reply.refuse(error),
    };
    processor.when_quiet(id, move |processor| {
        let (store, text) = (store_of(processor, id), id.to_string());
        let turn = params.before_turn_id;
        let work = move |database: &mut Database| match database
            .remove_turns_after(&text, &turn, /*inclusive*/ true)
        {
            Ok(_) => {
                let record = database.thread(&text)?;
                Ok(Ok((record, database.latest_cursors(&text)?)))
            }
            Err(StoreError::NotFound { what: "turn", .. }) => Ok(Err(turn)),
            Err(error) => Err(error),
        };
        processor.write_then(&store, reply, work, move |processor, reply, outcome| match outcome {
            Err(turn) => {
                let error = RpcError::invalid_request(format!("turn not found: {turn}"));
                reply.refuse(error.with(Reason::InvalidParams));
            }
            Ok((record, cursors)) => finish_revert(processor, id, record, cursors, reply),
        });
    });
}

fn finish_revert(
    processor: &mut Processor,
    id: ThreadId,
    record: Option<ThreadRecord>,
    cursors: LatestCursors,
    reply: Reply,
) {
    let Some(thread) = processor.threads.get_mut(id) else { return };
    if let Some(record) = record {
        thread.record = record;
    }
    let shown = view::loaded(thread);
    let status = thread.status();
    // As if it had been closed and opened again: clients drop what they know of it.
    processor.broadcast_status(id, &ThreadStatus::NotLoaded);
    processor.broadcast_status(id, &status);
    reply.send(Ok(ThreadRevertResponse {
        thread: shown,
        turns_backwards_cursor: cursors.turns,
        items_backwards_cursor: cursors.items,
    }));
    processor.broadcast_of(id, &ThreadReverted { thread_id: &id.to_string() });
}

/// `thread/metadata/update`: what is known of the thread's checkout.
pub(in crate::server) fn update_metadata(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadMetadataUpdateParams,
    reply: Reply,
) {
    let (id, update) = match metadata(&params) {
        Ok(metadata) => metadata,
        Err(error) => return reply.refuse(error),
    };
    let (store, text) = (store_of(processor, id), id.to_string());
    let work = move |database: &mut Database| {
        let Some(record) = database.thread(&text)? else { return Ok(None) };
        let known = record.git.as_deref().and_then(|git| serde_json::from_str(git).ok()).unwrap_or_default();
        let git = serde_json::to_string(&changed(known, update)).ok();
        database.set_git(&text, git.as_deref())?;
        Ok(Some(ThreadRecord { git, ..record }))
    };
    processor.write_then(&store, reply, work, move |processor, reply, record| match record {
        None => reply.refuse(no_rollout(id)),
        Some(record) => {
            let (status, ephemeral) = match processor.threads.get_mut(id) {
                Some(thread) => {
                    thread.record.git.clone_from(&record.git);
                    (thread.status(), thread.ephemeral)
                }
                None => (ThreadStatus::NotLoaded, false),
            };
            reply.send(Ok(ThreadResponse { thread: view::thread(&record, status, ephemeral, Vec::new()) }));
        }
    });
}

fn metadata(params: &ThreadMetadataUpdateParams) -> Result<(ThreadId, GitInfoUpdate), RpcError> {
    let refuse = |text: &str| Err(RpcError::invalid_request(text).with(Reason::InvalidParams));
    let id = thread_id(&params.thread_id)?;
    if params.project_id.is_some() || params.daybreak_enabled.is_some() {
        return refuse("this server has neither projects nor access programmes; only gitInfo can be updated");
    }
    let Some(update) = &params.git_info else {
        return refuse("thread metadata update must include at least one field");
    };
    if update.sha.is_none() && update.branch.is_none() && update.origin_url.is_none() {
        return refuse("gitInfo must include at least one field");
    }
    Ok((id, update.clone()))
}

fn changed(known: GitInfo, update: GitInfoUpdate) -> GitInfo {
    GitInfo {
        sha: update.sha.unwrap_or(known.sha),
        branch: update.branch.unwrap_or(known.branch),
        origin_url: update.origin_url.unwrap_or(known.origin_url),
    }
}
