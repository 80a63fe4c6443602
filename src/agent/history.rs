//! The conversation so far, as the model is told it.

use super::items::text_of;
use crate::model::{InputItem, Role};
use crate::proto::{ItemBody, ThreadItem};
use crate::store::HistoryItem;

/// Turns stored items into the model's input. An item of a kind that the model is not told about is left out.
pub(super) fn model_input(stored: &[HistoryItem]) -> Vec<InputItem> {
    stored.iter().filter_map(as_input).collect()
}

fn as_input(stored: &HistoryItem) -> Option<InputItem> {
    if !matches!(stored.kind.as_str(), "userMessage" | "agentMessage") {
        return None;
    }
    match serde_json::from_str::<ThreadItem>(&stored.body) {
        Ok(ThreadItem { body: ItemBody::UserMessage(message), .. }) => {
            Some(InputItem::text(Role::User, text_of(&message.content)))
        }
        Ok(ThreadItem { body: ItemBody::AgentMessage(message), .. }) => {
            Some(InputItem::text(Role::Assistant, message.text))
        }
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(kind = %stored.kind, %error, "a stored item cannot be read and is left out");
            None
        }
    }
}
