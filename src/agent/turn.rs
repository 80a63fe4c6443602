//! The turn engine: from the user's input to the end of the turn, on a worker of its own.
//!
//! What is told as completed is in the store before it is told. A turn ends exactly once, also when it is
//! interrupted, fails or panics.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use uuid::Uuid;

use super::event::{Change, Encoded, EventSink, ListenerGone, TurnEvent};
use super::history::model_input;
use super::ids::{ThreadId, TurnId};
use super::items;
use super::live::LiveText;
use super::settings::Settings;
use crate::clock::Clock;
use crate::limits;
use crate::model::{
    Cancel, Canceller, ModelClient, ModelError, ModelEvent, ModelRequest, Usage, cancellation,
};
use crate::proto::{
    AgentMessageDelta, CodexErrorInfo, ErrorNotification, ItemBody, ItemCompleted, ItemStarted, Notification,
    ThreadItem, ThreadTokenUsage, ThreadTokenUsageUpdated, TokenUsageBreakdown, Turn, TurnCompleted,
    TurnError, TurnItemsView, TurnStarted, TurnStatus, UserInput,
};
use crate::queue::Mailbox;
use crate::store::{NewTurn, StoreError, StoreHandle, TurnEnd, TurnRecord, TurnState};
use crate::sys::worker::Worker;

/// What the user says in one message.
#[derive(Debug, Clone)]
pub struct NewInput {
    /// The words, pictures and so on.
    pub content: Vec<UserInput>,
    /// The client's own id for it.
    pub client_id: Option<String>,
}

/// A turn to run.
pub struct TurnWork {
    /// The thread.
    pub thread_id: ThreadId,
    /// The turn.
    pub turn_id: TurnId,
    /// How it runs.
    pub settings: Settings,
    /// What sets it off.
    pub input: NewInput,
    /// Tokens that the thread has used so far.
    pub used_before: TokenUsageBreakdown,
    /// Where it is written down.
    pub store: StoreHandle,
    /// Who answers.
    pub model: Arc<dyn ModelClient>,
    /// Who is told.
    pub sink: Arc<dyn EventSink>,
    /// The time.
    pub clock: Clock,
}

/// A running turn, as its owner holds it. Who lets go of it interrupts it and waits for its worker.
#[derive(Debug)]
pub struct TurnHandle {
    /// Stops it; before `worker`, whose drop waits.
    pub interrupter: Interrupter,
    /// Takes more input while it runs. Closed when the turn is about to end.
    pub mailbox: Mailbox<NewInput>,
    /// Its worker; it has ended, or is about to, once [`Change::Ended`] was told.
    pub worker: Worker,
}

/// Interrupts a turn, also when it is dropped: an owner that panics must not wait for the turn's own end.
#[derive(Debug)]
pub struct Interrupter(Canceller);

impl Interrupter {
    /// Stops the turn; it ends as interrupted if it has not ended by itself.
    pub fn interrupt(&self) {
        self.0.cancel();
    }
}

impl Drop for Interrupter {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Starts a turn on a worker of its own.
///
/// # Errors
/// The operating system's refusal to start a worker.
pub fn start(work: TurnWork) -> io::Result<TurnHandle> {
    let (canceller, cancel) = cancellation(work.clock.clone());
    let mailbox = Mailbox::new(limits::TURN_COMMANDS);
    let id = work.turn_id.to_string();
    // The last digits are the random ones.
    let name = format!("turn-{}", &id[id.len() - 6..]);
    let worker = Worker::spawn(name, limits::STACK_BYTES_WORK, {
        let mailbox = mailbox.clone();
        move || Engine::new(work, cancel, mailbox).run()
    })?;
    Ok(TurnHandle { interrupter: Interrupter(canceller), mailbox, worker })
}

/// Why a turn stops before its time.
enum Stop {
    Interrupted,
    Failed(TurnError),
}

impl From<ListenerGone> for Stop {
    fn from(_: ListenerGone) -> Self {
        Self::Interrupted
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(TurnError {
            message: format!("the turn could not be written to the store: {error}"),
            codex_error_info: Some(CodexErrorInfo::Other),
            ..TurnError::default()
        })
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        Self::Failed(internal(format!("an item could not be encoded: {error}")))
    }
}

fn internal(message: String) -> TurnError {
    TurnError { message, codex_error_info: Some(CodexErrorInfo::InternalServerError), ..TurnError::default() }
}

struct Engine {
    work: TurnWork,
    cancel: Cancel,
    mailbox: Mailbox<NewInput>,
    thread_id: String,
    turn_id: String,
    started_at_ms: i64,
    usage: ThreadTokenUsage,
    last_message: Option<Arc<ThreadItem>>,
    /// The message that the model is saying.
    open: Option<OpenMessage>,
}

struct OpenMessage {
    /// As the model calls it; the item has an id of its own if that one is taken.
    model_id: String,
    item_id: String,
    started_at_ms: i64,
    text: LiveText,
}

impl Engine {
    fn new(work: TurnWork, cancel: Cancel, mailbox: Mailbox<NewInput>) -> Self {
        Self {
            cancel,
            mailbox,
            thread_id: work.thread_id.to_string(),
            turn_id: work.turn_id.to_string(),
            started_at_ms: work.clock.wall_ms(),
            usage: ThreadTokenUsage {
                total: work.used_before,
                last: TokenUsageBreakdown::default(),
                model_context_window: work.model.context_window(&work.settings.model),
            },
            last_message: None,
            open: None,
            work,
        }
    }

