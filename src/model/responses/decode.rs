//! What the events of a Responses API stream mean. Events and items of unknown types are left out.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::failure::ErrorBody;
use super::super::http::stream;
use super::super::usage::TokenCounts;
use super::super::{ModelEvent, ModelFailure, ToolCall, ToolInput};
use crate::proto::MessagePhase;

/// Follows one answer.
#[derive(Debug, Default)]
pub(in crate::model) struct Decoder {
    /// The message or thought that is being told.
    open: Option<Open>,
    /// Items that came without an id.
    unnamed: u32,
    completed: bool,
}

#[derive(Debug)]
struct Open {
    id: String,
    is_thought: bool,
    text: String,
    phase: Option<MessagePhase>,
    /// Parts of the summary that were begun.
    parts: i64,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    item_id: Option<String>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(default)]
    summary_index: i64,
    #[serde(default)]
    content_index: i64,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

impl Event<'_> {
    fn delta(&self) -> Option<String> {
        serde_json::from_str(self.delta?.get()).ok()
    }

    fn response(&self) -> Response {
        self.response.and_then(|response| serde_json::from_str(response.get()).ok()).unwrap_or_default()
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item {
    Message {
        id: Option<String>,
        #[serde(default)]
        content: Vec<Part>,
        // A phase of a later protocol is no reason to lose the message.
        #[serde(default)]
        phase: serde_json::Value,
    },
    Reasoning {
        id: Option<String>,
        #[serde(default)]
        summary: Vec<Part>,
        content: Option<Vec<Part>>,
        encrypted_content: Option<String>,
    },
    FunctionCall {
        id: Option<String>,
        call_id: Option<String>,
        name: String,
        #[serde(default)]
        arguments: String,
    },
    CustomToolCall {
        id: Option<String>,
        call_id: Option<String>,
        name: String,
        #[serde(default)]
        input: String,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct Part {
    #[serde(alias = "refusal")]
    text: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Response {
    usage: Option<TokenCounts>,
    error: Option<ErrorBody>,
    incomplete_details: Option<Incomplete>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

impl stream::Decoder for Decoder {
    fn take(&mut self, data: &[u8], out: &mut VecDeque<ModelEvent>) -> Result<(), ModelFailure> {
        let event: Event<'_> = match serde_json::from_slice(data) {
            Ok(event) => event,
            Err(error) => {
                tracing::debug!(%error, "an event of the model's stream cannot be read and is left out");
                return Ok(());
            }
        };
        match &*event.kind {
            "response.output_item.added" => self.item_added(event.item, out),
            "response.output_item.done" => self.item_done(event.item, out),
            "response.output_text.delta" | "response.refusal.delta" => {
                if let Some(delta) = event.delta() {
                    let open = self.open(event.item_id, /*is_thought*/ false, out);
                    open.text.push_str(&delta);
                    out.push_back(ModelEvent::TextDelta { id: open.id.clone(), delta });
                }
            }
            "response.reasoning_summary_part.added" => {
                let open = self.open(event.item_id, /*is_thought*/ true, out);
                open.begin_part(event.summary_index, out);
            }
            "response.reasoning_summary_text.delta" => {
                if let Some(delta) = event.delta() {
                    let open = self.open(event.item_id, /*is_thought*/ true, out);
                    let (id, index) = (open.id.clone(), event.summary_index);
                    open.begin_part(index, out);
                    out.push_back(ModelEvent::SummaryDelta { id, index, delta });
                }
            }
            "response.reasoning_text.delta" => {
                if let Some(delta) = event.delta() {
                    let id = self.open(event.item_id, /*is_thought*/ true, out).id.clone();
                    out.push_back(ModelEvent::ReasoningDelta { id, index: event.content_index, delta });
                }
            }
            "response.completed" => {
                self.close(out);
                self.completed = true;
                out.push_back(ModelEvent::Completed {
                    usage: event.response().usage.unwrap_or_default().into(),
                });
            }
            "response.failed" => return Err(event.response().error.unwrap_or_default().in_stream()),
            "response.incomplete" => {
                let details = event.response().incomplete_details;
                let reason = details.and_then(|details| details.reason);
                return Err(ModelFailure::incomplete(reason.as_deref().unwrap_or("unknown")));
            }
            "error" => return Err(ErrorBody::parse(data).in_stream()),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, _: &mut VecDeque<ModelEvent>) -> bool {
        self.completed
    }
}

impl Open {
    fn begin_part(&mut self, index: i64, out: &mut VecDeque<ModelEvent>) {
        while self.parts <= index {
            out.push_back(ModelEvent::SummaryPartAdded { id: self.id.clone(), index: self.parts });
            self.parts += 1;
        }
    }
}

impl Decoder {
    fn id(&mut self, id: Option<String>) -> String {
        id.filter(|id| !id.is_empty()).unwrap_or_else(|| {
            self.unnamed += 1;
            format!("item_{}", self.unnamed)
        })
    }

    fn begin(
        &mut self,
        id: String,
        is_thought: bool,
        phase: Option<MessagePhase>,
        out: &mut VecDeque<ModelEvent>,
    ) -> &mut Open {
        self.close(out);
        out.push_back(match is_thought {
            true => ModelEvent::ReasoningStarted { id: id.clone() },
            false => ModelEvent::MessageStarted { id: id.clone(), phase },
        });
        self.open.insert(Open { id, is_thought, text: String::new(), phase, parts: 0 })
    }

    /// The item that a delta belongs to, begun if no event said so before.
    fn open(&mut self, id: Option<String>, is_thought: bool, out: &mut VecDeque<ModelEvent>) -> &mut Open {
        let fits = |open: &Open| {
            open.is_thought == is_thought && id.as_ref().is_none_or(|id| id.is_empty() || *id == open.id)
        };
        match self.open.take() {
            Some(open) if fits(&open) => self.open.insert(open),
            other => {
                self.open = other;
                let id = self.id(id);
                self.begin(id, is_thought, /*phase*/ None, out)
            }
        }
    }

    /// Ends an item whose own end did not come: a message is kept as it was told.
    fn close(&mut self, out: &mut VecDeque<ModelEvent>) {
        let Some(Open { id, is_thought, text, phase, .. }) = self.open.take() else { return };
        if !is_thought && !text.is_empty() {
            out.push_back(ModelEvent::MessageDone { id, text, phase });
        }
    }

    fn item_added(&mut self, item: Option<&RawValue>, out: &mut VecDeque<ModelEvent>) {
        match item.and_then(|item| serde_json::from_str(item.get()).ok()) {
            Some(Item::Message { id, phase, .. }) => {
                let id = self.id(id);
                self.begin(id, /*is_thought*/ false, known_phase(phase), out);
            }
            Some(Item::Reasoning { id, .. }) => {
                let id = self.id(id);
                self.begin(id, /*is_thought*/ true, /*phase*/ None, out);
            }
            _ => {}
        }
    }

    fn item_done(&mut self, item: Option<&RawValue>, out: &mut VecDeque<ModelEvent>) {
        let item = match item.map(|item| serde_json::from_str::<Item>(item.get())) {
            Some(Ok(item)) => item,
            Some(Err(error)) => {
                tracing::debug!(%error, "an item of the model's answer cannot be read and is left out");
                return;
            }
            None => return,
        };
        match item {
            Item::Message { id, content, phase } => {
                let phase = known_phase(phase);
                let id = self.settle(id, /*is_thought*/ false, phase, out);
                let told = self.open.take().map(|open| open.text).unwrap_or_default();
                let whole: String = content.into_iter().filter_map(|part| part.text).collect();
                let text = if whole.is_empty() { told } else { whole };
                out.push_back(ModelEvent::MessageDone { id, text, phase });
            }
            Item::Reasoning { id, summary, content, encrypted_content } => {
                let id = self.settle(id, /*is_thought*/ true, /*phase*/ None, out);
                self.open = None;
                let texts = |parts: Vec<Part>| parts.into_iter().filter_map(|part| part.text).collect();
                out.push_back(ModelEvent::ReasoningDone {
                    id,
                    summary: texts(summary),
                    content: texts(content.unwrap_or_default()),
                    encrypted: encrypted_content,
                });
            }
            Item::FunctionCall { id, call_id, name, arguments } => {
                let call_id = self.id(call_id.or(id));
                let input = ToolInput::Arguments(arguments);
                out.push_back(ModelEvent::ToolCall(ToolCall { call_id, name, input }));
            }
            Item::CustomToolCall { id, call_id, name, input } => {
                let call_id = self.id(call_id.or(id));
                out.push_back(ModelEvent::ToolCall(ToolCall {
                    call_id,
                    name,
                    input: ToolInput::Freeform(input),
                }));
            }
            Item::Unknown => {}
        }
    }

    /// The id of an item that is done, begun if it was not.
    fn settle(
        &mut self,
        id: Option<String>,
        is_thought: bool,
        phase: Option<MessagePhase>,
        out: &mut VecDeque<ModelEvent>,
    ) -> String {
        match &self.open {
            Some(open) if open.is_thought == is_thought && id.as_ref().is_none_or(|id| *id == open.id) => {
                open.id.clone()
            }
            _ => {
                let id = self.id(id);
                self.begin(id.clone(), is_thought, phase, out);
                id
            }
        }
    }
}

fn known_phase(phase: serde_json::Value) -> Option<MessagePhase> {
    serde_json::from_value(phase).ok()
}

#[cfg(test)]
mod tests;
