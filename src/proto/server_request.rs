//! Requests that the server sends to clients, and the clients' answers: approvals. Those about tools and
//! questions are in `server_request_tool`.
//!
//! Which client may answer, and what nobody's answer means, is not decided here.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::item_tool::CommandAction;
use super::null_is_default;
use super::thread::ThreadActiveFlag;

/// What the server asks its clients.
pub trait ServerRequest: Serialize + Sized {
    /// The request's method, for example `item/commandExecution/requestApproval`.
    const METHOD: &'static str;
    /// What a thread is said to wait for while the request is open, if it is said.
    const WAITS_FOR: Option<ThreadActiveFlag>;
    /// What a client answers.
    type Answer: DeserializeOwned;

    /// The request as clients without the experimental capability get it, where that is less.
    #[must_use]
    fn stable(&self) -> Option<Self> {
        None
    }
}

/// `item/commandExecution/requestApproval`: may this command run?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CommandApprovalParams {
    /// What is to be approved.
    #[serde(default, deserialize_with = "null_is_default")]
    pub kind: CommandApprovalKind,
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// The item of the command.
    pub item_id: String,
    /// Unix milliseconds.
    pub started_at_ms: i64,
    /// Tells several approvals of one item apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<String>,
    /// Where it runs.
    pub environment_id: Option<String>,
    /// Why it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The command line, as it is shown.
    pub command: Option<String>,
    /// Where it runs.
    pub cwd: Option<String>,
    /// What it does, as far as it was understood.
    pub command_actions: Option<Vec<CommandAction>>,
    /// Beginnings of command lines that the client may allow for good, as words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed_execpolicy_amendment: Option<Vec<String>>,
    /// What the client may offer its user; other decisions are taken as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_decisions: Option<Vec<CommandDecision>>,
}

/// What a command approval is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum CommandApprovalKind {
    /// A command of the model.
    #[default]
    Command,
    /// Input for a running command.
    WriteStdin,
    /// A command of the user.
    HumanCommand,
}

/// What a client says about a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum CommandDecision {
    /// It may run.
    Accept,
    /// It may run, now and as long as the thread is loaded.
    AcceptForSession,
    /// It may run, and so may every command that begins with these words; snake_case on the wire.
    #[serde(rename_all = "snake_case")]
    AcceptWithExecpolicyAmendment {
        /// The words.
        execpolicy_amendment: Vec<String>,
    },
    /// A host is allowed or denied for good; snake_case on the wire.
    #[serde(rename_all = "snake_case")]
    ApplyNetworkPolicyAmendment {
        /// The rule.
        network_policy_amendment: NetworkPolicyAmendment,
    },
    /// It may not run; the turn goes on.
    Decline,
    /// It may not run, and the turn ends.
    Cancel,
}

/// A rule for one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NetworkPolicyAmendment {
    /// What the rule does.
    pub action: NetworkPolicyRuleAction,
    /// The host.
    pub host: String,
}

/// What a rule for a host does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum NetworkPolicyRuleAction {
    /// It may be reached.
    Allow,
    /// It may not.
    Deny,
}

/// The answer to [`CommandApprovalParams`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CommandApprovalResponse {
    /// The decision.
    pub decision: CommandDecision,
}

impl ServerRequest for CommandApprovalParams {
    const METHOD: &'static str = "item/commandExecution/requestApproval";
    const WAITS_FOR: Option<ThreadActiveFlag> = Some(ThreadActiveFlag::WaitingOnApproval);
    type Answer = CommandApprovalResponse;

    fn stable(&self) -> Option<Self> {
        self.available_decisions.is_some().then(|| Self { available_decisions: None, ..self.clone() })
    }
}

/// `item/fileChange/requestApproval`: may these files be changed?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FileChangeApprovalParams {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// The item of the patch, which has the changes.
    pub item_id: String,
    /// Unix milliseconds.
    pub started_at_ms: i64,
    /// Why it is asked.
    pub reason: Option<String>,
    /// A folder that would be writable from here on.
    pub grant_root: Option<String>,
}

/// What a client says about a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum FileChangeDecision {
    /// It may be applied.
    Accept,
    /// It may be applied, and so may later ones of the same files.
    AcceptForSession,
    /// It may not be applied; the turn goes on.
    Decline,
    /// It may not be applied, and the turn ends.
    Cancel,
}

/// The answer to [`FileChangeApprovalParams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FileChangeApprovalResponse {
    /// The decision.
    pub decision: FileChangeDecision,
}

impl ServerRequest for FileChangeApprovalParams {
    const METHOD: &'static str = "item/fileChange/requestApproval";
    const WAITS_FOR: Option<ThreadActiveFlag> = Some(ThreadActiveFlag::WaitingOnApproval);
    type Answer = FileChangeApprovalResponse;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_keep_their_wire_form() {
        for json in [
            r#"{"decision":"acceptForSession"}"#,
            r#"{"decision":{"acceptWithExecpolicyAmendment":{"execpolicy_amendment":["git","log"]}}}"#,
            r#"{"decision":{"applyNetworkPolicyAmendment":{"network_policy_amendment":{"action":"deny","host":"h"}}}}"#,
        ] {
            let answer: CommandApprovalResponse = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&answer).unwrap(), json);
        }
        assert!(serde_json::from_str::<CommandApprovalResponse>(r#"{"decision":"maybe"}"#).is_err());
        assert!(serde_json::from_str::<FileChangeApprovalResponse>(r#"{"decision":"approved"}"#).is_err());
    }
}
