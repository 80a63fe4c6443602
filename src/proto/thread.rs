//! The thread record and what it is made of.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::null_is_default;
use super::policy::{
    ActivePermissionProfile, ApprovalsReviewer, AskForApproval, CollaborationMode, MultiAgentMode,
    Personality, ReasoningEffort, ReasoningSummary, SandboxPolicy,
};
use super::turn::Turn;

/// A thread as answers and notifications show it. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Thread {
    /// UUIDv7.
    pub id: String,
    /// Where its commands run, primary first; none while it is not loaded.
    pub environments: Option<Vec<ThreadEnvironment>>,
    /// Opaque additions of a hosting platform.
    pub extra: Option<Value>,
    /// The thread at the root of its tree; its own id if it is the root.
    pub session_id: String,
    /// The thread whose history it was copied from.
    pub forked_from_id: Option<String>,
    /// The thread that it is shown under.
    pub attached_to_thread_id: Option<String>,
    /// The thread that spawned it as a sub-agent.
    pub parent_thread_id: Option<String>,
    /// What the list shows: usually the first user message.
    pub preview: String,
    /// Whether it lives in memory only.
    pub ephemeral: bool,
    /// The section of the list that it is filed under.
    pub section: Option<ThreadSection>,
    /// When it came into the section.
    pub section_entered_at: Option<i64>,
    /// The project that it belongs to.
    pub project_id: Option<String>,
    /// How its history is kept and read.
    #[serde(default, deserialize_with = "null_is_default")]
    pub history_mode: ThreadHistoryMode,
    /// The provider's id.
    pub model_provider: String,
    /// The model's slug.
    pub model: Option<String>,
    /// The effort set for it.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// When it was made.
    pub created_at: i64,
    /// When it last changed.
    pub updated_at: i64,
    /// When it was last used; lists sort by it.
    pub recency_at: Option<i64>,
    /// What it is doing now.
    pub status: ThreadStatus,
    /// Its rollout file; none where the server keeps no such file.
    pub path: Option<String>,
    /// Absolute working directory.
    pub cwd: String,
    /// Version of the server that made it.
    pub cli_version: String,
    /// Name of the client that made it.
    pub originator: Option<String>,
    /// What kind of client made it.
    pub source: SessionSource,
    /// Whether clients may start turns in it.
    pub can_accept_direct_input: Option<bool>,
    /// The client's own label for why it exists.
    pub thread_source: Option<String>,
    /// Name of the sub-agent, if it is one.
    pub agent_nickname: Option<String>,
    /// Role of the sub-agent, if it is one.
    pub agent_role: Option<String>,
    /// The checkout that it works on.
    pub git_info: Option<GitInfo>,
    /// The name given by the user.
    pub name: Option<String>,
    /// Whether the access programme is on.
    pub daybreak_enabled: Option<bool>,
    /// Filled only where a method says so.
    pub turns: Vec<Turn>,
}

/// A place where a thread's commands run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadEnvironment {
    /// `local`, or the id of a remote one.
    pub environment_id: String,
    /// Working directory there.
    pub cwd: String,
    /// Absolute workspace roots there.
    pub runtime_workspace_roots: Vec<String>,
}

/// A section of the thread list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadSection {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Colour and icon, opaque.
    pub appearance: Option<Value>,
}

/// The state of a checkout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GitInfo {
    /// Commit.
    pub sha: Option<String>,
    /// Branch.
    pub branch: Option<String>,
    /// URL of the remote called origin.
    pub origin_url: Option<String>,
}

/// How a thread's history is kept and read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ThreadHistoryMode {
    /// As a whole.
    #[default]
    Legacy,
    /// By turns and items.
    Paginated,
}

/// What a thread is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ThreadStatus {
    /// Only in the store.
    NotLoaded,
    /// Loaded, no turn runs.
    Idle,
    /// The last turn ended by an error of the system.
    SystemError,
    /// A turn runs.
    Active {
        /// What the turn waits for.
        active_flags: Vec<ThreadActiveFlag>,
    },
}

/// What an active thread waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ThreadActiveFlag {
    /// Somebody has to approve.
    WaitingOnApproval,
    /// Somebody has to answer a question.
    WaitingOnUserInput,
}

