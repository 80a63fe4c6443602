//! `thread/start`, `thread/resume`, `thread/fork`: what makes or loads a thread.

use std::ops::Not;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::null_is_default;
use super::policy::{
    ActivePermissionProfile, ApprovalsReviewer, AskForApproval, CollaborationMode, MultiAgentMode,
    Personality, ReasoningEffort, SandboxMode, SandboxPolicy,
};
use super::server_request_tool::DynamicToolSpec;
use super::thread::{Thread, ThreadHistoryMode};
use super::thread_read::{SortDirection, TurnsPage};
use super::turn::TurnItemsView;

/// Parameters of `thread/start`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadStartParams {
    /// The model's slug; none means the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The provider's id; none means the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    /// Take the provider's default model if it does not have this one.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub allow_provider_model_fallback: bool,
    /// The speed tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Working directory; a relative one is resolved by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Absolute workspace roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_workspace_roots: Option<Vec<String>>,
    /// When to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_policy: Option<AskForApproval>,
    /// Whom to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals_reviewer: Option<ApprovalsReviewer>,
    /// What commands may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxMode>,
    /// A named permission profile instead of `sandbox`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<String>,
    /// Configuration overrides by dotted key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Map<String, Value>>,
    /// Name under which requests are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// Replaces the built-in instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_instructions: Option<String>,
    /// Added to the instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub developer_instructions: Option<String>,
    /// The tone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personality: Option<Personality>,
    /// How readily work is handed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_agent_mode: Option<MultiAgentMode>,
    /// Keep it in memory only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<bool>,
    /// Why the session starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_start_source: Option<ThreadStartSource>,
    /// The client's own label for why it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_source: Option<String>,
    /// How its history is kept; none means paginated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_mode: Option<ThreadHistoryMode>,
    /// The project that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Where commands run; empty means nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environments: Option<Vec<Value>>,
    /// Tools that the client itself carries out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic_tools: Option<Vec<DynamicToolSpec>>,
    /// Capability roots of a hosting platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected_capability_roots: Option<Vec<Value>>,
    /// Whether the access programme is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daybreak_enabled: Option<bool>,
    /// Also send the model's raw items.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub experimental_raw_events: bool,
    /// Exists to test the gate of experimental fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mock_experimental_field: Option<String>,
}

/// Why a session starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ThreadStartSource {
    /// The client was started.
    Startup,
    /// The user cleared the screen.
    Clear,
}

/// Answer to `thread/start` and `thread/fork`: the thread and its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadStartResponse {
    /// The thread.
    pub thread: Thread,
    /// The model's slug.
    pub model: String,
    /// The provider's id.
    pub model_provider: String,
    /// The speed tier.
    pub service_tier: Option<String>,
    /// Plugins switched off.
    #[serde(default, deserialize_with = "null_is_default")]
    pub disabled_plugin_ids: Vec<String>,
    /// Absolute working directory.
    pub cwd: String,
    /// Absolute workspace roots.
    #[serde(default, deserialize_with = "null_is_default")]
    pub runtime_workspace_roots: Vec<String>,
    /// Files that instructions were read from.
    #[serde(default, deserialize_with = "null_is_default")]
    pub instruction_sources: Vec<String>,
    /// When to ask.
    pub approval_policy: AskForApproval,
    /// Whom to ask.
    pub approvals_reviewer: ApprovalsReviewer,
    /// What commands may do.
    pub sandbox: SandboxPolicy,
    /// The named profile behind it.
    pub active_permission_profile: Option<ActivePermissionProfile>,
    /// The effort.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// How readily work is handed on.
    #[serde(default, deserialize_with = "null_is_default")]
    pub multi_agent_mode: MultiAgentMode,
}

/// Answer to `thread/fork`; the same as that to `thread/start`.
pub type ThreadForkResponse = ThreadStartResponse;

/// Parameters of `thread/resume`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadResumeParams {
    /// The thread.
    pub thread_id: String,
    /// A history to use instead of the stored one; opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Box<RawValue>>,
    /// A rollout file to resume from instead of the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Overrides the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Overrides the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    /// Overrides the speed tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Overrides the working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Overrides the workspace roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_workspace_roots: Option<Vec<String>>,
    /// Overrides when to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_policy: Option<AskForApproval>,
    /// Overrides whom to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals_reviewer: Option<ApprovalsReviewer>,
    /// Overrides what commands may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxMode>,
    /// A named permission profile instead of `sandbox`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<String>,
    /// Configuration overrides by dotted key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Map<String, Value>>,
    /// Replaces the built-in instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_instructions: Option<String>,
    /// Added to the instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub developer_instructions: Option<String>,
    /// Overrides the tone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personality: Option<Personality>,
    /// Leave `thread.turns` empty.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub exclude_turns: bool,
    /// The last `seq` that the client knows; this server's extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_seq: Option<u64>,
    /// Also answer with a first page of turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_turns_page: Option<InitialTurnsPageParams>,
}

