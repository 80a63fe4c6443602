//! Turns: the record, its errors, and the `turn/…` methods.

use std::collections::BTreeMap;
use std::ops::Not;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::input::UserInput;
use super::item::ThreadItem;
use super::null_is_default;
use super::policy::{
    ApprovalsReviewer, AskForApproval, CollaborationMode, CyberAccessProgram, MultiAgentMode, Personality,
    ReasoningEffort, ReasoningSummary, SandboxPolicy,
};

/// A turn as answers and notifications show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// UUIDv7.
    pub id: String,
    /// The turn that set it off, across sub-agents; its own id if none did.
    pub root_turn_id: Option<String>,
    /// As many as `items_view` says.
    pub items: Vec<ThreadItem>,
    /// How much of the items is here.
    #[serde(default, deserialize_with = "null_is_default")]
    pub items_view: TurnItemsView,
    /// How far it is.
    pub status: TurnStatus,
    /// Why it failed.
    pub error: Option<TurnError>,
    /// Unix seconds.
    pub started_at: Option<i64>,
    /// Unix seconds.
    pub completed_at: Option<i64>,
    /// Milliseconds from start to end.
    pub duration_ms: Option<i64>,
}

/// How far a turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum TurnStatus {
    /// It ended as it should.
    Completed,
    /// It was stopped.
    Interrupted,
    /// It ended by an error.
    Failed,
    /// It runs.
    InProgress,
}

/// How much of a turn's items is meant or present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum TurnItemsView {
    /// None.
    NotLoaded,
    /// The user's first message and the agent's last one.
    Summary,
    /// All.
    Full,
}

/// An answer that leaves the view out carries all items.
impl Default for TurnItemsView {
    fn default() -> Self {
        Self::Full
    }
}

/// Why a turn, or one attempt of it, failed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnError {
    /// For people.
    pub message: String,
    /// For programs.
    pub codex_error_info: Option<CodexErrorInfo>,
    /// More for people.
    pub additional_details: Option<String>,
    /// Details of a policy violation; opaque.
    pub misalignment: Option<Value>,
}

/// Why a turn failed, for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CodexErrorInfo {
    /// The conversation does not fit into the model's context any more.
    ContextWindowExceeded,
    /// The session's budget is spent.
    SessionBudgetExceeded,
    /// The account's usage limit is reached.
    UsageLimitExceeded,
    /// Too many requests for now.
    RateLimitExceeded,
    /// No capacity of the cheap tier.
    FlexUnavailable,
    /// The provider is overloaded.
    ServerOverloaded,
    /// The provider does not know the model.
    ModelNotFound,
    /// No capacity of the policy checks.
    PolicyCapacityUnavailable,
    /// The security policy forbids it.
    CyberPolicy,
    /// The alignment policy forbids it.
    MisalignmentPolicyViolation,
    /// The reviewer denied too much.
    TooManyDenials,
    /// The provider, or this server, failed inside.
    InternalServerError,
    /// The provider does not accept the credentials.
    Unauthorized,
    /// The provider does not accept the request.
    BadRequest,
    /// The thread could not be rolled back.
    ThreadRollbackFailed,
    /// The sandbox failed.
    SandboxError,
    /// Anything else.
    Other,
    /// A hook forbids the model call.
    InferenceHookDenied,
    /// The provider could not be reached, or answered with an HTTP error.
    HttpConnectionFailed {
        /// The HTTP status, if there was an answer.
        http_status_code: Option<u16>,
    },
    /// The stream could not be opened.
    ResponseStreamConnectionFailed {
        /// The HTTP status, if there was an answer.
        http_status_code: Option<u16>,
    },
    /// The stream ended early.
    ResponseStreamDisconnected {
        /// The HTTP status, if there was one.
        http_status_code: Option<u16>,
    },
    /// All attempts are used up.
    ResponseTooManyFailedAttempts {
        /// The HTTP status of the last attempt, if there was one.
        http_status_code: Option<u16>,
    },
    /// The turn that runs cannot take more input.
    ActiveTurnNotSteerable {
        /// What kind of turn it is.
        turn_kind: NonSteerableTurnKind,
    },
}

/// Kinds of turns that take no input while they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum NonSteerableTurnKind {
    /// A review.
    Review,
    /// A compaction.
    Compact,
}

impl TurnStartParams {
    /// A turn that only has input.
    #[must_use]
    pub fn of(thread_id: String, input: Vec<UserInput>) -> Self {
        Self {
            thread_id,
            input,
            client_user_message_id: None,
            tool_output: None,
            turn_trigger: None,
            parent_turn_id: None,
            root_turn_id: None,
            responsesapi_client_metadata: None,
            responsesapi_client_metadata_patch: None,
            additional_context: None,
            environments: None,
            cwd: None,
            runtime_workspace_roots: None,
            approval_policy: None,
            approvals_reviewer: None,
            sandbox_policy: None,
            permissions: None,
            model: None,
            service_tier: None,
            service_tier_for_turn: None,
            effort: None,
            summary: None,
            personality: None,
            output_schema: None,
            collaboration_mode: None,
            multi_agent_mode: None,
            cyber_access_program: None,
            disabled_plugin_ids: None,
        }
    }
}