/// What kind of client made a thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum SessionSource {
    /// The terminal UI.
    Cli,
    /// An editor, or any client that gives no other source.
    #[serde(rename = "vscode")]
    VsCode,
    /// A script.
    Exec,
    /// An app-server client.
    AppServer,
    /// Not known.
    Unknown,
    /// A client's own kind.
    Custom(String),
    /// A sub-agent; opaque.
    SubAgent(Value),
    /// A kind that this build does not know; kept as it came.
    #[serde(untagged)]
    Other(Value),
}

/// Where reading stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ThreadUnreadPosition {
    /// Nothing was read.
    ThreadStart,
    /// This turn is the first unread one.
    Turn {
        /// The turn.
        turn_id: String,
    },
}

/// What the user has read of a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadReadState {
    /// None if everything was read.
    pub first_unread: Option<ThreadUnreadPosition>,
    /// Changes with every change.
    pub revision: String,
}

/// The settings that the next turn of a thread will use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadSettings {
    /// Plugins switched off.
    #[serde(default, deserialize_with = "null_is_default")]
    pub disabled_plugin_ids: Vec<String>,
    /// Absolute working directory.
    pub cwd: String,
    /// Where commands run.
    pub environments: Option<Vec<ThreadEnvironment>>,
    /// When to ask.
    pub approval_policy: AskForApproval,
    /// Whom to ask.
    pub approvals_reviewer: ApprovalsReviewer,
    /// What commands may do.
    pub sandbox_policy: SandboxPolicy,
    /// The named profile behind it.
    pub active_permission_profile: Option<ActivePermissionProfile>,
    /// The model's slug.
    pub model: String,
    /// The provider's id.
    pub model_provider: String,
    /// The speed tier.
    pub service_tier: Option<String>,
    /// The effort.
    pub effort: Option<ReasoningEffort>,
    /// How reasoning is summed up.
    pub summary: Option<ReasoningSummary>,
    /// The mode.
    pub collaboration_mode: CollaborationMode,
    /// How readily work is handed on.
    #[serde(default, deserialize_with = "null_is_default")]
    pub multi_agent_mode: MultiAgentMode,
    /// The tone.
    pub personality: Option<Personality>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread/start answer of the reference, complete.
    const RECORDED: &str = r#"{"id":"01a1f967-995c-7ec0-b4f1-63521adfc844","environments":[{"environmentId":"local","cwd":"/srv/demo","runtimeWorkspaceRoots":["/srv/demo"]}],"extra":null,"sessionId":"01a1f967-995c-7ec0-b4f1-63521adfc844","forkedFromId":null,"attachedToThreadId":null,"parentThreadId":null,"preview":"first question","ephemeral":false,"section":null,"sectionEnteredAt":null,"projectId":null,"historyMode":"paginated","modelProvider":"mock","model":"gpt-5.5","reasoningEffort":null,"createdAt":1795185678,"updatedAt":1795185681,"recencyAt":1795185680,"status":{"type":"active","activeFlags":["waitingOnApproval"]},"path":null,"cwd":"/srv/demo","cliVersion":"0.169.0","originator":"probe","source":"vscode","canAcceptDirectInput":true,"threadSource":null,"agentNickname":null,"agentRole":null,"gitInfo":{"sha":"abc","branch":null,"originUrl":null},"name":"My name 2","daybreakEnabled":null,"turns":[]}"#;

    #[test]
    fn a_recorded_thread_round_trips() {
        let thread: Thread = serde_json::from_str(RECORDED).unwrap();
        assert_eq!(serde_json::to_string(&thread).unwrap(), RECORDED);
    }

    #[test]
    fn unknown_sources_are_kept() {
        for json in [
            r#""appServer""#,
            r#"{"custom":"mine"}"#,
            r#"{"subAgent":"review"}"#,
            r#""newKind""#,
            r#"{"new":1}"#,
        ] {
            let source: SessionSource = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&source).unwrap(), json);
        }
        assert_eq!(
            serde_json::from_str::<SessionSource>(r#""newKind""#).unwrap(),
            SessionSource::Other("newKind".into())
        );
    }
}
