//! `thread/start`, `thread/resume`, `thread/name/set`, `thread/unsubscribe`: what makes, loads and lets go.

use serde::Serialize;

use super::thread_settings::{
    absolute, resume_overrides, settings_text, start_settings, stored_settings, unload_delay,
};
use super::{loaded, session_id, thread_id, thread_not_found};
use crate::agent::{Overrides, ThreadId};
use crate::proto::{
    EmptyResponse, ThreadHistoryMode, ThreadIdParams, ThreadNameUpdated, ThreadResumeParams,
    ThreadSetNameParams, ThreadStartParams, ThreadStarted, ThreadTokenUsageUpdated,
    ThreadUnsubscribeResponse, ThreadUnsubscribeStatus, TurnItemsView, TurnsPage,
};
use crate::rpc::{Reason, Reply, RpcError};
use crate::server::agenda::Agenda;
use crate::server::configuration::Ground;
use crate::server::dispatch::{Caller, store_refusal};
use crate::server::processor::Processor;
use crate::server::threads::{Idle, LoadedThread};
use crate::server::view::{EncodedTurns, Running};
use crate::server::{PROTOCOL_RELEASE, view};
use crate::store::{
    AgendaRecord, Database, Direction, LatestCursors, StoreError, StoreHandle, ThreadRecord, TurnPage,
    TurnQuery, TurnState,
};

/// `thread/start`: the thread is in the store before its client hears of it.
pub(in crate::server) fn start(
    processor: &mut Processor,
    caller: Caller,
    params: ThreadStartParams,
    reply: Reply,
) {
    if let Err(error) = refuse_work(processor) {
        return reply.refuse(error);
    }
    let cwd = place(processor, params.cwd.as_deref(), /*stored*/ None);
    processor.with_ground(caller, reply, cwd, move |processor, reply, ground| {
        start_on(processor, caller, params, ground, reply);
    });
}

/// Where a thread works: as its client says, else as it did, else where the server does.
pub(super) fn place(processor: &Processor, asked: Option<&str>, stored: Option<String>) -> String {
    let own = &processor.facts.defaults.cwd;
    match asked {
        Some(asked) => absolute(own.as_ref(), asked),
        None => stored.unwrap_or_else(|| own.clone()),
    }
}

fn start_on(
    processor: &mut Processor,
    caller: Caller,
    params: ThreadStartParams,
    ground: Ground,
    reply: Reply,
) {
    // The end may have begun while the files were looked at.
    let prepared = refuse_work(processor)
        .and_then(|()| Ok((start_settings(processor, &ground, &params)?, unload_delay(&ground, &params)?)));
    let (settings, unload_delay) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return reply.refuse(error),
    };
    let id = ThreadId::new();
    let now = processor.services.clock.wall_ms();
    let originator = processor
        .sessions
        .get(caller.connection)
        .and_then(|session| session.client.as_ref())
        .map(|client| client.name.clone());
    let record = ThreadRecord {
        id: id.to_string(),
        session_id: id.to_string(),
        model_provider: settings.model_provider.clone(),
        model: settings.model.clone(),
        reasoning_effort: settings.reasoning_effort.as_ref().map(|effort| effort.as_str().to_owned()),
        cwd: settings.cwd.clone(),
        source: view::source_text(&processor.facts.source),
        thread_source: params.thread_source,
        originator,
        cli_version: PROTOCOL_RELEASE.to_owned(),
        history_mode: view::history_mode_text(params.history_mode.unwrap_or(ThreadHistoryMode::Paginated))
            .to_owned(),
        created_at_ms: now,
        updated_at_ms: now,
        recency_at_ms: now,
        settings: settings_text(&settings),
        ..ThreadRecord::default()
    };
    let ephemeral = params.ephemeral.unwrap_or(false);
    let store =
        if ephemeral { processor.services.store.ephemeral() } else { processor.services.store.clone() };
    let kept = store.clone();
    processor.write_then(
        &store,
        reply,
        move |database| {
            database.insert_thread(&record)?;
            database.claim(&record.id)?;
            Ok(record)
        },
        move |processor, reply, record| {
            let idle = Idle::new(unload_delay, processor.services.clock.now());
            let rules = &processor.services.rules;
            let thread = LoadedThread::new(id, record, settings, ground, kept, ephemeral, rules, idle);
            let shown = view::loaded(&thread);
            let answer = view::started(shown.clone(), &thread.settings, &thread.ground);
            processor.add_thread(thread, Some(caller.connection));
            reply.send(Ok(Numbered::new(processor, caller, id, answer, /*replay*/ None)));
            processor.broadcast_of(id, &ThreadStarted { thread: &shown });
        },
    );
}

