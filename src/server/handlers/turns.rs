//! `turn/start`, `turn/steer`, `turn/interrupt`, and what turns tell.

use std::sync::Arc;

use serde_json::json;

use super::thread_life::refuse_work;
use super::thread_settings::{absolute, change, turn_sandbox};
use super::{loaded, thread_id};
use crate::agent::{self, Change, NewInput, Overrides, TurnEvent, TurnId, TurnKind, TurnWork, text_chars};
use crate::limits;
use crate::obs::trace::Context;
use crate::proto::{
    CodexErrorInfo, EmptyResponse, ReviewStartResponse, ThreadStatus, Turn, TurnInterruptParams,
    TurnItemsView, TurnStartParams, TurnStartResponse, TurnStatus, TurnSteerParams, TurnSteerResponse,
    UserInput,
};
use crate::queue::Undelivered;
use crate::rpc::{Reason, Reply, RpcError};
use crate::server::asks::OpenAsk;
use crate::server::dispatch::{Caller, store_refusal};
use crate::server::observe;
use crate::server::processor::Processor;
pub(super) use crate::server::threads::Starting;
use crate::server::threads::{LoadedThread, RunningTurn, Waiting};
use crate::server::view;

/// `turn/start`. The answer comes when the turn is in the store. While a turn runs, the input joins it, and
/// the answer carries the running turn's id.
pub(in crate::server) fn start(
    processor: &mut Processor,
    _caller: Caller,
    params: TurnStartParams,
    reply: Reply,
) {
    begin(processor, params, reply);
}

/// Starts a turn, or lets the input join the running one. What has waited for a turn's end is checked again
/// here: the thread may be gone by then, or the server about to end.
fn begin(processor: &mut Processor, params: TurnStartParams, reply: Reply) {
    if let Err(error) = refuse_work(processor)
        .and_then(|()| loaded(processor, &params.thread_id).map(|_| ()))
        .and_then(|()| refuse_long(&params.input))
    {
        return reply.refuse(error);
    }
    let Some(id) = thread_id(&params.thread_id).ok() else { return };
    let Some(thread) = processor.threads.get_mut(id) else { return };
    if let Some(turn) = &mut thread.turn {
        if turn.has_taken(params.client_user_message_id.as_ref()) {
            observe::name_turn(&reply, &turn.id);
            // Submitted twice, run once: the answer is the same.
            let turn = begun(turn.id);
            return reply.send(Ok(TurnStartResponse { turn }));
        }
        let input =
            NewInput { content: params.input.clone(), client_id: params.client_user_message_id.clone() };
        return match turn.handle.steer(input) {
            Ok(()) => {
                turn.submissions.extend(params.client_user_message_id);
                observe::name_turn(&reply, &turn.id);
                let turn = begun(turn.id);
                reply.send(Ok(TurnStartResponse { turn }));
            }
            Err(Undelivered::Full(_)) => reply.refuse(RpcError::overloaded()),
            // It is about to end: this is the next turn.
            Err(Undelivered::Closed(_)) if thread.waiting.len() < limits::TURN_COMMANDS => {
                thread.waiting.push_back(Waiting::Start(reply, Box::new(params)));
            }
            Err(Undelivered::Closed(_)) => reply.refuse(RpcError::overloaded()),
        };
    }
    match overrides(&params, thread.settings.cwd.as_ref()) {
        Ok(overrides) => change(processor, id, overrides),
        Err(error) => return reply.refuse(error),
    }
    let input = NewInput { content: params.input, client_id: params.client_user_message_id };
    let (output_schema, starting) = (params.output_schema, Starting::Turn(reply));
    launch(processor, Launch { id, kind: TurnKind::Talk, input, output_schema, starting });
}

/// A turn to be started.
pub(super) struct Launch {
    pub(super) id: agent::ThreadId,
    pub(super) kind: TurnKind,
    pub(super) input: NewInput,
    pub(super) output_schema: Option<Box<serde_json::value::RawValue>>,
    pub(super) starting: Starting,
}

