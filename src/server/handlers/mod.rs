//! The methods by family. A handler checks, changes the processor's state, and answers; it knows no socket.

pub(super) mod account;
pub(super) mod catalog;
pub(super) mod command_exec;
mod command_input;
pub(super) mod config_file;
pub(super) mod diagnostics;
pub(super) mod features;
pub(super) mod fs;
pub(super) mod initialize;
pub(super) mod mcp;
pub(super) mod process;
pub(super) mod search;
pub(super) mod skills;
pub(super) mod thread_family;
pub(super) mod thread_fork;
pub(super) mod thread_goal;
pub(super) mod thread_inject;
pub(super) mod thread_keep;
pub(super) mod thread_life;
pub(super) mod thread_lists;
pub(super) mod thread_queue;
pub(super) mod thread_search;
pub(super) mod thread_settings;
pub(super) mod thread_work;
pub(super) mod turns;
pub(super) mod watch;

use super::processor::Processor;
use super::threads::LoadedThread;
use crate::agent::ThreadId;
use crate::limits;
use crate::rpc::{Reason, RpcError};

/// The thread id that a client wrote.
fn thread_id(text: &str) -> Result<ThreadId, RpcError> {
    ThreadId::parse(text).map_err(|error| {
        RpcError::invalid_request(format!("invalid thread id: {error}")).with(Reason::InvalidParams)
    })
}

/// The id of a thread in the words of the methods that speak of sessions.
fn session_id(text: &str) -> Result<ThreadId, RpcError> {
    ThreadId::parse(text).map_err(|error| {
        RpcError::invalid_request(format!("invalid session id: {error}")).with(Reason::InvalidParams)
    })
}

fn thread_not_found(message: String) -> RpcError {
    RpcError::invalid_request(message).with(Reason::ThreadNotFound)
}

/// The loaded thread that a client means.
fn loaded<'a>(processor: &'a Processor, text: &str) -> Result<&'a LoadedThread, RpcError> {
    let id = thread_id(text)?;
    processor.threads.get(id).ok_or_else(|| {
        thread_not_found(format!(
            "thread not found: {id}; load it with thread/resume or make one with thread/start"
        ))
    })
}

/// The page size for what a client asked; zero is taken as one, as the reference does.
fn page_limit(asked: Option<u32>) -> u32 {
    asked.unwrap_or(limits::PAGE_SIZE_DEFAULT).clamp(1, limits::PAGE_SIZE_MAX)
}

fn invalid_cursor(cursor: &str) -> RpcError {
    RpcError::invalid_request(format!("invalid cursor: {cursor}")).with(Reason::InvalidParams)
}
