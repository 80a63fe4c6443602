//! `thread/inject_items`, and what the server itself puts into a conversation: the model is told it, clients
//! are not shown it.

use serde_json::Value;

use super::thread_id;
use super::thread_life::store_of;
use crate::agent::ThreadId;
use crate::limits;
use crate::model::{InputItem, Role};
use crate::proto::{EmptyResponse, ThreadInjectItemsParams};
use crate::rpc::{Reason, Reply, RpcError};
use crate::server::dispatch::Caller;
use crate::server::processor::Processor;
use crate::store::{Database, GoalRecord, StoreError};

/// `thread/inject_items`: at the end of the conversation, without a turn. While a turn runs, its next request
/// to the model has them.
pub(in crate::server) fn inject(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadInjectItemsParams,
    reply: Reply,
) {
    let checked = thread_id(&params.thread_id).and_then(|id| Ok((id, encode_all(params.items)?)));
    let (id, entries) = match checked {
        Ok(checked) => checked,
        Err(error) => return reply.refuse(error),
    };
    if processor.threads.get(id).is_none() {
        return reply.refuse(super::thread_not_found(format!("thread not found: {id}")));
    }
    let store = store_of(processor, id);
    let work = move |database: &mut Database| append(database, id, &entries);
    processor.write_then(&store, reply, work, |_, reply, ()| reply.send(Ok(EmptyResponse {})));
}

fn append(database: &mut Database, id: ThreadId, entries: &[String]) -> Result<(), StoreError> {
    database.append_conversation(&id.to_string(), /*turn_id*/ None, /*starts_over*/ false, entries)
}

fn encode_all(items: Vec<Value>) -> Result<Vec<String>, RpcError> {
    let refuse = |text: String| RpcError::invalid_request(text).with(Reason::InvalidParams);
    if items.is_empty() {
        return Err(refuse("items must not be empty".to_owned()));
    }
    let mut entries = Vec::with_capacity(items.len());
    let mut bytes = 0;
    for (at, item) in items.into_iter().enumerate() {
        if !item.get("type").is_some_and(Value::is_string) {
            return Err(refuse(format!("items[{at}] is not a valid response item: it has no `type`")));
        }
        let entry = encode(&InputItem::Verbatim { item })?;
        bytes += entry.len();
        entries.push(entry);
    }
    if bytes > limits::INJECTED_BYTES_MAX {
        let max = limits::INJECTED_BYTES_MAX;
        return Err(refuse(format!("the items have {bytes} bytes; {max} are accepted at once")));
    }
    Ok(entries)
}

fn encode(item: &InputItem) -> Result<String, RpcError> {
    serde_json::to_string(item).map_err(|error| RpcError::internal(format!("an item: {error}")))
}

impl Processor {
    /// Tells the model what it works towards, before a turn that nobody else begins.
    pub(in crate::server) fn tell_model_of_goal(&self, id: ThreadId, goal: &GoalRecord) {
        let Some(thread) = self.threads.get(id) else { return };
        let left = goal.token_budget.map_or_else(String::new, |budget| {
            format!("\nTokens left: {} of {budget}.", (budget - goal.tokens_used).max(0))
        });
        let text = format!(
            "Nobody has said anything new. Go on with the work towards this goal, and say what is left to be \
             done. If it is reached, or you cannot go on without the user, call `update_goal`.\n\
             Goal: {}{left}",
            goal.objective
        );
        let Ok(entry) = encode(&InputItem::text(Role::Developer, text)) else { return };
        self.write_by_itself(&thread.store, move |database| append(database, id, &[entry]), |_, ()| {});
    }
}
