//! `thread/queue/…`: messages that start when the running turn has ended. They are in the store, so they
//! survive the server; each starts a turn of its own, once.

use super::thread_life::{refuse_work, store_of};
use super::thread_lists::refusal;
use super::turns::refuse_long;
use super::{loaded, page_limit, thread_id};
use crate::agent::ThreadId;
use crate::limits;
use crate::proto::{
    EmptyResponse, QueuedSubmission, ThreadQueueAddParams, ThreadQueueChanged, ThreadQueueDeleteParams,
    ThreadQueueDeleteResponse, ThreadQueueListParams, ThreadQueueListResponse, ThreadQueueReorderParams,
    ThreadQueueStartParams, ThreadQueueUpdateParams, ThreadQueuedResponse,
};
use crate::rpc::{Reason, Reply, RpcError};
use crate::server::dispatch::{Caller, Query, store_refusal};
use crate::server::processor::Processor;
use crate::store::{Database, QueuedRecord, StoreError};

fn refuse(text: String) -> RpcError {
    RpcError::invalid_request(text).with(Reason::InvalidParams)
}

fn not_queued(id: &str) -> RpcError {
    refuse(format!("queued submission not found: {id}"))
}

fn json(value: &impl serde::Serialize) -> String {
    // Texts, lists and maps of texts: nothing in it can fail to encode.
    serde_json::to_string(value).unwrap_or_default()
}

fn shown(record: QueuedRecord) -> Result<QueuedSubmission, StoreError> {
    let corrupt = |error: serde_json::Error| {
        StoreError::Corrupt(format!("the queued message {} cannot be read: {error}", record.id))
    };
    Ok(QueuedSubmission {
        input: serde_json::from_str(&record.input).map_err(corrupt)?,
        responsesapi_client_metadata: record
            .metadata
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
            .map_err(corrupt)?,
        id: record.id,
        client_user_message_id: record.client_id,
    })
}

/// Changes a queue in the store; afterwards everybody is told, and it may go on.
fn change<T: Send + 'static>(
    processor: &mut Processor,
    id: ThreadId,
    reply: Reply,
    work: impl FnOnce(&mut Database, &str) -> Result<T, StoreError> + Send + 'static,
    then: impl FnOnce(Reply, T) -> bool + Send + 'static,
) {
    let text = id.to_string();
    let write = move |database: &mut Database| {
        database.refuse_other_writer(&text)?;
        let done = work(database, &text)?;
        Ok((done, database.agenda(&text)?.queued))
    };
    let store = store_of(processor, id);
    processor.write_then(&store, reply, write, move |processor, reply, (done, queued)| {
        if let Some(thread) = processor.threads.get_mut(id) {
            thread.agenda.queued = queued;
        }
        if then(reply, done) {
            processor.broadcast_of(id, &ThreadQueueChanged { thread_id: &id.to_string() });
            processor.go_on(id);
        }
    });
}

/// `thread/queue/add`: on an idle thread it starts at once.
pub(in crate::server) fn add(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadQueueAddParams,
    reply: Reply,
) {
    let checked = thread_id(&params.thread_id).and_then(|id| refuse_long(&params.input).map(|()| id));
    let id = match checked {
        Ok(id) => id,
        Err(error) => return reply.refuse(error),
    };
    let new = QueuedRecord {
        id: uuid::Uuid::now_v7().to_string(),
        client_id: params.client_user_message_id,
        input: json(&params.input),
        metadata: params.responsesapi_client_metadata.as_ref().map(json),
    };
    if let Some(thread) = processor.threads.get_mut(id) {
        thread.agenda.held = false;
    }
    let work = move |database: &mut Database, thread: &str| {
        database.queue_add(thread, &new, limits::QUEUED_MAX)?.map(shown).transpose()
    };
    change(processor, id, reply, work, |reply, queued| match queued {
        Some(queued_submission) => {
            reply.send(Ok(ThreadQueuedResponse { queued_submission }));
            true
        }
        None => {
            let max = limits::QUEUED_MAX;
            reply.refuse(RpcError::limit(format!("{max} messages wait in this thread, its limit")));
            false
        }
    });
}

