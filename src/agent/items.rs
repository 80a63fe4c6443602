//! Making items, and what is read off the user's input.

use crate::proto::{
    AgentMessageItem, ItemBody, MessagePhase, PlanItem, ReasoningItem, ThreadItem, UserInput, UserMessageItem,
};
use crate::store::NewItem;

/// Longest preview of a thread, in characters.
const PREVIEW_CHARS_MAX: usize = 1000;

/// The item for what the user said.
pub(super) fn user_message(id: String, client_id: Option<String>, content: Vec<UserInput>) -> ItemBody {
    ItemBody::UserMessage(UserMessageItem { id, client_id, content })
}

/// The item for what the agent said.
pub(super) fn agent_message(id: String, text: String, phase: Option<MessagePhase>) -> ItemBody {
    ItemBody::AgentMessage(AgentMessageItem {
        moderation: None,
        id,
        text,
        phase,
        memory_citation: None,
        delivery: None,
        questions: None,
    })
}

/// The item for a plan that the model proposes.
pub(super) fn plan(id: String, text: String) -> ItemBody {
    ItemBody::Plan(PlanItem { id, text })
}

/// The item for what the model thought.
pub(super) fn reasoning(id: String, summary: Vec<String>, content: Vec<String>) -> ItemBody {
    ItemBody::Reasoning(ReasoningItem { id, summary, content })
}

/// The item as the store keeps it.
pub(super) fn stored(turn_id: &str, item: &ThreadItem) -> Result<NewItem, serde_json::Error> {
    Ok(NewItem {
        id: item.id().to_owned(),
        turn_id: turn_id.to_owned(),
        kind: item.kind().to_owned(),
        body: serde_json::to_string(item)?,
        started_at_ms: item.started_at_ms,
        completed_at_ms: item.completed_at_ms,
    })
}

/// All text of the input, a line each.
pub(super) fn text_of(content: &[UserInput]) -> String {
    let texts: Vec<&str> = content.iter().filter_map(text_of_one).collect();
    texts.join("\n")
}

/// Characters of text in the input, for the protocol's limit.
#[must_use]
pub fn text_chars(content: &[UserInput]) -> usize {
    content.iter().filter_map(text_of_one).map(|text| text.chars().count()).sum()
}

/// What the thread list shows of a thread that begins with this input.
#[must_use]
pub fn preview(content: &[UserInput]) -> Option<String> {
    let text = text_of(content);
    let text = text.trim();
    (!text.is_empty()).then(|| text.chars().take(PREVIEW_CHARS_MAX).collect())
}

fn text_of_one(input: &UserInput) -> Option<&str> {
    match input {
        UserInput::Text { text, .. } => Some(text),
        _ => None,
    }
}