/// Starts a turn of a thread that has none.
pub(super) fn launch(processor: &mut Processor, launch: Launch) {
    let Launch { id, kind, input, output_schema, starting } = launch;
    if processor.threads.running_turns() >= limits::TURNS_RUNNING_MAX {
        return starting.refuse(RpcError::limit(format!(
            "{} turns are running, the limit of this server; retry when one has ended",
            limits::TURNS_RUNNING_MAX
        )));
    }
    let Some(thread) = processor.threads.get_mut(id) else { return };
    let turn_id = TurnId::new();
    let submissions = input.client_id.iter().cloned().collect();
    let config = &thread.ground.config;
    let model = thread.ground.current.models.get_or_failing(&thread.settings.model_provider);
    let used_before = thread.token_usage.unwrap_or_default();
    let window = config.model_context_window.or_else(|| model.context_window(&thread.settings.model));
    let by_window = window.map(|tokens| tokens / 100 * limits::COMPACT_AT_PERCENT);
    let trace = Context::below(starting.reply().and_then(Reply::trace));
    if let Some(reply) = starting.reply() {
        observe::name_turn(reply, &turn_id);
    }
    let work = TurnWork {
        trace,
        thread_id: id,
        turn_id,
        kind,
        settings: thread.settings.clone(),
        input,
        used_before,
        compact_at_tokens: config.model_auto_compact_token_limit.or(by_window),
        shows_raw_thoughts: config.show_raw_agent_reasoning,
        compact_first: std::mem::take(&mut thread.too_long),
        home: processor.facts.home.clone().into(),
        output_schema,
        features: config.features.over(processor.facts.switched),
        skills: processor.facts.skills(),
        tools: agent::client_tools(&thread.settings.dynamic_tools),
        spawner: processor.services.spawner.clone(),
        terminals: Arc::clone(&thread.terminals),
        approvals: thread.approvals.clone(),
        mcp: Some(processor.services.mcp.servers().clone()).filter(|mcp| !mcp.is_empty()),
        store: thread.store.clone(),
        model,
        sink: processor.services.events.turn_sink(),
        timer: processor.services.timer.clone(),
        clock: processor.services.clock.clone(),
    };
    match agent::start(work) {
        Ok(handle) => {
            let turn = RunningTurn {
                id: turn_id,
                handle,
                starting: Some(starting),
                started_at_ms: None,
                items: Vec::new(),
                saying: None,
                planning: None,
                submissions,
                asks: Vec::new(),
            };
            processor.threads.begin_turn(id, turn);
            processor.reconsider_unload(id);
        }
        Err(error) => {
            tracing::error!(%error, "a turn's worker could not be started");
            starting.refuse(RpcError::limit(format!("the turn could not be started: {error}; retry later")));
        }
    }
}

/// The turn as its starter is told: nothing has happened yet.
fn begun(id: TurnId) -> Turn {
    Turn {
        id: id.to_string(),
        root_turn_id: Some(id.to_string()),
        items: Vec::new(),
        items_view: TurnItemsView::NotLoaded,
        status: TurnStatus::InProgress,
        error: None,
        started_at: None,
        completed_at: None,
        duration_ms: None,
    }
}

fn overrides(params: &TurnStartParams, cwd: &std::path::Path) -> Result<Overrides, RpcError> {
    Ok(Overrides {
        model: params.model.clone(),
        cwd: params.cwd.as_deref().map(|path| absolute(cwd, path)),
        approval_policy: params.approval_policy,
        approvals_reviewer: params.approvals_reviewer,
        sandbox_mode: turn_sandbox(params.permissions.as_deref(), params.sandbox_policy.as_ref())?,
        sandbox: params.sandbox_policy.clone(),
        reasoning_effort: params.effort.clone(),
        reasoning_summary: params.summary,
        personality: params.personality,
        service_tier: params.service_tier.clone().map(Some),
        collaboration_mode: params.collaboration_mode.clone(),
        ..Overrides::default()
    })
}