/// `thread/queue/list`.
pub(in crate::server) fn list(
    processor: &mut Processor,
    params: ThreadQueueListParams,
) -> Result<Query<ThreadQueueListResponse>, RpcError> {
    let id = thread_id(&params.thread_id)?;
    let read = move |database: &Database| {
        let limit = page_limit(params.page.limit);
        let page = database
            .queue_page(&id.to_string(), params.page.cursor.as_deref(), limit)
            .map_err(refusal(id))?;
        let data: Result<Vec<_>, _> = page.queued.into_iter().map(shown).collect();
        Ok(ThreadQueueListResponse {
            data: data.map_err(|error| store_refusal(&error))?,
            next_cursor: page.next_cursor,
        })
    };
    Ok(Query { store: store_of(processor, id), read: Box::new(read) })
}

/// `thread/queue/update`.
pub(in crate::server) fn update(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadQueueUpdateParams,
    reply: Reply,
) {
    let checked = thread_id(&params.thread_id).and_then(|id| refuse_long(&params.input).map(|()| id));
    let id = match checked {
        Ok(id) => id,
        Err(error) => return reply.refuse(error),
    };
    let metadata = &params.responsesapi_client_metadata;
    let metadata = (!metadata.is_empty()).then(|| json(metadata));
    let (which, input) = (params.queued_submission_id, json(&params.input));
    let asked = which.clone();
    let work = move |database: &mut Database, thread: &str| {
        database.queue_update(thread, &which, &input, metadata.as_deref())?.map(shown).transpose()
    };
    change(processor, id, reply, work, move |reply, queued| match queued {
        Some(queued_submission) => {
            reply.send(Ok(ThreadQueuedResponse { queued_submission }));
            true
        }
        None => {
            reply.refuse(not_queued(&asked));
            false
        }
    });
}

/// `thread/queue/delete`.
pub(in crate::server) fn delete(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadQueueDeleteParams,
    reply: Reply,
) {
    let id = match thread_id(&params.thread_id) {
        Ok(id) => id,
        Err(error) => return reply.refuse(error),
    };
    let work = move |database: &mut Database, thread: &str| {
        database.queue_delete(thread, &params.queued_submission_id)
    };
    change(processor, id, reply, work, |reply, deleted| {
        reply.send(Ok(ThreadQueueDeleteResponse { deleted }));
        deleted
    });
}

/// `thread/queue/reorder`.
pub(in crate::server) fn reorder(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadQueueReorderParams,
    reply: Reply,
) {
    let id = match thread_id(&params.thread_id) {
        Ok(id) => id,
        Err(error) => return reply.refuse(error),
    };
    let work = move |database: &mut Database, thread: &str| {
        database.queue_reorder(thread, &params.queued_submission_ids)
    };
    change(processor, id, reply, work, |reply, reordered| {
        if reordered {
            reply.send(Ok(EmptyResponse {}));
        } else {
            let text = "queuedSubmissionIds must name every queued submission once; the queue has changed";
            reply.refuse(refuse(text.to_owned()));
        }
        reordered
    });
}

/// `thread/queue/start`: at once, also what was held. While a turn runs, the message joins it.
pub(in crate::server) fn start(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadQueueStartParams,
    reply: Reply,
) {
    let checked = refuse_work(processor).and_then(|()| loaded(processor, &params.thread_id).map(|it| it.id));
    let id = match checked {
        Ok(id) => id,
        Err(error) => return reply.refuse(error),
    };
    let (text, which) = (id.to_string(), params.queued_submission_id.clone());
    let read = move |database: &Database| database.queued(&text, which.as_deref());
    let store = store_of(processor, id);
    processor.read_then(&store, reply, read, move |processor, reply, queued| match queued {
        Some(queued) => {
            if let Some(thread) = processor.threads.get_mut(id) {
                thread.agenda.queued = thread.agenda.queued.max(1);
            }
            processor.begin_queued(id, queued, reply);
        }
        None => reply.refuse(match params.queued_submission_id {
            Some(which) => not_queued(&which),
            None => refuse("the queue is empty".to_owned()),
        }),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_entry_is_told_by_its_id() {
        let record = QueuedRecord { id: "q".to_owned(), input: "{".to_owned(), ..QueuedRecord::default() };
        let error = shown(record).expect_err("it cannot be read");
        assert!(error.to_string().contains("the queued message q cannot be read"), "{error}");
        let fine = QueuedRecord { input: "[]".to_owned(), ..QueuedRecord::default() };
        assert!(shown(fine).expect("it can be read").input.is_empty());
    }
}
