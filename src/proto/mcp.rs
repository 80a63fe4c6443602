//! Calls that clients make of MCP servers, and what they are told of the servers' starts.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Notification;

/// Parameters of `mcpServer/tool/call`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct McpServerToolCallParams {
    /// The loaded thread in whose name it is called.
    pub thread_id: String,
    /// The server's name in the configuration.
    pub server: String,
    /// The tool's name there.
    pub tool: String,
    /// What it is called with; opaque.
    #[serde(default)]
    pub arguments: Option<Value>,
    /// Passed on to the server; opaque.
    #[serde(rename = "_meta", default)]
    pub meta: Option<Value>,
}

/// Answer to `mcpServer/tool/call`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct McpServerToolCallResponse {
    /// What the tool said; opaque pieces.
    pub content: Vec<Value>,
    /// The same for programs; opaque.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured_content: Option<Value>,
    /// The tool says that it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_error: Option<bool>,
    /// What the server added; opaque.
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    pub meta: Option<Value>,
}

/// Parameters of `mcpServer/oauth/login`; what it would take besides is of no use here.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct McpServerOauthLoginParams {
    /// The server's name in the configuration.
    pub name: String,
}

/// Parameters of `mcpServer/resource/read`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct McpResourceReadParams {
    /// The loaded thread in whose name it is read.
    #[serde(default)]
    pub thread_id: Option<String>,
    /// The server's name in the configuration.
    pub server: String,
    /// The resource.
    pub uri: String,
}

/// Answer to `mcpServer/resource/read`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct McpResourceReadResponse {
    /// Its contents; opaque pieces with `uri` and `text` or `blob`.
    pub contents: Vec<Value>,
}

/// `item/mcpToolCall/progress`: an MCP server tells how far a call is.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct McpToolCallProgress<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The turn.
    pub turn_id: &'a str,
    /// The item of the call.
    pub item_id: &'a str,
    /// The server's words.
    pub message: &'a str,
}

impl Notification for McpToolCallProgress<'_> {
    const METHOD: &'static str = "item/mcpToolCall/progress";
}

/// How far a server's start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum McpServerStartupState {
    /// It begins.
    Starting,
    /// The server can be used.
    Ready,
    /// It cannot.
    Failed,
    /// It was let go before that.
    Cancelled,
}

/// `mcpServer/startupStatus/updated`: an MCP server starts, or has started, or has not.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct McpServerStatusUpdated<'a> {
    /// The thread that it is started for; null, because the threads share the servers.
    pub thread_id: Option<&'a str>,
    /// The server's name in the configuration.
    pub name: &'a str,
    /// How far it is.
    pub status: McpServerStartupState,
    /// Why it failed.
    pub error: Option<&'a str>,
    /// Whether a sign-in is the matter; never known here.
    pub failure_reason: Option<&'a str>,
}

impl Notification for McpServerStatusUpdated<'_> {
    const METHOD: &'static str = "mcpServer/startupStatus/updated";
}
