//! Lists of what a server offers beside models: skills, hooks, MCP servers, features, profiles, modes.

use std::collections::BTreeMap;
use std::ops::Not;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::null_is_default;
use super::policy::{ModeKind, ReasoningEffort};

/// Parameters of `skills/list`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SkillsListParams {
    /// Whose skills; empty means the server's working directory.
    #[serde(default, deserialize_with = "null_is_default")]
    pub cwds: Vec<String>,
    /// Look at the files again.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub force_reload: bool,
}

/// Answer to `skills/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SkillsListResponse {
    /// One entry for each working directory.
    pub data: Vec<SkillsListEntry>,
}

/// The skills of a working directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SkillsListEntry {
    /// The working directory.
    pub cwd: String,
    /// The skills.
    pub skills: Vec<SkillMetadata>,
    /// Files that could not be read.
    pub errors: Vec<PathError>,
}

/// A skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SkillMetadata {
    /// Its name.
    pub name: String,
    /// When to use it.
    pub description: String,
    /// The same in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_description: Option<String>,
    /// How clients show it; opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<Value>,
    /// What it needs; opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependencies: Option<Value>,
    /// Its file.
    pub path: String,
    /// Where it comes from.
    pub scope: SkillScope,
    /// Whether it is used.
    pub enabled: bool,
    /// The plugin that it belongs to.
    pub plugin_id: Option<String>,
}

/// Where a skill comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum SkillScope {
    /// The user.
    User,
    /// The repository.
    Repo,
    /// The server.
    System,
    /// The machine.
    Admin,
}

/// A file that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PathError {
    /// The file.
    pub path: String,
    /// Why.
    pub message: String,
}

/// Parameters of `hooks/list`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HooksListParams {
    /// Whose hooks; empty means the server's working directory.
    #[serde(default, deserialize_with = "null_is_default")]
    pub cwds: Vec<String>,
    /// The thread that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
}

/// Answer to `hooks/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HooksListResponse {
    /// One entry for each working directory.
    pub data: Vec<HooksListEntry>,
}

/// The hooks of a working directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HooksListEntry {
    /// The working directory.
    pub cwd: String,
    /// The hooks; opaque.
    pub hooks: Vec<Value>,
    /// What is odd about them.
    pub warnings: Vec<String>,
    /// Files that could not be read.
    pub errors: Vec<PathError>,
}

/// Parameters of `mcpServerStatus/list`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ListMcpServerStatusParams {
    /// `nextCursor` of an earlier answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// How much about each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<McpServerStatusDetail>,
    /// Only this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The thread whose servers are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
}

/// How much `mcpServerStatus/list` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum McpServerStatusDetail {
    /// Everything.
    Full,
    /// No resources.
    ToolsAndAuthOnly,
}

/// Answer to `mcpServerStatus/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ListMcpServerStatusResponse {
    /// The page.
    pub data: Vec<McpServerStatus>,
    /// The next page; none at the end.
    pub next_cursor: Option<String>,
}

/// An MCP server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct McpServerStatus {
    /// Its name in the configuration.
    pub name: String,
    /// What it says about itself; opaque.
    pub server_info: Option<Value>,
    /// What it can do; opaque.
    pub server_capabilities: Option<Value>,
    /// Its tools by name; opaque.
    pub tools: BTreeMap<String, Value>,
    /// Its resources; opaque.
    pub resources: Vec<Value>,
    /// Its templates of resources; opaque.
    pub resource_templates: Vec<Value>,
    /// Whether it is signed in to.
    pub auth_status: McpAuthStatus,
    /// Whether it is connected.
    pub runtime_status: Option<McpServerConnectionStatus>,
    /// Why its tools are not known.
    pub tools_error: Option<String>,
    /// Where it is, if it is reached by HTTP.
    pub http_origin: Option<String>,
    /// The plugin that it belongs to.
    pub plugin_id: Option<String>,
}

