//! `thread/compact/start`, `thread/shellCommand`, `review/start`, `thread/backgroundTerminals/…`: what a
//! thread's agent does beside talking.

use std::time::Duration;

use super::loaded;
use super::thread_fork::review_apart;
use super::thread_life::refuse_work;
use super::turns::{Launch, Starting, launch};
use crate::agent::{NewInput, ThreadId, TurnKind, review_prompt};
use crate::limits;
use crate::proto::{
    BackgroundTerminalsListParams, BackgroundTerminalsListResponse, BackgroundTerminalsTerminateParams,
    BackgroundTerminalsTerminateResponse, EmptyResponse, ReviewDelivery, ReviewStartParams, ReviewTarget,
    ThreadBackgroundTerminal, ThreadIdParams, ThreadShellCommandParams,
};
use crate::rpc::{Reason, Reply, RpcError};
use crate::server::dispatch::Caller;
use crate::server::processor::Processor;
use crate::server::threads::Waiting;

/// `thread/compact/start`: answered at once; the work is a turn of its own.
pub(in crate::server) fn compact(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadIdParams,
    reply: Reply,
) {
    let id = match ready(processor, &params.thread_id) {
        Ok(id) => id,
        Err(error) => return reply.refuse(error),
    };
    begin(processor, id, TurnKind::Compact, reply);
}

/// `thread/shellCommand`: answered at once; the command is a turn of its own.
pub(in crate::server) fn shell_command(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadShellCommandParams,
    reply: Reply,
) {
    let checked = ready(processor, &params.thread_id).and_then(|id| Ok((id, timeout(params.timeout_ms)?)));
    let (id, timeout) = match checked {
        Ok(checked) => checked,
        Err(error) => return reply.refuse(error),
    };
    if params.command.trim().is_empty() {
        let error = RpcError::invalid_request("command must not be empty");
        return reply.refuse(error.with(Reason::InvalidParams));
    }
    begin(processor, id, TurnKind::Shell { command: params.command, timeout }, reply);
}

fn timeout(asked_ms: Option<i64>) -> Result<Duration, RpcError> {
    let Some(ms) = asked_ms else { return Ok(limits::USER_COMMAND_TIMEOUT) };
    let ms = u64::try_from(ms).map_err(|_| {
        RpcError::invalid_params(format!("thread/shellCommand timeoutMs must be non-negative, got {ms}"))
    })?;
    Ok(Duration::from_millis(ms).min(limits::USER_COMMAND_TIMEOUT_MAX))
}

/// Starts work that is answered at once, now or after the running turn.
fn begin(processor: &mut Processor, id: ThreadId, kind: TurnKind, reply: Reply) {
    let Some(thread) = processor.threads.get_mut(id) else { return };
    if thread.turn.is_some() {
        if thread.waiting.len() >= limits::TURN_COMMANDS {
            return reply.refuse(RpcError::overloaded());
        }
        thread.waiting.push_back(Waiting::Then(Box::new(move |processor| {
            if processor.threads.get(id).is_some_and(|thread| thread.turn.is_none()) {
                start(processor, id, kind);
            } else {
                tracing::warn!(thread = %id, "work that waited for a turn was dropped: another turn runs");
            }
        })));
    } else {
        start(processor, id, kind);
    }
    reply.send(Ok(EmptyResponse {}));
}

fn start(processor: &mut Processor, id: ThreadId, kind: TurnKind) {
    let input = NewInput { content: Vec::new(), client_id: None };
    launch(processor, Launch { id, kind, input, output_schema: None, starting: Starting::Nobody });
}

/// `review/start`: a turn in which the model reviews, in the thread or apart from it.
pub(in crate::server) fn review(
    processor: &mut Processor,
    caller: Caller,
    params: ReviewStartParams,
    reply: Reply,
) {
    let id = match ready(processor, &params.thread_id) {
        Ok(id) => id,
        Err(error) => return reply.refuse(error),
    };
    let is_apart = params.delivery == Some(ReviewDelivery::Detached);
    if !is_apart && processor.threads.get(id).is_some_and(|thread| thread.turn.is_some()) {
        let error = RpcError::invalid_request("a turn is running; start the review when it has ended");
        return reply.refuse(error.with(Reason::InvalidParams));
    }
    let (title, what) = match params.target {
        ReviewTarget::UncommittedChanges => {
            let what = "the uncommitted changes of the working tree: staged, unstaged and untracked files";
            ("current changes".to_owned(), what.to_owned())
        }
        ReviewTarget::BaseBranch { branch } => (
            format!("changes against '{branch}'"),
            format!("what this branch changes against `{branch}`, from their common ancestor on"),
        ),
        ReviewTarget::Commit { sha, title } => {
            let name = title.map_or_else(|| sha.clone(), |title| format!("{sha}: {title}"));
            (format!("commit {name}"), format!("the commit `{sha}`"))
        }
        ReviewTarget::Custom { instructions } => (instructions.clone(), instructions),
    };
    let input = NewInput { content: review_prompt(&what), client_id: None };
    let kind = TurnKind::Review { title };
    if is_apart {
        return review_apart(processor, caller, id, kind, input, reply);
    }
    let starting = Starting::Review(reply);
    launch(processor, Launch { id, kind, input, output_schema: None, starting });
}

/// `thread/backgroundTerminals/list`: all of them; they are few.
pub(in crate::server) fn terminals(
    processor: &mut Processor,
    _caller: Caller,
    params: BackgroundTerminalsListParams,
) -> Result<BackgroundTerminalsListResponse, RpcError> {
    let thread = loaded(processor, &params.thread_id)?;
    let shown = |one: crate::agent::BackgroundTerminal| ThreadBackgroundTerminal {
        item_id: one.item_id,
        process_id: one.process_id,
        command: one.command,
        cwd: one.cwd,
        os_pid: None,
        cpu_percent: None,
        rss_kb: None,
    };
    let data = thread.terminals.background().into_iter().map(shown).collect();
    Ok(BackgroundTerminalsListResponse { data, next_cursor: None })
}

/// `thread/backgroundTerminals/terminate`.
pub(in crate::server) fn terminate(
    processor: &mut Processor,
    _caller: Caller,
    params: BackgroundTerminalsTerminateParams,
) -> Result<BackgroundTerminalsTerminateResponse, RpcError> {
    let thread = loaded(processor, &params.thread_id)?;
    Ok(BackgroundTerminalsTerminateResponse { terminated: thread.terminals.terminate(&params.process_id) })
}

/// `thread/backgroundTerminals/clean`: ends all of them.
pub(in crate::server) fn clean(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadIdParams,
) -> Result<EmptyResponse, RpcError> {
    loaded(processor, &params.thread_id)?.terminals.clean();
    Ok(EmptyResponse {})
}

/// The thread, if it can be given work.
fn ready(processor: &Processor, thread: &str) -> Result<ThreadId, RpcError> {
    refuse_work(processor)?;
    Ok(loaded(processor, thread)?.id)
}
