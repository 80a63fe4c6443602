//! What is done to a stored thread as a whole: `thread/archive`, `thread/unarchive`, `thread/delete`,
//! `thread/revert`, `thread/metadata/update`.

use super::thread_life::store_of;
use super::{session_id, thread_id, thread_not_found};
use crate::agent::ThreadId;
use crate::proto::{
    EmptyResponse, GitInfo, GitInfoUpdate, ThreadArchived, ThreadDeleted, ThreadIdParams,
    ThreadMetadataUpdateParams, ThreadResponse, ThreadRevertParams, ThreadRevertResponse, ThreadReverted,
    ThreadStatus, ThreadUnarchived,
};
use crate::rpc::{Reason, Reply, RpcError};
use crate::server::dispatch::Caller;
use crate::server::processor::Processor;
use crate::server::threads::Waiting;
use crate::server::view;
use crate::store::{Database, LatestCursors, StoreError, ThreadRecord};

pub(super) fn no_rollout(id: ThreadId) -> RpcError {
    thread_not_found(format!("no rollout found for thread id {id}"))
}

pub(super) fn is_ephemeral(processor: &Processor, id: ThreadId) -> bool {
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