pub(super) fn refuse_long(input: &[UserInput]) -> Result<(), RpcError> {
    let chars = text_chars(input);
    if chars <= limits::TURN_INPUT_CHARS_MAX {
        return Ok(());
    }
    let max = limits::TURN_INPUT_CHARS_MAX;
    Err(RpcError::invalid_params(format!("Input exceeds the maximum length of {max} characters.")).with_data(
        json!({
            "input_error_code": "input_too_large",
            "max_chars": max,
            "actual_chars": chars,
            "reason": "inputTooLarge",
        }),
    ))
}

/// `turn/steer`: more input for the turn that the client believes to be running.
pub(in crate::server) fn steer(
    processor: &mut Processor,
    _caller: Caller,
    params: TurnSteerParams,
) -> Result<TurnSteerResponse, RpcError> {
    let id = loaded(processor, &params.thread_id)?.id;
    let refuse = |text: String| Err(RpcError::invalid_request(text).with(Reason::InvalidParams));
    if params.expected_turn_id.is_empty() {
        return refuse("expectedTurnId must not be empty".to_owned());
    }
    if params.input.is_empty() {
        return refuse("input must not be empty".to_owned());
    }
    refuse_long(&params.input)?;
    let Some(turn) = processor.threads.get_mut(id).and_then(|thread| thread.turn.as_mut()) else {
        return refuse("no active turn to steer".to_owned());
    };
    let running = turn.id.to_string();
    observe::name_turn_here(&running);
    if running != params.expected_turn_id {
        return refuse(format!(
            "expected active turn id `{}` but found `{running}`",
            params.expected_turn_id
        ));
    }
    if turn.has_taken(params.client_user_message_id.as_ref()) {
        return Ok(TurnSteerResponse { turn_id: running });
    }
    let input = NewInput { content: params.input, client_id: params.client_user_message_id.clone() };
    match turn.handle.steer(input) {
        Ok(()) => {
            turn.submissions.extend(params.client_user_message_id);
            Ok(TurnSteerResponse { turn_id: running })
        }
        Err(Undelivered::Full(_)) => Err(RpcError::overloaded()),
        Err(Undelivered::Closed(_)) => refuse("no active turn to steer".to_owned()),
    }
}

/// `turn/interrupt`. An empty turn id means whichever turn is being started.
pub(in crate::server) fn interrupt(
    processor: &mut Processor,
    _caller: Caller,
    params: TurnInterruptParams,
) -> Result<EmptyResponse, RpcError> {
    let thread = loaded(processor, &params.thread_id)?;
    let refuse = |text: String| Err(RpcError::invalid_request(text).with(Reason::InvalidParams));
    let Some(turn) = &thread.turn else { return refuse("no active turn to interrupt".to_owned()) };
    let running = turn.id.to_string();
    observe::name_turn_here(&running);
    if !params.turn_id.is_empty() && params.turn_id != running {
        return refuse(format!("expected active turn id {} but found {running}", params.turn_id));
    }
    turn.handle.interrupter.interrupt();
    Ok(EmptyResponse {})
}

impl Processor {
    /// Starts a turn as `turn/start` does.
    pub(in crate::server) fn begin_turn(&mut self, params: TurnStartParams, reply: Reply) {
        begin(self, params, reply);
    }

