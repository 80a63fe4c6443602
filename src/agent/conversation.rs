//! The conversation so far, as the model is told it: read once for a turn, then kept in memory and in the
//! store side by side.
//!
//! What the model said goes back to it as it was: its words, its thoughts, its calls and their outputs. A
//! process may die anywhere, so what is read is mended first: providers refuse a call without an output.

use std::collections::HashSet;

use super::items::text_of;
use crate::model::{Content, InputItem, Role, ToolCall, ToolInput};
use crate::proto::{ItemBody, ThreadItem};
use crate::store::{Conversation, HistoryItem};

/// What the model is told of a call that never got its output.
const ABORTED: &str = "aborted";

/// The stored conversation as the model's input.
pub(super) fn model_input(stored: &Conversation) -> Vec<InputItem> {
    let old = stored.items.iter().filter_map(as_input);
    let mut input: Vec<InputItem> = old.chain(stored.entries.iter().filter_map(|body| read(body))).collect();
    mend(&mut input);
    input
}

/// An entry as the store keeps it.
pub(super) fn written(entry: &InputItem) -> Result<String, serde_json::Error> {
    serde_json::to_string(entry)
}

/// The answer to a call.
pub(super) fn output(call: &ToolCall, content: Vec<Content>, success: bool) -> InputItem {
    InputItem::ToolOutput {
        call_id: call.call_id.clone(),
        freeform: matches!(call.input, ToolInput::Freeform(_)),
        content,
        success,
    }
}

/// Makes a conversation one that every provider takes: each call has an output behind it, no output is
/// without its call, and no thought stands alone where an answer broke off.
pub(super) fn mend(input: &mut Vec<InputItem>) {
    let answered: HashSet<String> = input.iter().filter_map(output_of).map(ToOwned::to_owned).collect();
    let called: HashSet<String> = input.iter().filter_map(call_of).map(|call| call.call_id.clone()).collect();
    let all_answered = called.is_subset(&answered);
    if all_answered && called.len() == answered.len() && !has_lone_thought(input) {
        return;
    }
    let mut open: Vec<InputItem> = Vec::new();
    let mut mended: Vec<InputItem> = Vec::with_capacity(input.len() + called.len());
    for item in std::mem::take(input) {
        let goes_on = matches!(item, InputItem::ToolCall(_) | InputItem::ToolOutput { .. });
        if !goes_on {
            mended.append(&mut open);
        }
        if output_of(&item).is_some_and(|id| !called.contains(id)) {
            continue;
        }
        let lone = matches!(mended.last(), Some(InputItem::Reasoning { .. })) && !follows_thought(&item);
        if lone {
            drop_thoughts(&mut mended);
        }
        if let Some(call) = call_of(&item).filter(|call| !answered.contains(&call.call_id)) {
            let content = vec![Content::Text { text: ABORTED.to_owned() }];
            open.push(output(call, content, /*success*/ false));
        }
        mended.push(item);
    }
    mended.append(&mut open);
    drop_thoughts(&mut mended);
    *input = mended;
}

fn has_lone_thought(input: &[InputItem]) -> bool {
    let is_thought = |item: &InputItem| matches!(item, InputItem::Reasoning { .. });
    input.last().is_some_and(is_thought)
        || input.windows(2).any(|pair| is_thought(&pair[0]) && !follows_thought(&pair[1]))
}

fn drop_thoughts(items: &mut Vec<InputItem>) {
    while matches!(items.last(), Some(InputItem::Reasoning { .. })) {
        items.pop();
    }
}

/// True for what an answer goes on with after a thought.
fn follows_thought(item: &InputItem) -> bool {
    match item {
        InputItem::Message { role, .. } => *role == Role::Assistant,
        InputItem::Reasoning { .. } | InputItem::ToolCall(_) | InputItem::Verbatim { .. } => true,
        InputItem::ToolOutput { .. } => false,
    }
}

fn call_of(item: &InputItem) -> Option<&ToolCall> {
    match item {
        InputItem::ToolCall(call) => Some(call),
        _ => None,
    }
}

fn output_of(item: &InputItem) -> Option<&str> {
    match item {
        InputItem::ToolOutput { call_id, .. } => Some(call_id),
        _ => None,
    }
}

fn read(body: &str) -> Option<InputItem> {
    serde_json::from_str(body)
        .inspect_err(
            |error| tracing::warn!(%error, "an entry of a conversation cannot be read and is left out"),
        )
        .ok()
}

/// An item of a turn from before conversations were kept. A kind that the model is not told about is left
/// out.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> InputItem {
        InputItem::ToolCall(ToolCall {
            call_id: id.to_owned(),
            name: "t".to_owned(),
            input: ToolInput::Arguments("{}".to_owned()),
        })
    }

    fn answer(id: &str, text: &str) -> InputItem {
        let InputItem::ToolCall(call) = call(id) else { unreachable!() };
        output(&call, vec![Content::Text { text: text.to_owned() }], text != ABORTED)
    }

    fn thought(id: &str) -> InputItem {
        let (summary, content) = (Vec::new(), Vec::new());
        InputItem::Reasoning { id: id.to_owned(), summary, content, encrypted: None }
    }

    fn said(role: Role) -> InputItem {
        InputItem::text(role, "x")
    }

    const OLD_ITEM: &str =
        r#"{"type":"userMessage","id":"u","clientId":null,"content":[{"type":"text","text":"x"}]}"#;

    #[test]
    fn a_whole_conversation_is_left_as_it_is() {
        let whole = vec![
            said(Role::User),
            thought("r1"),
            call("a"),
            call("b"),
            answer("a", "1"),
            answer("b", "2"),
            thought("r2"),
            said(Role::Assistant),
        ];
        let mut mended = whole.clone();
        mend(&mut mended);
        assert_eq!(mended, whole);
    }

    #[test]
    fn calls_get_their_output_and_what_hangs_loose_goes() {
        let mut broken = vec![
            said(Role::User),
            call("a"),
            call("b"),
            answer("b", "2"),
            answer("nobody", "3"),
            thought("r1"),
            said(Role::User),
            call("c"),
            thought("r2"),
        ];
        mend(&mut broken);
        assert_eq!(
            broken,
            [
                said(Role::User),
                call("a"),
                call("b"),
                answer("b", "2"),
                answer("a", ABORTED),
                said(Role::User),
                call("c"),
                answer("c", ABORTED),
            ]
        );
    }

    #[test]
    fn what_was_kept_comes_back_behind_what_only_has_items() {
        let entries = [call("a"), answer("a", "1")];
        let stored = Conversation {
            items: vec![
                HistoryItem { kind: "plan".to_owned(), body: "{}".to_owned() },
                HistoryItem { kind: "userMessage".to_owned(), body: OLD_ITEM.to_owned() },
            ],
            entries: entries.iter().map(|entry| written(entry).expect("it encodes")).collect(),
        };
        assert_eq!(model_input(&stored), [said(Role::User), entries[0].clone(), entries[1].clone()]);
    }
}
