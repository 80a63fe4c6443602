//! `skills/config/write`, `skills/extraRoots/set`, `skills/changed`, `experimentalFeature/enablement/set`:
//! what clients switch on and off.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AbsolutePath, Notification};

/// Parameters of `skills/config/write`: one of path and name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SkillsConfigWriteParams {
    /// The skill's `SKILL.md`.
    #[serde(default)]
    pub path: Option<AbsolutePath>,
    /// All skills with this name.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether it is used.
    pub enabled: bool,
}

/// Answer to `skills/config/write`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SkillsConfigWriteResponse {
    /// Whether it is used now.
    pub effective_enabled: bool,
}

/// Parameters of `skills/extraRoots/set`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SkillsExtraRootsSetParams {
    /// Folders with skills, in place of those set before.
    pub extra_roots: Vec<AbsolutePath>,
}

/// `skills/changed`: `skills/list` would be answered with something else now.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SkillsChanged {}

impl Notification for SkillsChanged {
    const METHOD: &'static str = "skills/changed";
}

/// Parameters of `experimentalFeature/enablement/set`, and its answer, with those that were switched.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FeatureEnablement {
    /// On or off by key; what is not named stays.
    pub enablement: BTreeMap<String, bool>,
}
