//! Asking the model, and turning what it says into items.

use std::sync::Arc;
use std::time::Duration;

use tracing::field;
use uuid::Uuid;

use super::control::Cut;
use super::conversation::mend;
use super::engine::{Answer, Engine};
use super::items;
use super::message::OpenMessage;
use super::silence::SilenceWatch;
use super::stop::Stop;
use crate::limits;
use crate::model::{Cancel, InputItem, ModelError, ModelEvent, ModelFailure, ModelRequest, ToolCall};
use crate::obs::metrics::values::MODEL_RETRIES;
use crate::proto::{
    CodexErrorInfo, ErrorNotification, ReasoningSummaryPartAdded, ReasoningSummaryTextDelta,
    ReasoningTextDelta, TurnError,
};

/// What the model is saying.
pub(super) enum Open {
    Message(OpenMessage),
    Thought(OpenThought),
}

pub(super) struct OpenThought {
    model_id: String,
    item_id: String,
    started_at_ms: i64,
    summary: Vec<String>,
    content: Vec<String>,
}

/// Why an answer broke off.
enum Broken {
    /// Somebody stopped it.
    Cancelled,
    /// The model failed.
    Failed(Box<ModelFailure>),
    /// Something else did.
    Stop(Stop),
}

impl From<ModelError> for Broken {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Cancelled => Self::Cancelled,
            ModelError::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl<E: Into<Stop>> From<E> for Broken {
    fn from(error: E) -> Self {
        Self::Stop(error.into())
    }
}

impl Engine {
    /// A model call is a span of its own, and the provider is told which.
    fn begin_model_call(&mut self) -> tracing::Span {
        let context = self.work.trace.child();
        let span = tracing::info_span!(
            target: "app_server::trace",
            "app_server.model_call",
            otel.kind = "client",
            otel.name = "model call",
            model = self.request.model,
            trace_id = field::Empty,
            trace_flags = field::Empty,
            span_id = field::Empty,
            parent_span_id = field::Empty,
        );
        context.record(&span);
        self.request.traceparent = Some(context.to_string());
        span
    }

    /// What cuts the answer that begins here. All that the user has said so far was taken, so that only what
    /// the model does not see in its request can cut it.
    fn begin_answer(&mut self) -> Result<Cancel, Stop> {
        loop {
            self.take_input()?;
            let mailbox = &self.mailbox;
            if let Some(cancel) = self.control.begin_answer(|| mailbox.is_empty()) {
                return Ok(cancel);
            }
        }
    }

    /// Asks the model, again if it can be expected to help.
    pub(super) fn ask_model(&mut self) -> Result<Answer, Stop> {
        let retries_max = self.work.model.stream_retries_max();
        let mut retries = 0;
        loop {
            let cancel = self.begin_answer()?;
            let mut calls = Vec::new();
            let span = self.begin_model_call();
            let within = span.enter();
            let read = self.read_answer(&cancel, &mut calls);
            drop(within);
            let broken = match read {
                Ok(()) => {
                    self.control.end_answer();
                    return Ok(Answer { calls, cut: false });
                }
                Err(broken) => broken,
            };
            // What the model had said when it was stopped is kept.
            self.close_open(/*broken*/ true)?;
            mend(&mut self.request.input);
            match broken {
                Broken::Stop(stop) => return Err(stop),
                Broken::Failed(failure) => match failure.retry {
                    Some(retry) if retries < retries_max => {
                        retries += 1;
                        MODEL_RETRIES.add_one();
                        self.tell_retry(&failure, retries, retries_max)?;
                        if cancel.wait(self.pause(retries, retry.after)) {
                            self.control.end_answer();
                            continue;
                        }
                    }
                    _ => return Err((*failure).into()),
                },
                Broken::Cancelled => {}
            }
            return match self.control.end_answer() {
                _ if self.control.is_interrupted() => Err(Stop::Interrupted),
                Some(Cut::Steered) => Ok(Answer { calls: Vec::new(), cut: true }),
                Some(Cut::Silent) => Err(Stop::Failed(Box::new(TurnError {
                    message: format!(
                        "the model has said nothing for {} seconds; the turn was given up",
                        limits::TURN_SILENCE_MAX.as_secs()
                    ),
                    codex_error_info: Some(CodexErrorInfo::ResponseStreamDisconnected {
                        http_status_code: None,
                    }),
                    ..TurnError::default()
                }))),
                None => Err(Stop::Interrupted),
            };
        }
    }

