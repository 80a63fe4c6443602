//! What a model is asked: the conversation as the model sees it, and the tools that it may call.
//!
//! The entries of the conversation are kept in the store as JSON, so their form is an interface: a field may
//! be added with a default, none may change its meaning.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::proto::{MessagePhase, ReasoningEffort, ReasoningSummary};

/// What a model is asked.
#[derive(Debug, Clone, Default)]
pub struct ModelRequest {
    /// The model's name.
    pub model: String,
    /// The system prompt. Empty for none.
    pub instructions: String,
    /// The conversation, oldest first.
    pub input: Vec<InputItem>,
    /// The tools that the model may call.
    pub tools: Vec<ToolSpec>,
    /// How hard the model thinks.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// How it sums up what it thought.
    pub reasoning_summary: Option<ReasoningSummary>,
    /// JSON Schema that the last message has to fit.
    pub output_schema: Option<Box<RawValue>>,
    /// The speed tier.
    pub service_tier: Option<String>,
    /// The thread's id: lets a provider cache what it has read before.
    pub conversation_id: String,
    /// W3C trace context of the call (`traceparent`), if there is one.
    pub traceparent: Option<String>,
}

/// One entry of the conversation as the model sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum InputItem {
    /// Somebody said something.
    Message {
        /// Who.
        role: Role,
        /// What.
        content: Vec<Content>,
        /// Whether it is the answer, if the model said so; given back to it.
        #[serde(default)]
        phase: Option<MessagePhase>,
    },
    /// What the model thought, given back to it as it gave it.
    Reasoning {
        /// The id that the model gave it.
        id: String,
        /// The summary, part by part.
        #[serde(default)]
        summary: Vec<String>,
        /// The thoughts themselves, as far as the model shows them.
        #[serde(default)]
        content: Vec<String>,
        /// The thoughts as only the provider can read them.
        #[serde(default)]
        encrypted: Option<String>,
    },
    /// The model called a tool.
    ToolCall(ToolCall),
    /// What the tool answered.
    ToolOutput {
        /// The call.
        call_id: String,
        /// True if the call was of a [`ToolSpec::Freeform`] tool.
        #[serde(default)]
        freeform: bool,
        /// The answer.
        content: Vec<Content>,
        /// False if the tool failed; for providers that want to know.
        success: bool,
    },
    /// An entry in the provider's own form, put in by a client; passed on as it is.
    Verbatim {
        /// A JSON object of the Responses API.
        item: Value,
    },
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// The program around the model: rules and circumstances.
    Developer,
    /// The user.
    User,
    /// The model.
    Assistant,
}

/// A piece of what is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Content {
    /// Words.
    Text {
        /// The words.
        text: String,
    },
    /// A picture.
    Image {
        /// Where it is: `https:` or `data:`.
        url: String,
    },
}

/// The model's wish to have a tool do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolCall {
    /// Joins the call and its output; given by the model.
    pub call_id: String,
    /// The tool's name.
    pub name: String,
    /// What it is to do.
    pub input: ToolInput,
}

/// What a tool is called with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "camelCase")]
pub enum ToolInput {
    /// JSON text, as the model wrote it; not checked.
    Arguments(String),
    /// Free text.
    Freeform(String),
}

/// A tool that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolSpec {
    /// Takes JSON.
    Function {
        /// The name.
        name: String,
        /// What it does, for the model.
        description: String,
        /// JSON Schema of its arguments.
        parameters: Value,
        /// The provider must hold the model to the schema.
        strict: bool,
    },
    /// Takes free text of a grammar.
    Freeform {
        /// The name.
        name: String,
        /// What it does, for the model.
        description: String,
        /// The grammar in lark's notation.
        lark: String,
    },
}

impl InputItem {
    /// Words of somebody.
    #[must_use]
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self::Message { role, content: vec![Content::Text { text: text.into() }], phase: None }
    }

    /// The words of a message of `role`, a piece a line; none for anything else.
    #[must_use]
    pub fn words_of(&self, role: Role) -> Option<String> {
        match self {
            Self::Message { role: speaker, content, .. } if *speaker == role => Some(words(content)),
            _ => None,
        }
    }
}

impl ToolSpec {
    /// The tool's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Function { name, .. } | Self::Freeform { name, .. } => name,
        }
    }
}

/// The words of `content`, a piece a line.
#[must_use]
pub fn words(content: &[Content]) -> String {
    let texts: Vec<&str> = content
        .iter()
        .filter_map(|piece| match piece {
            Content::Text { text } => Some(text.as_str()),
            Content::Image { .. } => None,
        })
        .collect();
    texts.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_from_their_json() {
        let call = ToolCall {
            call_id: "c1".to_owned(),
            name: "exec_command".to_owned(),
            input: ToolInput::Arguments("{}".to_owned()),
        };
        let entries = [
            InputItem::text(Role::User, "hello"),
            InputItem::Reasoning {
                id: "rs_1".to_owned(),
                summary: vec!["s".to_owned()],
                content: Vec::new(),
                encrypted: Some("x".to_owned()),
            },
            InputItem::ToolCall(call),
            InputItem::ToolOutput {
                call_id: "c1".to_owned(),
                freeform: false,
                content: vec![Content::Image { url: "data:,".to_owned() }],
                success: true,
            },
            InputItem::Verbatim { item: serde_json::json!({"type": "message"}) },
        ];
        for entry in entries {
            let json = serde_json::to_string(&entry).expect("it encodes");
            assert_eq!(serde_json::from_str::<InputItem>(&json).expect(&json), entry);
        }
    }

    #[test]
    fn words_are_those_of_the_role_asked_for() {
        let said = InputItem::text(Role::User, "hello");
        assert_eq!(said.words_of(Role::User).as_deref(), Some("hello"));
        assert_eq!(said.words_of(Role::Assistant), None);
    }
}
