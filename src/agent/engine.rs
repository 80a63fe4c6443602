//! The turn engine: from the user's input to the end of the turn, on a worker of its own.
//!
//! The model is asked, its tools are run, their outputs are said to it, and so on until it has nothing more
//! to do. What is told as completed is in the store before it is told. A turn ends exactly once, also when it
//! is interrupted, fails or panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::field;
use uuid::Uuid;

use super::ask::Asker;
use super::control::Control;
use super::conversation::{mend, model_input};
use super::event::Change;
use super::input;
use super::instructions;
use super::items;
use super::skills;
use super::stop::Stop;
use super::stream::Open;
use super::teller::Teller;
use super::tools::mcp::tools as mcp_tools;
use super::tools::{ToolContext, Toolbox};
use super::turn::{NewInput, TurnWork};
use super::usage;
use super::work::TurnKind;
use crate::limits;
use crate::model::{Cancel, InputItem, ModelRequest, Role, ToolCall, Usage};
use crate::obs::metrics::values::{TURN_SECONDS, TURNS_FAILED, TURNS_STARTED};
use crate::patch::TurnDiff;
use crate::proto::{
    ErrorNotification, ThreadItem, ThreadTokenUsage, ThreadTokenUsageUpdated, Turn, TurnCompleted, TurnError,
    TurnItemsView, TurnStarted, TurnStatus,
};
use crate::queue::Mailbox;
use crate::store::{NewTurn, StoreError, TurnEnd, TurnRecord, TurnState};

/// The state of a running turn.
pub(super) struct Engine {
    pub(super) work: TurnWork,
    pub(super) control: Arc<Control>,
    pub(super) teller: Arc<Teller>,
    /// What the model is asked; its input is the conversation, which only grows during a turn.
    pub(super) request: ModelRequest,
    /// What the model is saying.
    pub(super) open: Option<Open>,
    /// Plans that it has proposed.
    pub(super) plans: u32,
    pub(super) last_message: Option<Arc<ThreadItem>>,
    pub(super) mailbox: Mailbox<NewInput>,
    tools: Toolbox,
    pub(super) context: Arc<ToolContext>,
    started_at_ms: i64,
    pub(super) usage: ThreadTokenUsage,
    /// Length of the conversation right after it was made shorter: there is nothing to gain until it grows.
    pub(super) compacted_at: Option<usize>,
    /// Used by the last answer, and not told yet.
    pub(super) uncounted: Option<Usage>,
}

/// What came of asking the model.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The tools that it wants.
    pub(super) calls: Vec<ToolCall>,
    /// There is new input that it did not see.
    pub(super) cut: bool,
}

impl Engine {
    pub(super) fn new(
        work: TurnWork,
        control: Arc<Control>,
        cancel: Cancel,
        mailbox: Mailbox<NewInput>,
    ) -> Self {
        let teller = Arc::new(Teller::new(
            work.thread_id,
            work.turn_id,
            work.store.clone(),
            Arc::clone(&work.sink),
            work.clock.clone(),
        ));
        let (tools, specs) = Toolbox::new(work.features, &work.tools);
        let context = Arc::new(ToolContext {
            teller: Arc::clone(&teller),
            cancel,
            settings: Arc::new(work.settings.clone()),
            trace: work.trace.clone(),
            asker: Asker::new(work.thread_id, work.turn_id, Arc::clone(&work.sink)),
            approvals: work.approvals.clone(),
            terminals: Arc::clone(&work.terminals),
            spawner: work.spawner.clone(),
            diff: Arc::new(Mutex::new(TurnDiff::new(Path::new(&work.settings.cwd)))),
            clock: work.clock.clone(),
        });
        let settings = &work.settings;
        let request = ModelRequest {
            model: settings.model.clone(),
            instructions: instructions::rules(settings),
            tools: specs,
            reasoning_effort: settings.reasoning_effort.clone(),
            reasoning_summary: settings.reasoning_summary,
            output_schema: work.output_schema.clone(),
            service_tier: settings.service_tier.clone(),
            conversation_id: work.thread_id.to_string(),
            ..ModelRequest::default()
        };
        Self {
            control,
            request,
            open: None,
            plans: 0,
            last_message: None,
            mailbox,
            tools,
            context,
            started_at_ms: work.clock.wall_ms(),
            usage: ThreadTokenUsage {
                total: work.used_before.total,
                last: work.used_before.last,
                model_context_window: work.model.context_window(&settings.model),
            },
            compacted_at: None,
            uncounted: None,
            teller,
            work,
        }
    }