    /// Asks the model for a text that is not shown to anybody, again if that can be expected to help.
    pub(super) fn ask_quietly(&mut self, request: &ModelRequest) -> Result<String, Stop> {
        let retries_max = self.work.model.stream_retries_max();
        let mut retries = 0;
        loop {
            let cancel = self.context.cancel.clone();
            let failure = match self.read_quietly(request, &cancel) {
                Ok(text) => return Ok(text),
                Err(ModelError::Cancelled) => return Err(Stop::Interrupted),
                Err(ModelError::Failed(failure)) => failure,
            };
            let Some(retry) = failure.retry.filter(|_| retries < retries_max) else {
                return Err((*failure).into());
            };
            retries += 1;
            self.tell_retry(&failure, retries, retries_max)?;
            if !cancel.wait(self.pause(retries, retry.after)) {
                return Err(Stop::Interrupted);
            }
        }
    }

    fn read_quietly(&mut self, request: &ModelRequest, cancel: &Cancel) -> Result<String, ModelError> {
        let mut stream = self.work.model.stream(request, cancel)?;
        let mut said = Vec::new();
        while let Some(event) = stream.next(cancel)? {
            match event {
                ModelEvent::MessageDone { text, .. } => said.push(text),
                ModelEvent::Completed { usage } => self.uncounted = Some(usage),
                _ => {}
            }
        }
        Ok(said.join("\n\n"))
    }

    fn tell_retry(&self, failure: &ModelFailure, retry: u32, retries_max: u32) -> Result<(), Stop> {
        let http_status_code = failure.http_status_code();
        let error = TurnError {
            message: format!("Reconnecting... {retry}/{retries_max}"),
            codex_error_info: Some(CodexErrorInfo::ResponseStreamDisconnected { http_status_code }),
            additional_details: Some(failure.message.clone()),
            misalignment: None,
        };
        let (thread_id, turn_id) = (self.teller.thread(), self.teller.turn());
        let told = ErrorNotification { error: &error, will_retry: true, thread_id, turn_id };
        Ok(self.teller.notify(&told)?)
    }

    /// How long to wait before the `retry`th try, from 1: as long as the provider asks for, or twice as long
    /// each time, with some chance in it so that many clients do not come back together.
    fn pause(&self, retry: u32, asked: Option<Duration>) -> Duration {
        if let Some(asked) = asked {
            return asked.min(limits::TURN_RETRY_PAUSE_ASKED_MAX);
        }
        let doubled = limits::TURN_RETRY_PAUSE.saturating_mul(1 << (retry - 1).min(16));
        // The last two bytes of a random id: from 90 to 110 percent.
        let chance = Uuid::new_v4().as_u128() % 21;
        doubled.min(limits::TURN_RETRY_PAUSE_MAX) * (90 + chance as u32) / 100
    }

    fn read_answer(&mut self, cancel: &Cancel, calls: &mut Vec<ToolCall>) -> Result<(), Broken> {
        let watch = SilenceWatch::start(&self.work.timer, Arc::clone(&self.control));
        let mut stream = self.work.model.stream(&self.request, cancel)?;
        while let Some(event) = stream.next(cancel)? {
            watch.heard();
            self.on_event(event, calls)?;
        }
        self.close_open(/*broken*/ false)?;
        Ok(())
    }