/// Whether an MCP server is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum McpServerConnectionStatus {
    /// Not needed yet.
    NotStarted,
    /// About to be.
    Starting,
    /// It is.
    Connected,
    /// It wants a sign-in.
    AuthenticationRequired,
    /// It could not be.
    Failed,
    /// It was let go before it was.
    Cancelled,
    /// The configuration switches it off.
    Disabled,
}

/// How an MCP server is signed in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum McpAuthStatus {
    /// Not known.
    Unknown,
    /// It has no sign-in.
    Unsupported,
    /// Not yet.
    NotLoggedIn,
    /// By a token.
    BearerToken,
    /// By OAuth.
    OAuth,
}

/// Parameters of `experimentalFeature/list`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExperimentalFeatureListParams {
    /// `nextCursor` of an earlier answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The thread whose features are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
}

/// Answer to `experimentalFeature/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExperimentalFeatureListResponse {
    /// The page.
    pub data: Vec<ExperimentalFeature>,
    /// The next page; none at the end.
    pub next_cursor: Option<String>,
}

/// A feature that can be switched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExperimentalFeature {
    /// Its key.
    pub name: String,
    /// How ripe it is.
    pub stage: ExperimentalFeatureStage,
    /// Its name for people.
    pub display_name: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// What to say when it is new.
    pub announcement: Option<String>,
    /// Whether it is on.
    pub enabled: bool,
    /// Whether it is on when nothing is said.
    pub default_enabled: bool,
}

/// How ripe a feature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ExperimentalFeatureStage {
    /// To be tried.
    Beta,
    /// Not ready.
    UnderDevelopment,
    /// Ready.
    Stable,
    /// Going away.
    Deprecated,
    /// Gone; the switch does nothing.
    Removed,
}

/// Parameters of `permissionProfile/list`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PermissionProfileListParams {
    /// `nextCursor` of an earlier answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many profiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Whose profiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
}

/// Answer to `permissionProfile/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PermissionProfileListResponse {
    /// The page.
    pub data: Vec<PermissionProfileSummary>,
    /// The next page; none at the end.
    pub next_cursor: Option<String>,
}

/// A named permission profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PermissionProfileSummary {
    /// Its name; those built in begin with a colon.
    pub id: String,
    /// What it allows.
    pub description: Option<String>,
    /// Whether an administrator lets it be used.
    pub allowed: bool,
}

/// Parameters of `collaborationMode/list`: none so far.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CollaborationModeListParams {}

/// Answer to `collaborationMode/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CollaborationModeListResponse {
    /// The modes.
    pub data: Vec<CollaborationModeMask>,
}

/// A mode and what it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CollaborationModeMask {
    /// Its name for people.
    pub name: String,
    /// Which mode.
    pub mode: Option<ModeKind>,
    /// The model that it sets.
    pub model: Option<String>,
    /// The effort that it sets; snake_case on the wire.
    #[serde(rename = "reasoning_effort")]
    pub reasoning_effort: Option<ReasoningEffort>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_answers_round_trip() {
        let modes = r#"{"data":[{"name":"Plan","mode":"plan","model":null,"reasoning_effort":"medium"}]}"#;
        let answer: CollaborationModeListResponse = serde_json::from_str(modes).unwrap();
        assert_eq!(serde_json::to_string(&answer).unwrap(), modes);

        let skills = r#"{"data":[{"cwd":"/srv/demo","skills":[{"name":"n","description":"d","interface":{"displayName":"N"},"path":"/s/SKILL.md","scope":"system","enabled":true,"pluginId":null}],"errors":[]}]}"#;
        let answer: SkillsListResponse = serde_json::from_str(skills).unwrap();
        assert_eq!(serde_json::to_string(&answer).unwrap(), skills);
    }

    #[test]
    fn lists_of_directories_may_be_left_out_or_null() {
        for json in ["{}", r#"{"cwds":null,"forceReload":null}"#] {
            let params: SkillsListParams = serde_json::from_str(json).unwrap();
            assert!(params.cwds.is_empty() && !params.force_reload);
        }
    }
}
