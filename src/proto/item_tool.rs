//! Items of tools: commands, patches, MCP and client tools, sub-agents, web searches, pictures.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::null_is_default;
use super::policy::ReasoningEffort;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CommandExecutionItem {
    /// The model's id of the call.
    pub id: String,
    /// The plugin that it belongs to.
    pub plugin_id: Option<String>,
    /// The skill's script that it runs.
    pub script_path: Option<String>,
    /// The command line.
    pub command: String,
    /// Where it runs.
    pub cwd: String,
    /// The id by which input can be written to it.
    pub process_id: Option<String>,
    /// Who wanted it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub source: CommandExecutionSource,
    /// How far it is.
    pub status: CommandExecutionStatus,
    /// What it does, as far as it was understood.
    pub command_actions: Vec<CommandAction>,
    /// Output of both streams in the order of arrival.
    pub aggregated_output: Option<String>,
    /// Exit code.
    pub exit_code: Option<i32>,
    /// Milliseconds that it took.
    pub duration_ms: Option<i64>,
}

/// Who wanted a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum CommandExecutionSource {
    /// The model.
    #[default]
    Agent,
    /// The user.
    UserShell,
    /// The model, in a session that goes on.
    UnifiedExecStartup,
    /// The model, writing into such a session.
    UnifiedExecInteraction,
}

/// How far a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum CommandExecutionStatus {
    /// It runs, or waits for approval.
    InProgress,
    /// It succeeded.
    Completed,
    /// It failed.
    Failed,
    /// It was not approved.
    Declined,
}

/// What a command does, as far as it was understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum CommandAction {
    /// It reads a file.
    Read {
        /// The part of the command line.
        command: String,
        /// The file's name.
        name: String,
        /// The file's path.
        path: String,
    },
    /// It lists files.
    ListFiles {
        /// The part of the command line.
        command: String,
        /// The folder.
        path: Option<String>,
    },
    /// It searches.
    Search {
        /// The part of the command line.
        command: String,
        /// What for.
        query: Option<String>,
        /// Where.
        path: Option<String>,
    },
    /// Anything else.
    Unknown {
        /// The part of the command line.
        command: String,
    },
}

/// A patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FileChangeItem {
    /// The model's id of the call.
    pub id: String,
    /// File by file.
    pub changes: Vec<FileUpdateChange>,
    /// How far it is.
    pub status: PatchApplyStatus,
}

/// The change of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FileUpdateChange {
    /// Absolute path.
    pub path: String,
    /// What happens to it.
    pub kind: PatchChangeKind,
    /// Unified diff; the whole text for a new or deleted file.
    pub diff: String,
}

/// What happens to a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum PatchChangeKind {
    /// It is made.
    Add,
    /// It is deleted.
    Delete,
    /// It is changed.
    Update {
        /// Where it moves to; snake_case on the wire.
        move_path: Option<String>,
    },
}

/// How far a patch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum PatchApplyStatus {
    /// It is applied, or waits for approval.
    InProgress,
    /// It is applied.
    Completed,
    /// It could not be applied.
    Failed,
    /// It was not approved.
    Declined,
}

/// A call of a tool of an MCP server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct McpToolCallItem {
    /// The model's id of the call.
    pub id: String,
    /// The server's name.
    pub server: String,
    /// The tool.
    pub tool: String,
    /// How far it is.
    pub status: ToolCallStatus,
    /// As the model gave them.
    pub arguments: Value,
    /// The app behind it; opaque.
    pub app_context: Option<Value>,
    /// The app's user interface, as older clients know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp_app_resource_uri: Option<String>,
    /// How that is shown; opaque.
    pub mcp_app_ui: Option<Value>,
    /// The plugin that it belongs to.
    pub plugin_id: Option<String>,
    /// Whether the tool says that it changes nothing.
    pub read_only_hint: Option<bool>,
    /// The server's result; opaque.
    pub result: Option<Value>,
    /// Why it failed.
    pub error: Option<McpToolCallError>,
    /// Milliseconds that it took.
    pub duration_ms: Option<i64>,
}

/// Why a call of an MCP tool failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct McpToolCallError {
    /// For people.
    pub message: String,
}

/// How far a tool call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ToolCallStatus {
    /// It runs.
    InProgress,
    /// It succeeded.
    Completed,
    /// It failed.
    Failed,
}