    pub(super) fn run(mut self) {
        let span = tracing::info_span!(
            target: "app_server::trace",
            "app_server.turn",
            otel.kind = "internal",
            otel.name = "turn",
            thread.id = self.teller.thread(),
            turn.id = self.teller.turn(),
            trace_id = field::Empty,
            trace_flags = field::Empty,
            span_id = field::Empty,
            parent_span_id = field::Empty,
        );
        self.work.trace.record(&span);
        let _within = span.enter();
        TURNS_STARTED.add_one();
        match self.write_start() {
            Ok(None) => {}
            Ok(Some(turn)) => {
                let _ = self.teller.tell(Change::Repeated(Box::new(turn)), /*notification*/ None);
                return;
            }
            Err(error) => {
                let _ = self.teller.tell(Change::NotStarted(error), /*notification*/ None);
                return;
            }
        }
        // What a panic leaves behind is only read to say that the turn ended.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.converse())).unwrap_or_else(|_| {
            Err(Stop::internal("the turn stopped by an internal error; this is a bug of the server"))
        });
        self.end(outcome);
    }

    /// The turn is in the store before anybody hears of it. What was submitted under the same id before is
    /// not run again; its turn is returned.
    fn write_start(&mut self) -> Result<Option<TurnRecord>, StoreError> {
        let preview = items::preview(&self.work.input.content);
        let (thread_id, turn_id) = (self.teller.thread().to_owned(), self.teller.turn().to_owned());
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
        let started = TurnStarted { thread_id: self.teller.thread(), turn: &turn };
        let notification = self.teller.encode(&started);
        self.teller.tell(Change::Started { started_at_ms: self.started_at_ms }, notification)?;
        let thread_id = self.teller.thread().to_owned();
        let stored = self.work.store.call_read(move |database| database.conversation(&thread_id))?;
        self.request.input = model_input(&stored);
        drop(stored);
        match self.work.kind.clone() {
            TurnKind::Talk => self.talk(),
            TurnKind::Compact => {
                self.compact()?;
                self.finish_alone()
            }
            TurnKind::Shell { command, timeout } => {
                self.run_shell(&command, timeout)?;
                self.finish_alone()
            }
            TurnKind::Review { title } => {
                self.enter_review(&title)?;
                self.talk()?;
                self.exit_review()
            }
        }
    }

    /// The end of a turn in which the model had no say, unless the user has said something meanwhile.
    fn finish_alone(&mut self) -> Result<(), Stop> {
        if self.take_last_input()? { self.answer() } else { Ok(()) }
    }

    fn talk(&mut self) -> Result<(), Stop> {
        if let Some(mcp) = &self.work.mcp {
            // Servers may have to be started for it; the turn was told of by now, and can be interrupted.
            let more = self.tools.add(mcp_tools(mcp, &self.context.cancel));
            self.request.tools.extend(more);
        }
        if self.work.compact_first {
            self.compact()?;
        } else {
            self.compact_if_needed()?;
        }
        if let Some(news) = self.news(&self.request.input) {
            self.teller.keep(std::slice::from_ref(&news), /*starts_over*/ false)?;
            self.request.input.push(news);
        }
        let input =
            std::mem::replace(&mut self.work.input, NewInput { content: Vec::new(), client_id: None });
        self.add_input(input)?;
        self.answer()
    }

    /// What the model does not know yet of the project and the circumstances.
    pub(super) fn news(&self, said: &[InputItem]) -> Option<InputItem> {
        let date = date_of(self.teller.now_ms());
        let skills = skills::find(&self.work.home, Path::new(&self.work.settings.cwd), &self.work.skills);
        instructions::news(&self.work.settings, &self.work.home, &skills.skills, &date, said)
    }

    /// The request as it is, but for the conversation.
    pub(super) fn request_without_input(&self) -> ModelRequest {
        let request = &self.request;
        ModelRequest {
            model: request.model.clone(),
            instructions: request.instructions.clone(),
            input: Vec::new(),
            tools: request.tools.clone(),
            reasoning_effort: request.reasoning_effort.clone(),
            reasoning_summary: request.reasoning_summary,
            output_schema: request.output_schema.clone(),
            service_tier: request.service_tier.clone(),
            conversation_id: request.conversation_id.clone(),
            traceparent: request.traceparent.clone(),
        }
    }

    /// Asks the model until it has nothing more to do.
    fn answer(&mut self) -> Result<(), Stop> {
        for _ in 0..limits::TURN_MODEL_REQUESTS_MAX {
            let answer = self.ask_model()?;
            let used_tools = !answer.calls.is_empty();
            let outcome = self.run_tools(&answer.calls);
            self.count()?;
            outcome?;
            let more = if used_tools || answer.cut { self.take_input()? } else { self.take_last_input()? };
            if !(more || used_tools || answer.cut) {
                return Ok(());
            }
            self.compact_if_needed()?;
        }
        Err(Stop::other(format!(
            "the turn asked the model {} times without coming to an end; start another turn to go on",
            limits::TURN_MODEL_REQUESTS_MAX
        )))
    }

    /// Takes what came in meanwhile. True if there was something.
    pub(super) fn take_input(&mut self) -> Result<bool, Stop> {
        let mut more = false;
        while let Some(input) = self.mailbox.take() {
            self.note_submission(&input)?;
            self.add_input(input)?;
            more = true;
        }
        Ok(more)
    }

    /// Takes what came in while the model spoke. False if that is nothing, and then nothing can come any
    /// more: the model is asked again only if it has something new to answer.
    fn take_last_input(&mut self) -> Result<bool, Stop> {
        loop {
            if self.take_input()? {
                return Ok(true);
            }
            // Something may come between the two looks.
            if self.mailbox.close_if_empty() {
                return Ok(false);
            }
        }
    }

    /// Keeps the id of what joined the turn; the one that began it was kept with the start.
    fn note_submission(&self, input: &NewInput) -> Result<(), Stop> {
        let Some(client_id) = input.client_id.clone() else { return Ok(()) };
        let (thread_id, turn_id) = (self.teller.thread().to_owned(), self.teller.turn().to_owned());
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
        let entry =
            InputItem::Message { role: Role::User, content: input::content(&input.content), phase: None };
        let id = Uuid::now_v7().to_string();
        let body = items::user_message(id, input.client_id, input.content);
        let now = self.teller.now_ms();
        self.teller.start_item(body.clone(), now)?;
        self.teller.complete_item(body, now, std::slice::from_ref(&entry))?;
        self.request.input.push(entry);
        Ok(())
    }

    /// Runs the tools that the model wants and says to it what came of them.
    fn run_tools(&mut self, calls: &[ToolCall]) -> Result<(), Stop> {
        if calls.is_empty() {
            return Ok(());
        }
        let outcome = self.tools.run_all(calls, &self.context);
        let (outputs, stop) = match outcome {
            Ok(outputs) => (outputs, None),
            Err((outputs, stop)) => (outputs, Some(stop)),
        };
        self.teller.keep(&outputs, /*starts_over*/ false)?;
        self.request.input.extend(outputs);
        if let Some(stop) = stop {
            mend(&mut self.request.input);
            return Err(stop);
        }
        Ok(())
    }

    /// Tells what the last answer cost.
    pub(super) fn count(&mut self) -> Result<(), Stop> {
        let Some(used) = self.uncounted.take() else { return Ok(()) };
        let last = usage::breakdown(used);
        self.usage.total = usage::sum(self.usage.total, last);
        self.usage.last = last;
        self.tell_usage()
    }

    pub(super) fn tell_usage(&self) -> Result<(), Stop> {
        let updated = ThreadTokenUsageUpdated {
            thread_id: self.teller.thread(),
            turn_id: self.teller.turn(),
            token_usage: &self.usage,
        };
        let notification = self.teller.encode(&updated);
        Ok(self.teller.tell(Change::TokenUsage(Box::new(self.usage)), notification)?)
    }

    /// Keeps what was said to a turn that stops before it could listen: whoever said it was told that the
    /// turn took it, and the next turn's model reads it.
    fn keep_unheard(&mut self) {
        for input in self.mailbox.close() {
            if let Err(stop) = self.note_submission(&input).and_then(|()| self.add_input(input)) {
                tracing::warn!(?stop, "what was said to a turn at its end could not be kept");
            }
        }
    }

    fn end(mut self, outcome: Result<(), Stop>) {
        self.keep_unheard();
        if matches!(outcome, Err(Stop::Interrupted)) {
            // Nothing of an interrupted turn goes on, and its end is told when that is so.
            self.work.terminals.kill_turn(self.teller.turn());
        }
        let (status, state, error) = match outcome {
            Ok(()) => (TurnStatus::Completed, TurnState::Completed, None),
            Err(Stop::Interrupted) => (TurnStatus::Interrupted, TurnState::Interrupted, None),
            Err(Stop::Failed(error)) => (TurnStatus::Failed, TurnState::Failed, Some(*error)),
        };
        let completed_at_ms = self.teller.now_ms();
        let took_ms = u64::try_from(completed_at_ms - self.started_at_ms).unwrap_or(0);
        TURN_SECONDS.record(Duration::from_millis(took_ms));
        if state == TurnState::Failed {
            TURNS_FAILED.add_one();
        }
        let error_json = error.as_ref().and_then(|error| serde_json::to_string(error).ok());
        let usage_json = serde_json::to_string(&self.usage).ok();
        let (thread_id, turn_id) = (self.teller.thread().to_owned(), self.teller.turn().to_owned());
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
                Stop::Failed(error) => (TurnStatus::Failed, Some(*error)),
                Stop::Interrupted => (TurnStatus::Interrupted, None),
            },
        };
        let failure = error.as_ref().and_then(|error| {
            self.teller.encode(&ErrorNotification {
                error,
                will_retry: false,
                thread_id: self.teller.thread(),
                turn_id: self.teller.turn(),
            })
        });
        let turn = self.turn(status, error, Some(completed_at_ms));
        let completed = TurnCompleted { thread_id: self.teller.thread(), turn: &turn };
        let notification = self.teller.encode(&completed);
        let _ = self.teller.tell(Change::Ended { turn: Box::new(turn), failure }, notification);
    }

    /// The turn as notifications show it: at its end with the last message as its summary.
    fn turn(&mut self, status: TurnStatus, error: Option<TurnError>, completed_at_ms: Option<i64>) -> Turn {
        let items: Vec<ThreadItem> = self.last_message.iter().map(|item| ThreadItem::clone(item)).collect();
        let items_view = if items.is_empty() { TurnItemsView::NotLoaded } else { TurnItemsView::Summary };
        let id = self.teller.turn().to_owned();
        Turn {
            id: id.clone(),
            root_turn_id: Some(id),
            items,
            items_view,
            status,
            error,
            started_at: Some(self.started_at_ms / 1000),
            completed_at: completed_at_ms.map(|ms| ms / 1000),
            duration_ms: completed_at_ms.map(|ms| ms - self.started_at_ms),
        }
    }
}

/// The day of a moment (Unix milliseconds), in UTC, as `2026-01-31`.
fn date_of(ms: i64) -> String {
    // Days since 0000-03-01, so that a leap day is the last of its year (H. Hinnant, "chrono-compatible
    // low-level date algorithms").
    let days = ms.div_euclid(86_400_000) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::date_of;

    #[test]
    fn days_have_their_dates() {
        let day = 86_400_000;
        let dates = [0, 59 * day, 11_016 * day + 1, 20_777 * day, -day].map(date_of);
        assert_eq!(dates, ["1970-01-01", "1970-03-01", "2000-02-29", "2026-11-20", "1969-12-31"]);
    }
}
