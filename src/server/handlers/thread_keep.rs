//! What clients keep with threads: `thread/attachment/…`, `thread/attachmentOwner/list`,
//! `thread/readState/update`.

use serde_json::value::RawValue;

use super::thread_life::store_of;
use super::thread_lists::refusal;
use super::{page_limit, thread_id};
use crate::limits;
use crate::proto::{
    EmptyResponse, ThreadAttachment, ThreadAttachmentAddOutcome, ThreadAttachmentAddParams,
    ThreadAttachmentAddResponse, ThreadAttachmentListParams, ThreadAttachmentListResponse,
    ThreadAttachmentOperation, ThreadAttachmentOwner, ThreadAttachmentOwnerListParams,
    ThreadAttachmentOwnerListResponse, ThreadAttachmentRemoveParams, ThreadAttachmentUpdated,
    ThreadReadStateOperation, ThreadReadStateUpdateParams, ThreadReadStateUpdateResponse,
};
use crate::rpc::{Reason, Reply, RpcError};
use crate::server::agenda::shown_read_state;
use crate::server::dispatch::{Caller, Query, store_refusal};
use crate::server::processor::Processor;
use crate::store::{AttachmentRecord, Database, StoreError};

fn refuse(text: String) -> RpcError {
    RpcError::invalid_request(text).with(Reason::InvalidParams)
}

fn shown(record: AttachmentRecord) -> Result<ThreadAttachment, StoreError> {
    let payload = RawValue::from_string(record.payload).map_err(|error| {
        StoreError::Corrupt(format!("the attachment {} cannot be read: {error}", record.id))
    })?;
    Ok(ThreadAttachment {
        id: record.id,
        attachment_type: record.kind,
        identity_key: record.identity,
        payload,
        created_at: record.created_at_ms / 1000,
    })
}

/// `thread/attachment/add`: of one type and key a thread has one; the first stays.
pub(in crate::server) fn add(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadAttachmentAddParams,
    reply: Reply,
) {
    let id = match thread_id(&params.thread_id) {
        Ok(id) => id,
        Err(error) => return reply.refuse(error),
    };
    let size = params.payload.get().len() + params.attachment_type.len() + params.identity_key.len();
    if size > limits::ATTACHMENT_BYTES_MAX {
        let max = limits::ATTACHMENT_BYTES_MAX;
        return reply.refuse(refuse(format!("the attachment has {size} bytes; {max} are accepted")));
    }
    let new = AttachmentRecord {
        id: uuid::Uuid::now_v7().to_string(),
        kind: params.attachment_type,
        identity: params.identity_key,
        payload: params.payload.get().to_owned(),
        created_at_ms: processor.services.clock.wall_ms(),
    };
    let text = id.to_string();
    let work = move |database: &mut Database| {
        if let Some(known) = database.attachment(&text, &new.kind, &new.identity)? {
            return Ok(Some((shown(known)?, ThreadAttachmentAddOutcome::Existing)));
        }
        let added = database.add_attachment(&text, &new, limits::ATTACHMENTS_MAX)?;
        Ok(if added { Some((shown(new)?, ThreadAttachmentAddOutcome::Created)) } else { None })
    };
    let store = store_of(processor, id);
    processor.write_then(&store, reply, work, move |processor, reply, added| {
        let Some((attachment, outcome)) = added else {
            let max = limits::ATTACHMENTS_MAX;
            return reply.refuse(RpcError::limit(format!("the thread has {max} attachments, its limit")));
        };
        let (kind, key) = (attachment.attachment_type.clone(), attachment.identity_key.clone());
        let attachment_id = attachment.id.clone();
        reply.send(Ok(ThreadAttachmentAddResponse { attachment, outcome }));
        if outcome == ThreadAttachmentAddOutcome::Created {
            let updated = ThreadAttachmentUpdated {
                thread_id: &id.to_string(),
                attachment_id: &attachment_id,
                attachment_type: &kind,
                identity_key: &key,
                operation: ThreadAttachmentOperation::Created,
            };
            processor.broadcast_of(id, &updated);
        }
    });
}