/// A call of a tool that the client carries out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DynamicToolCallItem {
    /// The model's id of the call.
    pub id: String,
    /// The tool's namespace.
    pub namespace: Option<String>,
    /// The tool.
    pub tool: String,
    /// As the model gave them.
    pub arguments: Value,
    /// How far it is.
    pub status: ToolCallStatus,
    /// The client's output.
    pub content_items: Option<Vec<DynamicToolContent>>,
    /// Whether the client says that it succeeded.
    pub success: Option<bool>,
    /// Milliseconds that it took.
    pub duration_ms: Option<i64>,
}

/// A part of the output of a client's tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum DynamicToolContent {
    /// Text.
    InputText {
        /// The words.
        text: String,
    },
    /// A picture.
    InputImage {
        /// Its address.
        image_url: String,
    },
    /// A sound.
    InputAudio {
        /// Its address.
        audio_url: String,
    },
}

/// A call of a tool that steers sub-agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CollabAgentToolCallItem {
    /// The model's id of the call.
    pub id: String,
    /// The tool.
    pub tool: CollabAgentTool,
    /// How far it is.
    pub status: CollabAgentToolCallStatus,
    /// The thread that calls.
    pub sender_thread_id: String,
    /// The threads that are meant.
    pub receiver_thread_ids: Vec<String>,
    /// What they are told.
    pub prompt: Option<String>,
    /// The model that they use.
    pub model: Option<String>,
    /// The effort that they use.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// How they are, by thread id; opaque.
    pub agents_states: BTreeMap<String, Value>,
}

/// Tools that steer sub-agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum CollabAgentTool {
    /// Make one.
    SpawnAgent,
    /// Send it input.
    SendInput,
    /// Load it again.
    ResumeAgent,
    /// Wait for it.
    Wait,
    /// End it.
    CloseAgent,
    /// Send it a message.
    SendMessage,
    /// Give it another task.
    FollowupTask,
    /// Stop its turn.
    InterruptAgent,
    /// See which there are.
    ListAgents,
}

/// How far such a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum CollabAgentToolCallStatus {
    /// It runs.
    InProgress,
    /// It succeeded.
    Completed,
    /// It failed.
    Failed,
    /// It was stopped.
    Interrupted,
}

/// Something happened to a sub-agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SubAgentActivityItem {
    /// The item's id.
    pub id: String,
    /// What happened.
    pub kind: SubAgentActivityKind,
    /// The sub-agent's thread.
    pub agent_thread_id: String,
    /// Its place in the tree of agents.
    pub agent_path: String,
    /// The model that it uses.
    pub model: Option<String>,
    /// The effort that it uses.
    pub reasoning_effort: Option<ReasoningEffort>,
}

/// What happened to a sub-agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum SubAgentActivityKind {
    /// It began.
    Started,
    /// It was spoken to.
    Interacted,
    /// It was stopped.
    Interrupted,
    /// It is done.
    Completed,
}

/// A search in the web.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WebSearchItem {
    /// The model's id of the call.
    pub id: String,
    /// What for.
    pub query: String,
    /// What exactly was done.
    pub action: Option<WebSearchAction>,
    /// What was found; opaque.
    pub results: Option<Vec<Value>>,
}

/// What a web search did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum WebSearchAction {
    /// It searched.
    Search {
        /// What for.
        query: Option<String>,
        /// What else for.
        queries: Option<Vec<String>>,
    },
    /// It opened a page.
    OpenPage {
        /// The page.
        url: Option<String>,
    },
    /// It searched within a page.
    FindInPage {
        /// The page.
        url: Option<String>,
        /// What for.
        pattern: Option<String>,
    },
    /// Anything else.
    #[serde(other)]
    Other,
}

/// The model looked at a picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ImageViewItem {
    /// The model's id of the call.
    pub id: String,
    /// The picture.
    pub path: String,
}

/// The model made a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ImageGenerationItem {
    /// The model's id of the call.
    pub id: String,
    /// The provider's word for how far it is.
    pub status: String,
    /// The prompt as the model changed it.
    pub revised_prompt: Option<String>,
    /// The provider's id.
    pub generation_id: Option<String>,
    /// The pictures that it is based on; opaque.
    #[serde(default, deserialize_with = "null_is_default")]
    pub input_images: Vec<Value>,
    /// Where it was saved.
    pub saved_path: Option<String>,
    /// Whether it has no background.
    pub transparent_background: Option<bool>,
    /// Why it failed; opaque.
    pub failure: Option<Value>,
}
