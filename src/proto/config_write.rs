//! `config/value/write` and `config/batchWrite`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ConfigLayerMetadata, null_is_default};

/// Parameters of `config/value/write`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigValueWriteParams {
    /// The change.
    #[serde(flatten)]
    pub edit: ConfigEdit,
    /// The file, which can only be the user's.
    #[serde(default)]
    pub file_path: Option<String>,
    /// The version that the client has read.
    #[serde(default)]
    pub expected_version: Option<String>,
}

/// Parameters of `config/batchWrite`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigBatchWriteParams {
    /// The changes: all of them or none.
    pub edits: Vec<ConfigEdit>,
    /// The file, which can only be the user's.
    #[serde(default)]
    pub file_path: Option<String>,
    /// The version that the client has read.
    #[serde(default)]
    pub expected_version: Option<String>,
    /// Whether loaded threads should follow; here they keep what they were started with.
    #[serde(default, deserialize_with = "null_is_default")]
    pub reload_user_config: bool,
}

/// One change of the configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigEdit {
    /// The dotted key.
    pub key_path: String,
    /// Its value; null removes it; opaque.
    pub value: Value,
    /// What becomes of a table that is there.
    pub merge_strategy: MergeStrategy,
}

/// What becomes of a table that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum MergeStrategy {
    /// The value takes its place.
    Replace,
    /// The value is merged into it.
    Upsert,
}

/// Answer to both.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigWriteResponse {
    /// Whether the value counts.
    pub status: WriteStatus,
    /// The version of the file now.
    pub version: String,
    /// The file.
    pub file_path: String,
    /// What a stronger layer says instead.
    pub overridden_metadata: Option<OverriddenMetadata>,
}

/// Whether what was written counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum WriteStatus {
    /// It does.
    Ok,
    /// A stronger layer says something else.
    OkOverridden,
}

/// What a stronger layer says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OverriddenMetadata {
    /// For people.
    pub message: String,
    /// The layer.
    pub overriding_layer: ConfigLayerMetadata,
    /// Its value; opaque.
    pub effective_value: Value,
}
