//! Requests to clients about tools and questions: tools that clients carry out, questions to the user, and
//! what MCP servers want to know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::item_tool::DynamicToolContent;
use super::null_is_default;
use super::server_request::ServerRequest;
use super::thread::ThreadActiveFlag;

/// A tool that a client brings along, or a namespace of such tools.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DynamicToolSpec {
    /// Which of the two.
    #[serde(default, rename = "type", deserialize_with = "null_is_default")]
    pub kind: DynamicToolKind,
    /// The tool's name, or the namespace's.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of a tool's arguments; opaque.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub input_schema: Value,
    /// A namespace's tools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<DynamicToolSpec>,
}

/// What a client brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum DynamicToolKind {
    /// A tool; clients leave it out.
    #[default]
    Function,
    /// A namespace with tools.
    Namespace,
}

/// `item/tool/call`: carry out a tool that the client brought along.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DynamicToolCallParams {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// The model's id of the call, which is the item's as well.
    pub call_id: String,
    /// The tool's namespace.
    pub namespace: Option<String>,
    /// The tool.
    pub tool: String,
    /// As the model gave them.
    pub arguments: Value,
}

/// The answer to [`DynamicToolCallParams`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DynamicToolCallResponse {
    /// The output.
    pub content_items: Vec<DynamicToolContent>,
    /// Whether it succeeded.
    pub success: bool,
}

impl ServerRequest for DynamicToolCallParams {
    const METHOD: &'static str = "item/tool/call";
    const WAITS_FOR: Option<ThreadActiveFlag> = None;
    type Answer = DynamicToolCallResponse;
}

/// `item/tool/requestUserInput`: questions to the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct UserInputParams {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// The model's id of the call.
    pub item_id: String,
    /// The questions.
    pub questions: Vec<UserInputQuestion>,
    /// Whether the turn waits for the answer.
    pub is_blocking: bool,
    /// Deprecated, and null.
    pub auto_resolution_ms: Option<u64>,
}

/// A question to the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct UserInputQuestion {
    /// Names it in the answer.
    pub id: String,
    /// A word or two.
    pub header: String,
    /// The question.
    pub question: String,
    /// Whether an answer beside the options is taken.
    #[serde(default, deserialize_with = "null_is_default")]
    pub is_other: bool,
    /// Whether what is typed should not be shown.
    #[serde(default, deserialize_with = "null_is_default")]
    pub is_secret: bool,
    /// What the user may choose from.
    pub options: Option<Vec<UserInputOption>>,
}

/// A choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UserInputOption {
    /// The answer's text.
    pub label: String,
    /// What it means.
    pub description: String,
}

/// The answer to [`UserInputParams`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UserInputResponse {
    /// By the question's id.
    pub answers: BTreeMap<String, UserInputAnswer>,
}

/// The user's answer to one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UserInputAnswer {
    /// What was chosen or typed.
    pub answers: Vec<String>,
}

impl ServerRequest for UserInputParams {
    const METHOD: &'static str = "item/tool/requestUserInput";
    const WAITS_FOR: Option<ThreadActiveFlag> = Some(ThreadActiveFlag::WaitingOnUserInput);
    type Answer = UserInputResponse;
}

/// `mcpServer/elicitation/request`: an MCP server wants to know something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ElicitationParams {
    /// The thread.
    pub thread_id: String,
    /// The turn, if one runs.
    pub turn_id: Option<String>,
    /// The server.
    pub server_name: String,
    /// What it wants.
    #[serde(flatten)]
    pub request: Elicitation,
}

/// What an MCP server wants to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "mode", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Elicitation {
    /// The fields of a form.
    Form {
        /// Opaque.
        #[serde(rename = "_meta")]
        meta: Option<Value>,
        /// For the user.
        message: String,
        /// The MCP server's schema of the fields; opaque.
        requested_schema: Value,
    },
    /// Something done in the browser.
    Url {
        /// Opaque.
        #[serde(rename = "_meta")]
        meta: Option<Value>,
        /// For the user.
        message: String,
        /// Where to.
        url: String,
        /// Names it.
        elicitation_id: String,
    },
}

/// The answer to [`ElicitationParams`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ElicitationResponse {
    /// What the user did.
    pub action: ElicitationAction,
    /// The form's fields, if it was accepted; opaque.
    #[serde(default)]
    pub content: Option<Value>,
    /// Opaque.
    #[serde(rename = "_meta", default)]
    pub meta: Option<Value>,
}

/// What the user did with an elicitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ElicitationAction {
    /// Answered.
    Accept,
    /// Said no.
    Decline,
    /// Went away.
    Cancel,
}

impl ServerRequest for ElicitationParams {
    const METHOD: &'static str = "mcpServer/elicitation/request";
    const WAITS_FOR: Option<ThreadActiveFlag> = Some(ThreadActiveFlag::WaitingOnApproval);
    type Answer = ElicitationResponse;
}
