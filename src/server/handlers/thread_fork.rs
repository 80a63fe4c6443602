//! `thread/fork`, and what else begins as a copy of a thread: a review apart from it. Runs on the processor;
//! the store's worker reads and writes.

use super::session_id;
use super::thread_family::{is_ephemeral, no_rollout};
use super::thread_life::{Numbered, place, refuse_work, store_of};
use super::thread_settings::{override_settings, settings_text, stored_settings};
use super::turns::{Launch, Starting, launch};
use crate::agent::{NewInput, Settings, ThreadId, TurnKind};
use crate::proto::{ThreadForkParams, ThreadStarted};
use crate::rpc::{Reason, Reply, RpcError};
use crate::server::configuration::Ground;
use crate::server::dispatch::Caller;
use crate::server::processor::Processor;
use crate::server::threads::{Idle, LoadedThread};
use crate::server::{PROTOCOL_RELEASE, view};
use crate::store::{ConversationEntry, Database, ItemRecord, ThreadRecord, TurnRecord};

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
    let ends = (params.last_turn_id.clone(), params.before_turn_id.clone());
    read_source(processor, id, ends, reply, move |processor, reply, source| {
        let cwd = place(processor, params.cwd.as_deref(), Some(source.record.cwd.clone()));
        processor.with_ground(caller, reply, cwd, move |processor, reply, ground| {
            write_fork(processor, caller, &params, source, ground, reply);
        });
    });
}

/// Reads a thread up to one of two turns, or all of it.
fn read_source(
    processor: &mut Processor,
    id: ThreadId,
    (last, before): (Option<String>, Option<String>),
    reply: Reply,
    then: impl FnOnce(&mut Processor, Reply, Source) + Send + 'static,
) {
    let store = store_of(processor, id);
    let text = id.to_string();
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
        Some(Ok(source)) => then(processor, reply, source),
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
    let mut settings = stored_settings(&source.record, &ground.defaults);
    if let Err(error) = override_settings(processor, &ground, &mut settings, params) {
        return reply.refuse(error);
    }
    let thread_source = params.thread_source.clone();
    let (exclude_turns, ephemeral) = (params.exclude_turns, params.ephemeral);
    let copy = Copied { source, settings, ground, thread_source, ephemeral, exclude_turns };
    copy.write(processor, reply, move |processor, reply, thread, turns| {
        let (id, shown) = (thread.id, view::loaded(&thread));
        let answer = view::started(shown.clone(), &thread.settings, &thread.ground);
        processor.add_thread(thread, Some(caller.connection));
        let answer = Numbered::new(processor, caller, id, answer, /*replay*/ None);
        turns.answer(reply, &answer, /*filling*/ None);
        processor.broadcast_of(id, &ThreadStarted { thread: &shown });
    });
}

/// Starts a review in a new thread that knows the conversation so far; the thread itself, and a turn that
/// runs in it, are left alone.
pub(super) fn review_apart(
    processor: &mut Processor,
    caller: Caller,
    id: ThreadId,
    kind: TurnKind,
    input: NewInput,
    reply: Reply,
) {
    if is_ephemeral(processor, id) {
        let text = "a thread that is only in memory cannot be reviewed apart; leave `delivery` out";
        return reply.refuse(RpcError::invalid_request(text).with(Reason::InvalidParams));
    }
    read_source(processor, id, (None, None), reply, move |processor, reply, source| {
        let cwd = place(processor, /*asked*/ None, Some(source.record.cwd.clone()));
        processor.with_ground(caller, reply, cwd, move |processor, reply, ground| {
            let settings = stored_settings(&source.record, &ground.defaults);
            let thread_source = source.record.thread_source.clone();
            let (ephemeral, exclude_turns) = (false, true);
            let copy = Copied { source, settings, ground, thread_source, ephemeral, exclude_turns };
            copy.write(processor, reply, move |processor, reply, thread, _| {
                let (id, shown) = (thread.id, view::loaded(&thread));
                processor.add_thread(thread, Some(caller.connection));
                processor.broadcast_of(id, &ThreadStarted { thread: &shown });
                let starting = Starting::Review(reply);
                launch(processor, Launch { id, kind, input, output_schema: None, starting });
            });
        });
    });
}

/// A thread that begins as a copy of another.
struct Copied {
    source: Source,
    settings: Settings,
    ground: Ground,
    thread_source: Option<String>,
    ephemeral: bool,
    /// Nobody wants to see the turns.
    exclude_turns: bool,
}

impl Copied {
    fn write(
        self,
        processor: &mut Processor,
        reply: Reply,
        then: impl FnOnce(&mut Processor, Reply, LoadedThread, view::EncodedTurns) + Send + 'static,
    ) {
        let Self { source, settings, ground, thread_source, ephemeral, exclude_turns } = self;
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
            thread_source,
            cli_version: PROTOCOL_RELEASE.to_owned(),
            created_at_ms: now,
            updated_at_ms: now,
            recency_at_ms: now,
            settings: settings_text(&settings),
            turn_count: i64::try_from(source.turns.len()).unwrap_or(i64::MAX),
            ..source.record
        };
        let services = &processor.services;
        let store = if ephemeral { services.store.ephemeral() } else { services.store.clone() };
        let kept = store.clone();
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
            then(processor, reply, thread, turns);
        });
    }
}