    fn run(mut self) {
        match self.write_start() {
            Ok(None) => {}
            Ok(Some(turn)) => {
                let _ = self.tell(Change::Repeated(Box::new(turn)), /*notification*/ None);
                return;
            }
            Err(error) => {
                let _ = self.tell(Change::NotStarted(error), /*notification*/ None);
                return;
            }
        }
        // What a panic leaves behind is only read to say that the turn ended.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.converse())).unwrap_or_else(|_| {
            Err(Stop::Failed(internal(
                "the turn stopped by an internal error; this is a bug of the server".to_owned(),
            )))
        });
        self.end(outcome);
    }

    /// The turn is in the store before anybody hears of it. What was submitted under the same id before is
    /// not run again; its turn is returned.
    fn write_start(&mut self) -> Result<Option<TurnRecord>, StoreError> {
        let preview = items::preview(&self.work.input.content);
        let (thread_id, turn_id) = (self.thread_id.clone(), self.turn_id.clone());
        let client_id = self.work.input.client_id.clone();
        let started_at_ms = self.started_at_ms;
        self.work.store.call_write(move |database| {
            if let Some(client_id) = &client_id
                && let Some(turn) = database.turn_by_client_id(&thread_id, client_id)?
            {
                return Ok(Some(turn));
            }
            let turn = NewTurn {
                id: &turn_id,
                started_at_ms,
                preview_if_first: preview.as_deref(),
                client_id: client_id.as_deref(),
            };
            database.start_turn(&thread_id, &turn, &[]).map(|_| None)
        })
    }

    fn converse(&mut self) -> Result<(), Stop> {
        let turn = self.turn(TurnStatus::InProgress, /*error*/ None, /*completed_at_ms*/ None);
        let started = TurnStarted { thread_id: &self.thread_id, turn: &turn };
        let notification = self.encode(&started);
        self.tell(Change::Started { started_at_ms: self.started_at_ms }, notification)?;
        let input =
            std::mem::replace(&mut self.work.input, NewInput { content: Vec::new(), client_id: None });
        self.add_input(input)?;
        loop {
            self.ask_model()?;
            if !self.take_input()? {
                return Ok(());
            }
        }
    }

    /// Takes what came in while the model spoke. False if that is nothing, and then nothing can come any
    /// more: the model is asked again only if it has something new to answer.
    fn take_input(&mut self) -> Result<bool, Stop> {
        let mut more = false;
        loop {
            match self.mailbox.take() {
                Some(input) => {
                    self.note_submission(&input)?;
                    self.add_input(input)?;
                    more = true;
                }
                None if more => return Ok(true),
                None if self.mailbox.close_if_empty() => return Ok(false),
                // Something came between the two looks.
                None => {}
            }
        }
    }

    /// Keeps the id of what joined the turn; the one that began it was kept with the start.
    fn note_submission(&self, input: &NewInput) -> Result<(), Stop> {
        let Some(client_id) = input.client_id.clone() else { return Ok(()) };
        let (thread_id, turn_id) = (self.thread_id.clone(), self.turn_id.clone());
        let noted = self
            .work
            .store
            .call_write(move |database| database.add_submission(&thread_id, &turn_id, &client_id));
        Ok(noted?)
    }

    fn add_input(&mut self, input: NewInput) -> Result<(), Stop> {
        if input.content.is_empty() {
            return Ok(());
        }
        let id = Uuid::now_v7().to_string();
        let body = items::user_message(id, input.client_id, input.content);
        let now = self.work.clock.wall_ms();
        self.start_item(body.clone(), now)?;
        self.complete_item(body, now, now)?;
        Ok(())
    }

    fn ask_model(&mut self) -> Result<(), Stop> {
        let thread_id = self.thread_id.clone();
        let history = self.work.store.call_read(move |database| database.history(&thread_id))?;
        let request = ModelRequest {
            model: self.work.settings.model.clone(),
            input: model_input(&history),
            conversation_id: self.thread_id.clone(),
            ..ModelRequest::default()
        };
        drop(history);
        let outcome = self.stream(&request);
        if outcome.is_err() {
            // What the model had said when it was stopped is kept.
            if let Some(open) = self.open.take() {
                self.complete_message(open)?;
            }
        }
        outcome
    }

    fn stream(&mut self, request: &ModelRequest) -> Result<(), Stop> {
        let mut stream = self.work.model.stream(request, &self.cancel).map_err(model_stop)?;
        while let Some(event) = stream.next(&self.cancel).map_err(model_stop)? {
            match event {
                ModelEvent::TextDelta { id, delta } => self.message_grows(id, &delta)?,
                ModelEvent::MessageDone { id, text, .. } => self.message_done(id, text)?,
                ModelEvent::Completed { usage } => self.count(usage)?,
                // No tool is offered and no thought is asked for.
                other => tracing::debug!(?other, "what the model says is left out"),
            }
        }
        Ok(())
    }

    fn message_grows(&mut self, model_id: String, delta: &str) -> Result<(), Stop> {
        if self.open.as_ref().is_none_or(|open| open.model_id != model_id) {
            if let Some(open) = self.open.take() {
                self.complete_message(open)?;
            }
            self.open_message(model_id)?;
        }
        let Some(OpenMessage { item_id, text, .. }) = &self.open else { return Ok(()) };
        let grown_to = text.push(delta);
        let grown = AgentMessageDelta { thread_id: &self.thread_id, turn_id: &self.turn_id, item_id, delta };
        let notification = self.encode(&grown);
        Ok(self.tell(Change::TextGrew(grown_to), notification)?)
    }

    fn message_done(&mut self, model_id: String, text: String) -> Result<(), Stop> {
        let open = match self.open.take() {
            Some(open) if open.model_id == model_id => open,
            other => {
                if let Some(other) = other {
                    self.complete_message(other)?;
                }
                self.open_message(model_id)?;
                let Some(open) = self.open.take() else { return Ok(()) };
                open
            }
        };
        self.complete_message_as(open, text)
    }

    fn open_message(&mut self, model_id: String) -> Result<(), Stop> {
        // Models number their messages per response; items need an id of their own within the thread.
        let item_id = format!("msg_{}", Uuid::now_v7().simple());
        let started_at_ms = self.work.clock.wall_ms();
        self.start_item(items::agent_message(item_id.clone(), String::new()), started_at_ms)?;
        self.open = Some(OpenMessage { model_id, item_id, started_at_ms, text: LiveText::default() });
        Ok(())
    }

    /// Completes a message with what was streamed of it.
    fn complete_message(&mut self, open: OpenMessage) -> Result<(), Stop> {
        let text = open.text.all();
        self.complete_message_as(open, text)
    }

    fn complete_message_as(&mut self, open: OpenMessage, text: String) -> Result<(), Stop> {
        let body = items::agent_message(open.item_id, text);
        let item = self.complete_item(body, open.started_at_ms, self.work.clock.wall_ms())?;
        self.last_message = Some(item);
        Ok(())
    }

    fn start_item(&mut self, body: ItemBody, started_at_ms: i64) -> Result<(), Stop> {
        let item = ThreadItem { body, started_at_ms: Some(started_at_ms), completed_at_ms: None };
        let started =
            ItemStarted { item: &item, thread_id: &self.thread_id, turn_id: &self.turn_id, started_at_ms };
        let notification = self.encode(&started);
        Ok(self.tell(Change::ItemStarted(Arc::new(item)), notification)?)
    }

    fn complete_item(
        &mut self,
        body: ItemBody,
        started_at_ms: i64,
        completed_at_ms: i64,
    ) -> Result<Arc<ThreadItem>, Stop> {
        let item =
            ThreadItem { body, started_at_ms: Some(started_at_ms), completed_at_ms: Some(completed_at_ms) };
        let stored = items::stored(&self.turn_id, &item)?;
        let thread_id = self.thread_id.clone();
        self.work.store.call_write(move |database| database.put_item(&thread_id, &stored))?;
        let completed = ItemCompleted {
            item: &item,
            thread_id: &self.thread_id,
            turn_id: &self.turn_id,
            content_token_count: None,
            completed_at_ms,
        };
        let notification = self.encode(&completed);
        let item = Arc::new(item);
        self.tell(Change::ItemCompleted(Arc::clone(&item)), notification)?;
        Ok(item)
    }

    fn count(&mut self, usage: Usage) -> Result<(), Stop> {
        let last = breakdown(usage);
        self.usage.total = sum(self.usage.total, last);
        self.usage.last = last;
        let updated = ThreadTokenUsageUpdated {
            thread_id: &self.thread_id,
            turn_id: &self.turn_id,
            token_usage: &self.usage,
        };
        let notification = self.encode(&updated);
        Ok(self.tell(Change::TokenUsage(Box::new(self.usage)), notification)?)
    }

    fn end(mut self, outcome: Result<(), Stop>) {
        self.mailbox.close();
        let (status, state, error) = match outcome {
            Ok(()) => (TurnStatus::Completed, TurnState::Completed, None),
            Err(Stop::Interrupted) => (TurnStatus::Interrupted, TurnState::Interrupted, None),
            Err(Stop::Failed(error)) => (TurnStatus::Failed, TurnState::Failed, Some(error)),
        };
        let completed_at_ms = self.work.clock.wall_ms();
        let error_json = error.as_ref().and_then(|error| serde_json::to_string(error).ok());
        let usage_json = serde_json::to_string(&self.usage).ok();
        let (thread_id, turn_id) = (self.thread_id.clone(), self.turn_id.clone());
        let written = self.work.store.call_write(move |database| {
            let end = TurnEnd {
                state,
                error: error_json.as_deref(),
                completed_at_ms,
                token_usage: usage_json.as_deref(),
            };
            database.end_turn(&thread_id, &turn_id, &end)
        });
        let (status, error) = match (written, error) {
            (Ok(_), error) => (status, error),
            // The store shows the turn as interrupted; here and now it is said why.
            (Err(_), Some(error)) => (TurnStatus::Failed, Some(error)),
            (Err(store), None) => match Stop::from(store) {
                Stop::Failed(error) => (TurnStatus::Failed, Some(error)),
                Stop::Interrupted => (TurnStatus::Interrupted, None),
            },
        };
        let failure = error.as_ref().and_then(|error| {
            self.encode(&ErrorNotification {
                error,
                will_retry: false,
                thread_id: &self.thread_id,
                turn_id: &self.turn_id,
            })
        });
        let turn = self.turn(status, error, Some(completed_at_ms));
        let completed = TurnCompleted { thread_id: &self.thread_id, turn: &turn };
        let notification = self.encode(&completed);
        let _ = self.tell(Change::Ended { turn: Box::new(turn), failure }, notification);
    }

    /// The turn as notifications show it: at its end with the last message as its summary.
    fn turn(&mut self, status: TurnStatus, error: Option<TurnError>, completed_at_ms: Option<i64>) -> Turn {
        let items: Vec<ThreadItem> = self.last_message.iter().map(|item| ThreadItem::clone(item)).collect();
        let items_view = if items.is_empty() { TurnItemsView::NotLoaded } else { TurnItemsView::Summary };
        Turn {
            id: self.turn_id.clone(),
            root_turn_id: Some(self.turn_id.clone()),
            items,
            items_view,
            status,
            error,
            started_at: Some(self.started_at_ms / 1000),
            completed_at: completed_at_ms.map(|ms| ms / 1000),
            duration_ms: completed_at_ms.map(|ms| ms - self.started_at_ms),
        }
    }

    fn encode<N: Notification>(&self, notification: &N) -> Option<Encoded> {
        Encoded::new(notification, self.work.clock.wall_ms())
    }

    fn tell(&self, change: Change, notification: Option<Encoded>) -> Result<(), ListenerGone> {
        let (thread_id, turn_id) = (self.work.thread_id, self.work.turn_id);
        self.work.sink.tell(TurnEvent { thread_id, turn_id, change, notification })
    }
}

