//! Notifications about items; the deltas are the hottest path of the server, so all of them only borrow.

use serde::Serialize;

use super::Notification;
use super::item::ThreadItem;

/// `item/started`: an item began.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ItemStarted<'a> {
    /// The item.
    pub item: &'a ThreadItem,
    /// The thread.
    pub thread_id: &'a str,
    /// The turn.
    pub turn_id: &'a str,
    /// When, in Unix milliseconds.
    pub started_at_ms: i64,
}

impl Notification for ItemStarted<'_> {
    const METHOD: &'static str = "item/started";
}

/// `item/completed`: an item ended.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ItemCompleted<'a> {
    /// The item in its last state.
    pub item: &'a ThreadItem,
    /// The thread.
    pub thread_id: &'a str,
    /// The turn.
    pub turn_id: &'a str,
    /// Tokens of its content, if counted.
    pub content_token_count: Option<u64>,
    /// When, in Unix milliseconds.
    pub completed_at_ms: i64,
}

impl Notification for ItemCompleted<'_> {
    const METHOD: &'static str = "item/completed";
}

/// `item/agentMessage/delta`: more of a message.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AgentMessageDelta<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The turn.
    pub turn_id: &'a str,
    /// The item.
    pub item_id: &'a str,
    /// The piece.
    pub delta: &'a str,
}

impl Notification for AgentMessageDelta<'_> {
    const METHOD: &'static str = "item/agentMessage/delta";
}

/// `item/plan/delta`: more of a proposed plan.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PlanDelta<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The turn.
    pub turn_id: &'a str,
    /// The item.
    pub item_id: &'a str,
    /// The piece.
    pub delta: &'a str,
}

impl Notification for PlanDelta<'_> {
    const METHOD: &'static str = "item/plan/delta";
}

/// `item/reasoning/summaryPartAdded`: another part of a summary begins.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReasoningSummaryPartAdded<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The turn.
    pub turn_id: &'a str,
    /// The item.
    pub item_id: &'a str,
    /// Which part.
    pub summary_index: i64,
}

impl Notification for ReasoningSummaryPartAdded<'_> {
    const METHOD: &'static str = "item/reasoning/summaryPartAdded";
}

/// `item/reasoning/summaryTextDelta`: more of a part of a summary.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReasoningSummaryTextDelta<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The turn.
    pub turn_id: &'a str,
    /// The item.
    pub item_id: &'a str,
    /// The piece.
    pub delta: &'a str,
    /// Which part.
    pub summary_index: i64,
}

impl Notification for ReasoningSummaryTextDelta<'_> {
    const METHOD: &'static str = "item/reasoning/summaryTextDelta";
}

/// `item/reasoning/textDelta`: more of the raw thoughts.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReasoningTextDelta<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The turn.
    pub turn_id: &'a str,
    /// The item.
    pub item_id: &'a str,
    /// The piece.
    pub delta: &'a str,
    /// Which part.
    pub content_index: i64,
}

impl Notification for ReasoningTextDelta<'_> {
    const METHOD: &'static str = "item/reasoning/textDelta";
}

/// `item/commandExecution/outputDelta`: more output of a command.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CommandExecutionOutputDelta<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The turn.
    pub turn_id: &'a str,
    /// The item.
    pub item_id: &'a str,
    /// The piece.
    pub delta: &'a str,
}

impl Notification for CommandExecutionOutputDelta<'_> {
    const METHOD: &'static str = "item/commandExecution/outputDelta";
}

/// `item/commandExecution/terminalInteraction`: the agent wrote to a command.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TerminalInteraction<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The turn.
    pub turn_id: &'a str,
    /// The item.
    pub item_id: &'a str,
    /// The command's process.
    pub process_id: &'a str,
    /// What it wrote.
    pub stdin: &'a str,
}

impl Notification for TerminalInteraction<'_> {
    const METHOD: &'static str = "item/commandExecution/terminalInteraction";
}

#[cfg(test)]
mod tests {
    use super::super::item::{AgentMessageItem, ItemBody};
    use super::*;

    fn wire<N: Notification>(notification: &N) -> String {
        serde_json::to_string(notification).unwrap()
    }

    #[test]
    fn keys_come_in_the_recorded_order() {
        let delta = ReasoningSummaryTextDelta {
            thread_id: "t",
            turn_id: "u",
            item_id: "i",
            delta: "d",
            summary_index: 0,
        };
        assert_eq!(
            wire(&delta),
            r#"{"threadId":"t","turnId":"u","itemId":"i","delta":"d","summaryIndex":0}"#
        );

        let message = AgentMessageItem {
            moderation: None,
            id: "m".into(),
            text: String::new(),
            phase: None,
            memory_citation: None,
            delivery: None,
            questions: None,
        };
        let item = ThreadItem {
            body: ItemBody::AgentMessage(message),
            started_at_ms: Some(1),
            completed_at_ms: Some(2),
        };
        let completed = ItemCompleted {
            item: &item,
            thread_id: "t",
            turn_id: "u",
            content_token_count: None,
            completed_at_ms: 2,
        };
        assert_eq!(
            wire(&completed),
            r#"{"item":{"type":"agentMessage","moderation":null,"id":"m","text":"","phase":null,"memoryCitation":null,"delivery":null,"questions":null,"startedAtMs":1,"completedAtMs":2},"threadId":"t","turnId":"u","contentTokenCount":null,"completedAtMs":2}"#
        );
    }
}