/// `thread/attachment/list`.
pub(in crate::server) fn list(
    processor: &mut Processor,
    params: ThreadAttachmentListParams,
) -> Result<Query<ThreadAttachmentListResponse>, RpcError> {
    let id = thread_id(&params.thread_id)?;
    let read = move |database: &Database| {
        let page = database
            .attachments(&id.to_string(), params.page.cursor.as_deref(), page_limit(params.page.limit))
            .map_err(refusal(id))?;
        let data: Result<Vec<_>, _> = page.attachments.into_iter().map(shown).collect();
        Ok(ThreadAttachmentListResponse {
            data: data.map_err(|error| store_refusal(&error))?,
            next_cursor: page.next_cursor,
        })
    };
    Ok(Query { store: store_of(processor, id), read: Box::new(read) })
}

/// `thread/attachmentOwner/list`: the threads with one attachment.
pub(in crate::server) fn owners(
    processor: &mut Processor,
    params: ThreadAttachmentOwnerListParams,
) -> Result<Query<ThreadAttachmentOwnerListResponse>, RpcError> {
    let read = move |database: &Database| {
        let page = database
            .attachment_owners(
                &params.attachment_type,
                &params.identity_key,
                params.archived,
                params.page.cursor.as_deref(),
                page_limit(params.page.limit),
            )
            .map_err(|error| store_refusal(&error))?;
        let owner = |(thread_id, archived)| ThreadAttachmentOwner { thread_id, archived };
        Ok(ThreadAttachmentOwnerListResponse {
            data: page.owners.into_iter().map(owner).collect(),
            next_cursor: page.next_cursor,
        })
    };
    Ok(Query { store: processor.services.store.clone(), read: Box::new(read) })
}

/// `thread/attachment/remove`; there is nothing to say when it was not there.
pub(in crate::server) fn remove(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadAttachmentRemoveParams,
    reply: Reply,
) {
    let id = match thread_id(&params.thread_id) {
        Ok(id) => id,
        Err(error) => return reply.refuse(error),
    };
    let (text, kind, key) = (id.to_string(), params.attachment_type, params.identity_key);
    let (asked_kind, asked_key) = (kind.clone(), key.clone());
    let work = move |database: &mut Database| database.remove_attachment(&text, &kind, &key);
    let store = store_of(processor, id);
    processor.write_then(&store, reply, work, move |processor, reply, removed| {
        reply.send(Ok(EmptyResponse {}));
        if let Some(attachment_id) = removed {
            let updated = ThreadAttachmentUpdated {
                thread_id: &id.to_string(),
                attachment_id: &attachment_id,
                attachment_type: &asked_kind,
                identity_key: &asked_key,
                operation: ThreadAttachmentOperation::Deleted,
            };
            processor.broadcast_of(id, &updated);
        }
    });
}

/// `thread/readState/update`: only if its user has seen the state that is there. Subscribers are told first,
/// as the reference does.
pub(in crate::server) fn update_read_state(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadReadStateUpdateParams,
    reply: Reply,
) {
    let id = match thread_id(&params.thread_id) {
        Ok(id) => id,
        Err(error) => return reply.refuse(error),
    };
    let is_read = params.operation == ThreadReadStateOperation::Read;
    let text = id.to_string();
    let work = move |database: &mut Database| {
        let known = database.read_state(&text)?;
        if known.revision.to_string() != params.expected_revision {
            return Ok(Err(known.revision));
        }
        database.set_read(&text, is_read).map(Ok)
    };
    let store = store_of(processor, id);
    processor.write_then(&store, reply, work, move |processor, reply, outcome| match outcome {
        Err(revision) => reply.refuse(refuse(format!(
            "expectedRevision is not the thread's revision any more, which is `{revision}`; look again"
        ))),
        Ok(state) => {
            if let Some(thread) = processor.threads.get_mut(id) {
                thread.record.unread_turn.clone_from(&state.unread_turn);
                thread.record.read_revision = state.revision;
            }
            processor.tell_read_state(id, &state);
            reply.send(Ok(ThreadReadStateUpdateResponse { read_state: shown_read_state(&state) }));
        }
    });
}