    /// Keeps the books of a turn and passes on what it says.
    pub(in crate::server) fn on_turn_event(&mut self, event: TurnEvent) {
        let TurnEvent { thread_id: id, turn_id, change, notification } = event;
        let Some(thread) = self.threads.get_mut(id) else { return };
        let Some(turn) = thread.turn.as_mut().filter(|turn| turn.id == turn_id) else {
            // A command that has outlived its turn.
            if let Some(notification) = &notification {
                self.notify_subscribers(id, notification);
            }
            return;
        };
        let mut ended = None;
        match change {
            Change::Streamed => {}
            Change::TextGrew(text) => turn.saying = Some(text),
            Change::PlanGrew(text) => turn.planning = Some(text),
            Change::ItemStarted(item) | Change::ItemCompleted(item) => turn.note_item(item),
            Change::Asked(ask) => return self.on_asked(id, *ask),
            Change::Goal(ask) => return self.on_goal_wish(id, turn_id, *ask),
            Change::TokenUsage(usage) => thread.token_usage = Some(*usage),
            Change::Started { started_at_ms } => {
                turn.started_at_ms = Some(started_at_ms);
                thread.failed = false;
                thread.record.updated_at_ms = started_at_ms;
                thread.record.recency_at_ms = started_at_ms;
                thread.record.turn_count += 1;
                match turn.starting.take() {
                    Some(Starting::Turn(reply)) => {
                        reply.send(Ok(TurnStartResponse { turn: begun(turn_id) }));
                    }
                    Some(Starting::Review(reply)) => {
                        let review_thread_id = id.to_string();
                        reply.send(Ok(ReviewStartResponse { turn: begun(turn_id), review_thread_id }));
                    }
                    Some(Starting::Nobody) | None => {}
                }
                self.agenda_turn_began(id, turn_id);
                let active = ThreadStatus::Active { active_flags: Vec::new() };
                self.broadcast_status(id, &active);
            }
            Change::Repeated(record) => {
                let reply = turn.starting.take();
                self.agenda_repeated(id);
                let open = self.turn_is_over(id);
                self.withdraw_asks(id, open);
                if let Some(Starting::Turn(reply)) = reply {
                    let turn = view::turn(&record, &[], TurnItemsView::NotLoaded, view::Running::Nowhere);
                    let answer = turn.map(|turn| TurnStartResponse { turn });
                    reply.send(answer.map_err(|error| store_refusal(&error)));
                }
                self.begin_waiting(id);
                return self.go_on(id);
            }
            Change::NotStarted(error) => {
                let reply = turn.starting.take();
                let open = self.turn_is_over(id);
                self.withdraw_asks(id, open);
                if let Some(starting) = reply {
                    starting.refuse(store_refusal(&error));
                }
                return self.begin_waiting(id);
            }
            Change::Ended { turn, failure } => {
                thread.failed = turn.status == TurnStatus::Failed;
                let why = turn.error.as_ref().and_then(|error| error.codex_error_info.as_ref());
                thread.too_long = why == Some(&CodexErrorInfo::ContextWindowExceeded);
                self.agenda_turn_ended(id, &turn);
                if turn.status == TurnStatus::Completed {
                    self.tell_unread(id, &turn.id);
                }
                ended = Some(self.turn_is_over(id));
                if let Some(status) = self.threads.get(id).map(LoadedThread::status) {
                    self.broadcast_status(id, &status);
                }
                if let Some(failure) = &failure {
                    self.notify_subscribers(id, failure);
                }
                if turn.status == TurnStatus::Failed {
                    self.tell_unread(id, &turn.id);
                }
            }
        }
        if let Some(notification) = &notification {
            self.notify_subscribers(id, notification);
        }
        if let Some(open) = ended {
            self.withdraw_asks(id, open);
            self.begin_waiting(id);
            self.go_on(id);
        }
    }

    /// Takes a turn that is over out of its thread, and returns what it has left open.
    fn turn_is_over(&mut self, id: agent::ThreadId) -> Vec<OpenAsk> {
        let Some(turn) = self.threads.end_turn(id) else { return Vec::new() };
        self.threads.touch(id, self.services.clock.now());
        // The worker has told its last; it is joined when it has returned.
        self.leaving.retain(|worker| !worker.has_ended());
        self.leaving.push(turn.handle.worker);
        turn.asks
    }

    /// Starts what came too late for the turn that has just ended.
    fn begin_waiting(&mut self, id: agent::ThreadId) {
        // Taken out first: one of them may take the thread away, and the others still have to be answered.
        let waiting = self.threads.get_mut(id).map(|thread| std::mem::take(&mut thread.waiting));
        for waiting in waiting.into_iter().flatten() {
            match waiting {
                Waiting::Start(reply, params) => begin(self, *params, reply),
                // One before it may have begun a turn.
                Waiting::Then(then) => self.when_quiet(id, then),
            }
        }
        self.reconsider_unload(id);
    }
}