    fn on_event(&mut self, event: ModelEvent, calls: &mut Vec<ToolCall>) -> Result<(), Stop> {
        match event {
            ModelEvent::TextDelta { id, delta } => self.message_grows(id, &delta),
            ModelEvent::MessageStarted { id, phase } => self.open_message(id, phase),
            ModelEvent::MessageDone { id, text, phase } => self.message_done(id, text, phase),
            ModelEvent::ReasoningStarted { id } => self.thought(id).map(|_| ()),
            ModelEvent::SummaryPartAdded { id, index } => {
                let thought = self.thought(id)?;
                part(&mut thought.summary, index);
                let item_id = thought.item_id.clone();
                let (thread_id, turn_id) = (self.teller.thread(), self.teller.turn());
                let added =
                    ReasoningSummaryPartAdded { thread_id, turn_id, item_id: &item_id, summary_index: index };
                Ok(self.teller.notify(&added)?)
            }
            ModelEvent::SummaryDelta { id, index, delta } => {
                let thought = self.thought(id)?;
                if let Some(part) = part(&mut thought.summary, index) {
                    part.push_str(&delta);
                }
                let item_id = thought.item_id.clone();
                let grown = ReasoningSummaryTextDelta {
                    thread_id: self.teller.thread(),
                    turn_id: self.teller.turn(),
                    item_id: &item_id,
                    delta: &delta,
                    summary_index: index,
                };
                Ok(self.teller.notify(&grown)?)
            }
            ModelEvent::ReasoningDelta { id, index, delta } => {
                let is_shown = self.work.shows_raw_thoughts;
                let thought = self.thought(id)?;
                if !is_shown {
                    return Ok(());
                }
                if let Some(part) = part(&mut thought.content, index) {
                    part.push_str(&delta);
                }
                let item_id = thought.item_id.clone();
                let grown = ReasoningTextDelta {
                    thread_id: self.teller.thread(),
                    turn_id: self.teller.turn(),
                    item_id: &item_id,
                    delta: &delta,
                    content_index: index,
                };
                Ok(self.teller.notify(&grown)?)
            }
            ModelEvent::ReasoningDone { id, summary, content, encrypted } => {
                self.thought(id)?;
                let Some(Open::Thought(thought)) = self.open.take() else { return Ok(()) };
                let id = thought.model_id.clone();
                let entry = InputItem::Reasoning {
                    id,
                    summary: summary.clone(),
                    content: content.clone(),
                    encrypted,
                };
                let content = if self.work.shows_raw_thoughts { content } else { Vec::new() };
                self.complete_thought(thought, summary, content, Some(entry))
            }
            ModelEvent::ToolCall(call) => {
                self.close_open(/*broken*/ false)?;
                let entry = InputItem::ToolCall(call.clone());
                self.teller.keep(std::slice::from_ref(&entry), /*starts_over*/ false)?;
                self.request.input.push(entry);
                calls.push(call);
                Ok(())
            }
            ModelEvent::Completed { usage } => {
                self.uncounted = Some(usage);
                Ok(())
            }
        }
    }

    /// The thought of this name, begun if it was not.
    fn thought(&mut self, model_id: String) -> Result<&mut OpenThought, Stop> {
        if !matches!(&self.open, Some(Open::Thought(open)) if open.model_id == model_id) {
            self.close_open(/*broken*/ false)?;
            let item_id = format!("rs_{}", Uuid::now_v7().simple());
            let started_at_ms = self.teller.now_ms();
            self.teller
                .start_item(items::reasoning(item_id.clone(), Vec::new(), Vec::new()), started_at_ms)?;
            let (summary, content) = (Vec::new(), Vec::new());
            let thought = OpenThought { model_id, item_id, started_at_ms, summary, content };
            self.open = Some(Open::Thought(thought));
        }
        match &mut self.open {
            Some(Open::Thought(open)) => Ok(open),
            _ => Err(Stop::internal("a thought that was begun is gone; this is a bug of the server")),
        }
    }

    fn complete_thought(
        &mut self,
        open: OpenThought,
        summary: Vec<String>,
        content: Vec<String>,
        entry: Option<InputItem>,
    ) -> Result<(), Stop> {
        let body = items::reasoning(open.item_id, summary, content);
        self.teller.complete_item(body, open.started_at_ms, entry.as_slice())?;
        self.request.input.extend(entry);
        Ok(())
    }

    /// Completes what the model was saying with what was heard of it. What broke off in the middle of a
    /// thought is not said to the model again: only a whole thought can be given back.
    pub(super) fn close_open(&mut self, broken: bool) -> Result<(), Stop> {
        match &mut self.open {
            None => Ok(()),
            Some(Open::Message(_)) => self.close_message(),
            Some(Open::Thought(open)) => {
                if broken {
                    tracing::debug!(id = open.model_id, "a thought broke off");
                }
                let (summary, content) =
                    (std::mem::take(&mut open.summary), std::mem::take(&mut open.content));
                let Some(Open::Thought(open)) = self.open.take() else { return Ok(()) };
                self.complete_thought(open, summary, content, /*entry*/ None)
            }
        }
    }
}

/// The part of a thought with this number, made if it is not there. None for a number that no honest model
/// uses.
fn part(parts: &mut Vec<String>, index: i64) -> Option<&mut String> {
    let index = usize::try_from(index).ok().filter(|index| *index < limits::THOUGHT_PARTS_MAX)?;
    if parts.len() <= index {
        parts.resize_with(index + 1, String::new);
    }
    parts.get_mut(index)
}