/// `thread/resume`: loads a stored thread, or joins one that is loaded.
pub(in crate::server) fn resume(
    processor: &mut Processor,
    caller: Caller,
    params: ThreadResumeParams,
    reply: Reply,
) {
    let id = match refuse_history(&params).and_then(|()| session_id(&params.thread_id)) {
        Ok(id) => id,
        Err(error) => return reply.refuse(error),
    };
    if processor.threads.get(id).is_some() {
        return resume_on(processor, caller, id, params, /*ground*/ None, reply);
    }
    let (store, text) = (processor.services.store.clone(), id.to_string());
    let read = move |database: &Database| Ok(database.thread(&text)?.map(|record| record.cwd));
    processor.read_then(&store, reply, read, move |processor, reply, stored| {
        let cwd = place(processor, params.cwd.as_deref(), stored);
        processor.with_ground(caller, reply, cwd, move |processor, reply, ground| {
            resume_on(processor, caller, id, params, Some(ground), reply);
        });
    });
}

fn resume_on(
    processor: &mut Processor,
    caller: Caller,
    id: ThreadId,
    params: ThreadResumeParams,
    ground: Option<Ground>,
    reply: Reply,
) {
    let overrides = match resume_overrides(processor, &params) {
        Ok(overrides) => overrides,
        Err(error) => return reply.refuse(error),
    };
    if let Some(seq) = params.after_seq.filter(|seq| processor.can_replay(caller.connection, id, *seq)) {
        return resume_with_events(processor, caller, id, seq, reply);
    }
    let joined = processor.threads.get(id).map(|thread| thread.store.clone());
    let is_loaded = joined.is_some();
    let store = joined.unwrap_or_else(|| processor.services.store.clone());
    let now = processor.services.clock.wall_ms();
    let text = id.to_string();
    let pages = Pages::of(&params);
    let work = move |database: &mut Database| {
        let mut record = database
            .thread(&text)?
            .ok_or_else(|| StoreError::NotFound { what: "thread", id: text.clone() })?;
        if !is_loaded {
            database.claim(&text)?;
            // Whatever is still open was left by a process that is dead.
            database.interrupt_open_turns(&text, now)?;
        }
        let mut stored = Stored::read(database, &text, &pages)?;
        if !is_loaded {
            record.epoch = database.begin_epoch(&text)?;
            stored.agenda = Some(database.agenda(&text)?);
        }
        Ok((record, stored))
    };
    processor.write_then(
        &store,
        reply,
        move |database| Ok(work(database)),
        move |processor, reply, read| match read {
            // It was unloaded meanwhile, and has to be loaded with all that this takes.
            Ok(_) if is_loaded && processor.threads.get(id).is_none() => {
                resume(processor, caller, params, reply);
            }
            Ok((record, stored)) => {
                let ground = ground.unwrap_or_else(|| Ground::usual(&processor.facts));
                finish_resume(processor, caller, id, record, stored, (overrides, ground), reply);
            }
            Err(StoreError::NotFound { .. }) => {
                reply.refuse(thread_not_found(format!("no rollout found for thread id {id}")));
            }
            Err(error) => reply.refuse(store_refusal(&error)),
        },
    );
}

/// Which parts of the stored turns a client wants with its answer.
struct Pages {
    all_turns: bool,
    first: Option<TurnQuery>,
}

/// What the store knew when a thread was resumed.
struct Stored {
    /// Made ready on the store's worker, because a long history takes its time.
    turns: EncodedTurns,
    first: Option<FirstPage>,
    cursors: LatestCursors,
    /// What it is to do next, for a thread that was not loaded.
    agenda: Option<AgendaRecord>,
}

impl Pages {
    fn of(params: &ThreadResumeParams) -> Self {
        let first = params.initial_turns_page.as_ref().map(|page| TurnQuery {
            limit: super::page_limit(page.limit),
            direction: super::thread_lists::direction(page.sort_direction, Direction::Descending),
            items: super::thread_lists::items_view(page.items_view).0,
            ..TurnQuery::default()
        });
        Self { all_turns: !params.exclude_turns, first }
    }
}

impl Stored {
    fn read(database: &Database, thread: &str, pages: &Pages) -> Result<Self, StoreError> {
        Ok(Self {
            turns: if pages.all_turns {
                EncodedTurns::new(database.all_turns(thread)?)?
            } else {
                EncodedTurns::default()
            },
            first: match &pages.first {
                Some(query) => Some(FirstPage::new(&database.turns_page(thread, query)?)?),
                None => None,
            },
            cursors: database.latest_cursors(thread)?,
            agenda: None,
        })
    }
}