fn model_stop(error: ModelError) -> Stop {
    match error {
        ModelError::Cancelled => Stop::Interrupted,
        ModelError::Failed(failure) => Stop::Failed(TurnError {
            message: failure.message,
            codex_error_info: Some(failure.info),
            additional_details: failure.details,
            ..TurnError::default()
        }),
    }
}

fn breakdown(usage: Usage) -> TokenUsageBreakdown {
    TokenUsageBreakdown {
        total_tokens: usage.input + usage.output,
        input_tokens: usage.input,
        cached_input_tokens: usage.cached_input,
        cache_write_input_tokens: 0,
        output_tokens: usage.output,
        reasoning_output_tokens: usage.reasoning_output,
    }
}

fn sum(a: TokenUsageBreakdown, b: TokenUsageBreakdown) -> TokenUsageBreakdown {
    TokenUsageBreakdown {
        total_tokens: a.total_tokens + b.total_tokens,
        input_tokens: a.input_tokens + b.input_tokens,
        cached_input_tokens: a.cached_input_tokens + b.cached_input_tokens,
        cache_write_input_tokens: a.cache_write_input_tokens + b.cache_write_input_tokens,
        output_tokens: a.output_tokens + b.output_tokens,
        reasoning_output_tokens: a.reasoning_output_tokens + b.reasoning_output_tokens,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OfflineModel;
    use crate::proto::{ApprovalsReviewer, AskForApproval, SandboxPolicy};
    use crate::store::{StoreWorker, ThreadRecord};
    use crossbeam_channel::{Sender, bounded};

    struct Told(Sender<TurnEvent>);

    impl EventSink for Told {
        fn tell(&self, event: TurnEvent) -> Result<(), ListenerGone> {
            self.0.send(event).map_err(|_| ListenerGone)
        }
    }

    fn settings() -> Settings {
        Settings {
            model: "offline".to_owned(),
            model_provider: "offline".to_owned(),
            cwd: "/".to_owned(),
            approval_policy: AskForApproval::Never,
            approvals_reviewer: ApprovalsReviewer::User,
            sandbox: SandboxPolicy::DangerFullAccess,
            reasoning_effort: None,
            reasoning_summary: None,
            personality: None,
            service_tier: None,
            base_instructions: None,
            developer_instructions: None,
        }
    }

    #[test]
    fn letting_go_of_a_running_turn_ends_it_at_once() {
        let dir = std::env::temp_dir().join(format!("app-server-turn-{}", Uuid::new_v4()));
        let (_store, store) = StoreWorker::start(dir, |_| {}).expect("it starts");
        let store = store.ephemeral();
        let thread_id = ThreadId::new();
        let record = ThreadRecord { id: thread_id.to_string(), ..ThreadRecord::default() };
        store.call_write(move |database| database.insert_thread(&record)).expect("it is new");
        let (told, events) = bounded(100);
        let text = "slow: 60s\nwords that nobody waits for".to_owned();
        let handle = start(TurnWork {
            thread_id,
            turn_id: TurnId::new(),
            settings: settings(),
            input: NewInput {
                content: vec![UserInput::Text { text, text_elements: Vec::new() }],
                client_id: None,
            },
            used_before: TokenUsageBreakdown::default(),
            store,
            model: Arc::new(OfflineModel),
            sink: Arc::new(Told(told)),
            // Stands still: the first word never comes.
            clock: Clock::simulated(/*wall_start_ms*/ 0),
        })
        .expect("it starts");
        assert!(matches!(events.recv().expect("it tells").change, Change::Started { .. }));
        drop(handle);
        let last = events.iter().last().expect("it tells its end");
        let Change::Ended { turn, .. } = last.change else { panic!("{last:?}") };
        assert_eq!(turn.status, TurnStatus::Interrupted);
    }
}