/// Parameters of `turn/start`. Settings given here stay for the turns that follow, unless they say otherwise.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnStartParams {
    /// The thread.
    pub thread_id: String,
    /// The client's own id for the message; comes back as `clientId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_user_message_id: Option<String>,
    /// What the user says; may be empty.
    pub input: Vec<UserInput>,
    /// An output of an outside tool that starts the turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_output: Option<TurnToolOutput>,
    /// The client's label for what set the turn off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_trigger: Option<String>,
    /// The turn that set it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_turn_id: Option<String>,
    /// The turn at the root of the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_turn_id: Option<String>,
    /// Replaces the metadata sent to the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responsesapi_client_metadata: Option<BTreeMap<String, String>>,
    /// Is merged into that metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responsesapi_client_metadata_patch: Option<BTreeMap<String, String>>,
    /// Context by source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_context: Option<BTreeMap<String, AdditionalContextEntry>>,
    /// Where commands run; empty means nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environments: Option<Vec<Value>>,
    /// Working directory.
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
    pub sandbox_policy: Option<SandboxPolicy>,
    /// A named permission profile instead of `sandboxPolicy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<String>,
    /// The model's slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The speed tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// The speed tier of this turn only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier_for_turn: Option<String>,
    /// The effort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<ReasoningEffort>,
    /// How reasoning is summed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<ReasoningSummary>,
    /// The tone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personality: Option<Personality>,
    /// JSON Schema that the last message of this turn must fit; opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Box<RawValue>>,
    /// The mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collaboration_mode: Option<CollaborationMode>,
    /// How readily work is handed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_agent_mode: Option<MultiAgentMode>,
    /// The access programme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cyber_access_program: Option<CyberAccessProgram>,
    /// Plugins to switch off; empty switches all on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_plugin_ids: Option<Vec<String>>,
}

/// An output of a tool outside of the conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnToolOutput {
    /// The tool.
    pub name: String,
    /// The tool's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// A string, or a list of content parts.
    pub output: Value,
    /// Keep it when the history is compacted.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub retain: bool,
}

/// Context that a client adds to a turn.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AdditionalContextEntry {
    /// How far it can be trusted.
    pub kind: AdditionalContextKind,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The words.
    pub value: String,
}

/// How far added context can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum AdditionalContextKind {
    /// Comes from anywhere.
    Untrusted,
    /// Comes from the client itself.
    Application,
}

/// Answer to `turn/start`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnStartResponse {
    /// The turn, just begun.
    pub turn: Turn,
}

/// Parameters of `turn/steer`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnSteerParams {
    /// The thread.
    pub thread_id: String,
    /// The client's own id for the message; comes back as `clientId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_user_message_id: Option<String>,
    /// What the user adds.
    pub input: Vec<UserInput>,
    /// Replaces the metadata sent to the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responsesapi_client_metadata: Option<BTreeMap<String, String>>,
    /// Is merged into that metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responsesapi_client_metadata_patch: Option<BTreeMap<String, String>>,
    /// Context by source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_context: Option<BTreeMap<String, AdditionalContextEntry>>,
    /// The turn that the user believes to be running.
    pub expected_turn_id: String,
}

/// Answer to `turn/steer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnSteerResponse {
    /// The turn that took the input.
    pub turn_id: String,
}

/// Parameters of `turn/interrupt`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnInterruptParams {
    /// The thread.
    pub thread_id: String,
    /// The turn to stop.
    pub turn_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: Serialize + serde::de::DeserializeOwned>(json: &str) {
        let value: T = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&value).unwrap(), json);
    }

    #[test]
    fn a_recorded_failed_turn_round_trips() {
        round_trip::<Turn>(
            r#"{"id":"01a1f967-9a55-7f72-9bcd-a761eb1c74f2","rootTurnId":"01a1f967-9a55-7f72-9bcd-a761eb1c74f2","items":[{"type":"agentMessage","moderation":null,"id":"msg_0_0","text":"Hello there friend","phase":null,"memoryCitation":null,"delivery":null,"questions":null,"startedAtMs":1795185679007,"completedAtMs":1795185679007}],"itemsView":"summary","status":"failed","error":{"message":"m","codexErrorInfo":{"responseStreamDisconnected":{"httpStatusCode":null}},"additionalDetails":null,"misalignment":null},"startedAt":1795185678,"completedAt":1795185679,"durationMs":80}"#,
        );
    }

    #[test]
    fn error_infos_round_trip() {
        round_trip::<CodexErrorInfo>(r#""usageLimitExceeded""#);
        round_trip::<CodexErrorInfo>(r#"{"httpConnectionFailed":{"httpStatusCode":401}}"#);
        round_trip::<CodexErrorInfo>(r#"{"activeTurnNotSteerable":{"turnKind":"review"}}"#);
    }

    #[test]
    fn an_unknown_kind_of_input_is_refused_in_the_words_of_the_reference() {
        let params = serde_json::json!({"threadId": "t", "input": [{"type": "bogus"}]});
        assert_eq!(
            serde_json::from_value::<TurnStartParams>(params).unwrap_err().to_string(),
            "unknown variant `bogus`, expected one of `text`, `image`, `localImage`, `audio`, `localAudio`, `skill`, `mention`"
        );
        assert!(serde_json::from_str::<UserInput>(r#"{"type":"image"}"#).is_err());
    }

    #[test]
    fn recorded_start_params_decode() {
        let params: TurnStartParams = serde_json::from_str(
            r#"{"threadId":"t","input":[{"type":"text","text":"x"}],"clientUserMessageId":"cm1","effort":"high","summary":"concise","sandboxPolicy":{"type":"externalSandbox"},"outputSchema":{"type":"object"},"environments":null}"#,
        )
        .unwrap();
        assert_eq!(params.effort.unwrap().as_str(), "high");
        assert_eq!(params.output_schema.unwrap().get(), r#"{"type":"object"}"#);
        assert_eq!(params.input, [UserInput::Text { text: "x".into(), text_elements: Vec::new() }]);
    }
}