/// The first page of turns, encoded.
struct FirstPage {
    /// With every turn at rest.
    at_rest: Vec<u8>,
    /// With the turn of this id running, if one of them may run.
    running: Option<(String, Vec<u8>)>,
}

impl FirstPage {
    fn new(page: &TurnPage) -> Result<Self, StoreError> {
        let encode = |running: Running<'_>| {
            let shown = TurnsPage {
                data: view::turns(&page.turns, TurnItemsView::Summary, running)?,
                next_cursor: page.next_cursor.clone(),
                backwards_cursor: page.backwards_cursor.clone(),
            };
            serde_json::to_vec(&shown)
                .map_err(|error| StoreError::Corrupt(format!("a page of turns cannot be encoded: {error}")))
        };
        let mut turns = page.turns.iter().map(|(turn, _)| turn);
        let open = turns.find(|turn| turn.state == TurnState::InProgress);
        let running = match open {
            Some(turn) => Some((turn.id.clone(), encode(Running::Here(&turn.id))?)),
            None => None,
        };
        Ok(Self { at_rest: encode(Running::Nowhere)?, running })
    }

    /// The page while this turn runs, or none.
    fn text(&self, running: Option<&str>) -> &[u8] {
        match &self.running {
            Some((id, text)) if running == Some(id) => text,
            _ => &self.at_rest,
        }
    }
}

/// An answer with the thread's number, for who wants numbers: what is said after it has higher ones.
#[derive(Serialize)]
pub(super) struct Numbered<T> {
    #[serde(flatten)]
    answer: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
}

impl<T> Numbered<T> {
    pub(super) fn new(
        processor: &Processor,
        caller: Caller,
        id: ThreadId,
        answer: T,
        replay: Option<&'static str>,
    ) -> Self {
        let seq = processor.seq_for(caller.connection, id);
        Self { answer, replay: replay.filter(|_| seq.is_some()), seq }
    }
}

/// The client knows all up to `seq`: the answer has no history, and what came later follows it.
fn resume_with_events(processor: &mut Processor, caller: Caller, id: ThreadId, seq: u64, reply: Reply) {
    let Some(thread) = processor.threads.get(id) else { return };
    let answer = view::resumed(view::loaded(thread), &thread.settings, &thread.ground);
    processor.subscribe(caller.connection, id);
    reply.send(Ok(Numbered::new(processor, caller, id, answer, Some("events"))));
    processor.replay_to(caller.connection, id, seq);
    processor.replay_asks(caller.connection, id);
}

fn finish_resume(
    processor: &mut Processor,
    caller: Caller,
    id: ThreadId,
    record: ThreadRecord,
    mut stored: Stored,
    with: (Overrides, Ground),
    reply: Reply,
) {
    if processor.threads.get(id).is_none() {
        match load(processor, id, record, with) {
            Ok(mut thread) => {
                thread.agenda = Agenda::new(stored.agenda.take().unwrap_or_default());
                processor.add_thread(thread, /*subscriber*/ None);
                processor.broadcast_status(id, &crate::proto::ThreadStatus::Idle);
            }
            Err(error) => return reply.refuse(error),
        }
    }
    let Some(thread) = processor.threads.get(id) else { return };
    // The snapshot and the subscription are made in one step of the processor: no event is missed or doubled.
    // The running turn is shown from the processor's own books, the others from the store.
    let running = thread.running_turn();
    match (view::running_turn(thread), &running) {
        (Some(turn), _) => {
            if let Err(error) = stored.turns.show_running(&turn) {
                return reply.refuse(store_refusal(&error));
            }
        }
        // It is in the store, and that it has started is told after this answer.
        (None, Some(starting)) => stored.turns.leave_out(starting),
        (None, None) => {}
    }
    let mut answer = view::resumed(view::loaded(thread), &thread.settings, &thread.ground);
    answer.turns_backwards_cursor = stored.cursors.turns;
    answer.items_backwards_cursor = stored.cursors.items;
    let usage = thread.token_usage.zip(stored.turns.last().map(str::to_owned));
    processor.subscribe(caller.connection, id);
    let answer = Numbered::new(processor, caller, id, answer, Some("snapshot"));
    let first = stored.first.as_ref().map(|page| ("initialTurnsPage", page.text(running.as_deref())));
    stored.turns.answer(reply, &answer, first);
    if let Some((usage, turn_id)) = usage {
        let updated =
            ThreadTokenUsageUpdated { thread_id: &id.to_string(), turn_id: &turn_id, token_usage: &usage };
        if let (Some(encoded), Some(session)) =
            (processor.encode(&updated), processor.sessions.get(caller.connection))
        {
            session.notify(&encoded);
        }
    }
    processor.replay_asks(caller.connection, id);
    if let Some(goal) = processor.threads.get(id).and_then(|thread| thread.agenda.goal.clone()) {
        processor.tell_goal(id, /*turn*/ None, &goal);
    }
    processor.go_on(id);
}