/// Which first page of turns `thread/resume` should add.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct InitialTurnsPageParams {
    /// At most this many turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The order; none means newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_direction: Option<SortDirection>,
    /// How much of each turn's items; none means the summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_view: Option<TurnItemsView>,
}

/// Answer to `thread/resume`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadResumeResponse {
    /// The thread.
    pub thread: Thread,
    /// The model's slug.
    pub model: String,
    /// The provider's id.
    pub model_provider: String,
    /// The speed tier.
    pub service_tier: Option<String>,
    /// Plugins switched off.
    #[serde(default, deserialize_with = "null_is_default")]
    pub disabled_plugin_ids: Vec<String>,
    /// Absolute working directory.
    pub cwd: String,
    /// Absolute workspace roots.
    #[serde(default, deserialize_with = "null_is_default")]
    pub runtime_workspace_roots: Vec<String>,
    /// Files that instructions were read from.
    #[serde(default, deserialize_with = "null_is_default")]
    pub instruction_sources: Vec<String>,
    /// When to ask.
    pub approval_policy: AskForApproval,
    /// Whom to ask.
    pub approvals_reviewer: ApprovalsReviewer,
    /// What commands may do.
    pub sandbox: SandboxPolicy,
    /// The named profile behind it.
    pub active_permission_profile: Option<ActivePermissionProfile>,
    /// The effort.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// The mode.
    pub collaboration_mode: Option<CollaborationMode>,
    /// How readily work is handed on.
    #[serde(default, deserialize_with = "null_is_default")]
    pub multi_agent_mode: MultiAgentMode,
    /// The page that was asked for.
    pub initial_turns_page: Option<TurnsPage>,
    /// From here `thread/turns/list` goes back.
    pub turns_backwards_cursor: Option<String>,
    /// From here `thread/items/list` goes back.
    pub items_backwards_cursor: Option<String>,
}

/// Parameters of `thread/fork`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadForkParams {
    /// The thread to copy.
    pub thread_id: String,
    /// The last turn to copy; none means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_turn_id: Option<String>,
    /// Copy what is before this turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_turn_id: Option<String>,
    /// A rollout file to copy instead of the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Overrides the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Overrides the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    /// Overrides the speed tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Overrides the working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Overrides the workspace roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_workspace_roots: Option<Vec<String>>,
    /// Overrides when to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_policy: Option<AskForApproval>,
    /// Overrides whom to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals_reviewer: Option<ApprovalsReviewer>,
    /// Overrides what commands may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxMode>,
    /// A named permission profile instead of `sandbox`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<String>,
    /// Configuration overrides by dotted key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Map<String, Value>>,
    /// Replaces the built-in instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_instructions: Option<String>,
    /// Added to the instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub developer_instructions: Option<String>,
    /// Keep the copy in memory only.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub ephemeral: bool,
    /// The client's own label for why it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_source: Option<String>,
    /// Leave `thread.turns` empty.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub exclude_turns: bool,
    /// Show the copy under the original.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub attach_to_source: bool,
    /// Do not go on with the original's goal by itself.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub defer_goal_continuation: bool,
    /// The copy only predicts the next input.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub experimental_prediction_mode: bool,
    /// A predicting copy gets no MCP servers.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub experimental_disable_prediction_mcp: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_params_are_enough_to_start() {
        let params: ThreadStartParams = serde_json::from_str("{}").unwrap();
        assert!(params.model.is_none() && !params.experimental_raw_events);
        assert_eq!(serde_json::to_string(&params).unwrap(), "{}");
    }

    #[test]
    fn params_of_the_terminal_client_decode() {
        let params: ThreadStartParams = serde_json::from_str(
            r#"{"model":null,"cwd":null,"approvalPolicy":null,"sandbox":"read-only","ephemeral":false,"config":{"model_reasoning_effort":"low"},"historyMode":"paginated","environments":[],"dynamicTools":[{"name":"t","description":"d","inputSchema":{}}],"experimentalRawEvents":null,"notKnown":[1]}"#,
        )
        .unwrap();
        assert_eq!(params.sandbox, Some(SandboxMode::ReadOnly));
        assert_eq!(params.history_mode, Some(ThreadHistoryMode::Paginated));
        assert_eq!(params.dynamic_tools.unwrap().len(), 1);
        assert!(params.environments.unwrap().is_empty() && params.approval_policy.is_none());
    }

    #[test]
    fn resume_params_decode() {
        let params: ThreadResumeParams = serde_json::from_str(
            r#"{"threadId":"t","excludeTurns":true,"initialTurnsPage":{"limit":1,"itemsView":"full"},"history":[{"type":"message"}]}"#,
        )
        .unwrap();
        assert!(params.exclude_turns);
        assert_eq!(params.initial_turns_page.unwrap().items_view, Some(TurnItemsView::Full));
        assert_eq!(params.history.unwrap().get(), r#"[{"type":"message"}]"#);
    }

    #[test]
    fn params_may_be_positional() {
        let params: ThreadStartParams = serde_json::from_str(r#"["gpt-5.5","mock"]"#).unwrap();
        assert_eq!(params.model_provider.as_deref(), Some("mock"));
    }
}
