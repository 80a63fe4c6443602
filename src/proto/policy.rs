//! What an agent may do and how it should think: approvals, sandbox, reasoning, personality.
//!
//! Wire types only. Which policy applies to a turn is decided by `agent`, how it is enforced by `sandbox`.

use serde::{Deserialize, Serialize};

use super::null_is_default;

/// When the agent has to ask before it acts.
///
/// The order of the variants is that of the reference, because its refusal of an unknown one lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AskForApproval {
    /// Ask for everything that is not known to be harmless.
    #[serde(rename = "untrusted")]
    UnlessTrusted,
    /// The model asks when it wants to leave the sandbox.
    OnRequest,
    /// Each kind of question is switched on or off by itself.
    Granular(GranularApproval),
    /// Never ask; what the sandbox refuses has failed.
    Never,
}

/// The switches of [`AskForApproval::Granular`]; their keys are snake_case on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GranularApproval {
    /// Ask when a command wants to leave the sandbox.
    pub sandbox_approval: bool,
    /// Ask when a command policy rule says so.
    pub rules: bool,
    /// Ask before a script of a skill runs.
    #[serde(default, deserialize_with = "null_is_default")]
    pub skill_approval: bool,
    /// Ask when the model requests more permissions.
    #[serde(default, deserialize_with = "null_is_default")]
    pub request_permissions: bool,
    /// Pass on the questions of MCP servers.
    pub mcp_elicitations: bool,
}

/// Who answers approval requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ApprovalsReviewer {
    /// The client's user.
    #[default]
    User,
    /// An automatic reviewer.
    AutoReview,
    /// The reviewer under its older name.
    GuardianSubagent,
}

/// The sandbox named in short, as threads are started with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SandboxMode {
    /// Reading everywhere, writing nowhere.
    ReadOnly,
    /// Writing in the workspace only.
    WorkspaceWrite,
    /// No sandbox.
    DangerFullAccess,
}

/// The sandbox in full, as turns are started with it and answers report it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum SandboxPolicy {
    /// No sandbox.
    DangerFullAccess,
    /// Reading everywhere, writing nowhere.
    ReadOnly {
        /// Whether commands may use the network.
        #[serde(default, deserialize_with = "null_is_default")]
        network_access: bool,
    },
    /// Somebody outside already confines this server.
    ExternalSandbox {
        /// What the outer sandbox allows.
        #[serde(default, deserialize_with = "null_is_default")]
        network_access: NetworkAccess,
    },
    /// Writing in the workspace and the named roots only.
    WorkspaceWrite {
        /// Absolute paths that may be written beside the working directory.
        #[serde(default, deserialize_with = "null_is_default")]
        writable_roots: Vec<String>,
        /// Whether commands may use the network.
        #[serde(default, deserialize_with = "null_is_default")]
        network_access: bool,
        /// Whether `$TMPDIR` stays read-only.
        #[serde(default, deserialize_with = "null_is_default")]
        exclude_tmpdir_env_var: bool,
        /// Whether `/tmp` stays read-only.
        #[serde(default, deserialize_with = "null_is_default")]
        exclude_slash_tmp: bool,
    },
}

/// The network as an outer sandbox leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum NetworkAccess {
    /// Not reachable, or not fully.
    #[default]
    Restricted,
    /// Reachable.
    Enabled,
}

/// How hard the model thinks (`low`, `high`, …). An open set: each model names its own efforts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct ReasoningEffort(pub String);

impl ReasoningEffort {
    /// The effort's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ReasoningEffort {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

/// How much of its reasoning the model sums up for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ReasoningSummary {
    /// The model decides.
    Auto,
    /// Short summaries.
    Concise,
    /// Long summaries.
    Detailed,
    /// No summary.
    None,
}

/// The tone in which the agent writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Personality {
    /// No instruction about it.
    None,
    /// Warm.
    Friendly,
    /// To the point.
    Pragmatic,
}

/// How readily the agent hands work to sub-agents.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum MultiAgentMode {
    /// Only when the user asks for it.
    #[default]
    ExplicitRequestOnly,
    /// Whenever it helps.
    Proactive,
    /// As these words say.
    Custom(String),
}

/// Under which access programme security work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum CyberAccessProgram {
    /// None in particular.
    Standard,
    /// The defenders' programme.
    DaybreakBlue,
    /// The attackers' programme.
    DaybreakRed,
}

/// The collaboration mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ModeKind {
    /// Work on what the user asks.
    #[default]
    Default,
    /// Make a plan, change nothing.
    Plan,
}

/// A collaboration mode together with the settings that it brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CollaborationMode {
    /// Which mode.
    pub mode: ModeKind,
    /// What the mode sets.
    pub settings: CollaborationSettings,
}

/// The settings of a [`CollaborationMode`]; their keys are snake_case on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CollaborationSettings {
    /// The model's slug.
    pub model: String,
    /// The effort; none leaves it to the model.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Instructions of the mode; none means the built-in ones.
    pub developer_instructions: Option<String>,
}

/// The named permission profile that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ActivePermissionProfile {
    /// The profile's name.
    pub id: String,
    /// The profile that it is derived from.
    pub extends: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: Serialize + serde::de::DeserializeOwned>(json: &str) {
        let value: T = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&value).unwrap(), json);
    }

    #[test]
    fn policies_keep_their_wire_form() {
        round_trip::<AskForApproval>(r#""untrusted""#);
        round_trip::<AskForApproval>(r#""on-request""#);
        round_trip::<AskForApproval>(
            r#"{"granular":{"sandbox_approval":true,"rules":false,"skill_approval":false,"request_permissions":true,"mcp_elicitations":false}}"#,
        );
        round_trip::<SandboxPolicy>(r#"{"type":"dangerFullAccess"}"#);
        round_trip::<SandboxPolicy>(
            r#"{"type":"workspaceWrite","writableRoots":[],"networkAccess":false,"excludeTmpdirEnvVar":false,"excludeSlashTmp":false}"#,
        );
        round_trip::<MultiAgentMode>(r#"{"custom":"only at night"}"#);
        round_trip::<ApprovalsReviewer>(r#""auto_review""#);
    }

    #[test]
    fn a_refused_policy_names_the_choices_in_the_order_of_the_reference() {
        let refused = |error: serde_json::Error| error.to_string();
        assert_eq!(
            refused(serde_json::from_value::<AskForApproval>("bogus".into()).unwrap_err()),
            "unknown variant `bogus`, expected one of `untrusted`, `on-request`, `granular`, `never`"
        );
        assert_eq!(
            refused(
                serde_json::from_value::<SandboxPolicy>(serde_json::json!({"type": "bogus"})).unwrap_err()
            ),
            "unknown variant `bogus`, expected one of `dangerFullAccess`, `readOnly`, `externalSandbox`, `workspaceWrite`"
        );
        assert_eq!(
            refused(serde_json::from_value::<SandboxMode>("bogus".into()).unwrap_err()),
            "unknown variant `bogus`, expected one of `read-only`, `workspace-write`, `danger-full-access`"
        );
    }

    #[test]
    fn left_out_and_null_switches_are_off() {
        let open = SandboxPolicy::ReadOnly { network_access: false };
        assert_eq!(serde_json::from_str::<SandboxPolicy>(r#"{"type":"readOnly"}"#).unwrap(), open);
        let null = r#"{"type":"readOnly","networkAccess":null}"#;
        assert_eq!(serde_json::from_str::<SandboxPolicy>(null).unwrap(), open);
    }
}