fn load(
    processor: &Processor,
    id: ThreadId,
    mut record: ThreadRecord,
    (overrides, ground): (Overrides, Ground),
) -> Result<LoadedThread, RpcError> {
    if record.archived {
        return Err(RpcError::invalid_request(format!(
            "session {id} is archived; unarchive it first (thread/unarchive)"
        ))
        .with(Reason::ThreadNotFound));
    }
    let defaults = &ground.defaults;
    let mut settings = stored_settings(&record, defaults);
    settings.apply(overrides, defaults);
    record.model.clone_from(&settings.model);
    record.model_provider.clone_from(&settings.model_provider);
    record.cwd.clone_from(&settings.cwd);
    let idle = Idle::new(ground.config.thread_unload_delay, processor.services.clock.now());
    let store = processor.services.store.clone();
    Ok(LoadedThread::new(
        id,
        record,
        settings,
        ground,
        store,
        /*ephemeral*/ false,
        &processor.services.rules,
        idle,
    ))
}

/// `thread/name/set`.
pub(in crate::server) fn set_name(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadSetNameParams,
    reply: Reply,
) {
    let name = params.name.trim().to_owned();
    if name.is_empty() {
        let error = RpcError::invalid_request("thread name must not be empty").with(Reason::InvalidParams);
        return reply.refuse(error);
    }
    let id = match thread_id(&params.thread_id) {
        Ok(id) => id,
        Err(error) => return reply.refuse(error),
    };
    let store = store_of(processor, id);
    let (text, written) = (id.to_string(), name.clone());
    processor.write_then(
        &store,
        reply,
        move |database| database.set_name(&text, Some(&written)),
        move |processor, reply, found| {
            if !found {
                return reply.refuse(thread_not_found(format!("no rollout found for thread id {id}")));
            }
            if let Some(thread) = processor.threads.get_mut(id) {
                thread.record.name = Some(name.clone());
            }
            reply.send(Ok(EmptyResponse {}));
            processor.broadcast_of(
                id,
                &ThreadNameUpdated { thread_id: &id.to_string(), thread_name: Some(&name) },
            );
        },
    );
}

/// `thread/unsubscribe`: the thread stays loaded and its turn goes on.
pub(in crate::server) fn unsubscribe(
    processor: &mut Processor,
    caller: Caller,
    params: ThreadIdParams,
) -> Result<ThreadUnsubscribeResponse, RpcError> {
    let id = thread_id(&params.thread_id)?;
    if loaded(processor, &params.thread_id).is_err() {
        return Ok(ThreadUnsubscribeResponse { status: ThreadUnsubscribeStatus::NotLoaded });
    }
    let status = if processor.unsubscribe(caller.connection, id) {
        ThreadUnsubscribeStatus::Unsubscribed
    } else {
        ThreadUnsubscribeStatus::NotSubscribed
    };
    Ok(ThreadUnsubscribeResponse { status })
}

/// Where a thread is written down: a loaded one knows, any other is on disk.
pub(super) fn store_of(processor: &Processor, id: ThreadId) -> StoreHandle {
    processor.threads.get(id).map_or_else(|| processor.services.store.clone(), |thread| thread.store.clone())
}

/// Refuses new work while the server is going down, with the reference's words.
pub(super) fn refuse_work(processor: &Processor) -> Result<(), RpcError> {
    if processor.ending.takes_work() {
        return Ok(());
    }
    Err(RpcError::invalid_request("Server is draining; retry after reconnecting")
        .with(Reason::ServerShuttingDown))
}

fn refuse_history(params: &ThreadResumeParams) -> Result<(), RpcError> {
    let given = match (&params.history, &params.path) {
        (Some(_), _) => "history",
        (None, Some(_)) => "path",
        (None, None) => return Ok(()),
    };
    Err(RpcError::invalid_request(format!(
        "thread/resume.{given} is not supported by this server: threads are resumed by their id"
    ))
    .with(Reason::UnsupportedMethod))
}
