//! `config/read` and `configRequirements/read`: the configuration as clients see it.

use std::collections::BTreeMap;
use std::ops::Not;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::null_is_default;

/// Parameters of `config/read`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigReadParams {
    /// Also the layers that the configuration is made of.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub include_layers: bool,
    /// Whose project layer is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
}

/// Answer to `config/read`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigReadResponse {
    /// The configuration in force, an object with the keys of `config.toml`; opaque.
    pub config: Box<RawValue>,
    /// Which layer a dotted key comes from.
    #[serde(default, deserialize_with = "null_is_default")]
    pub origins: BTreeMap<String, ConfigLayerMetadata>,
    /// The layers, strongest first; only if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<ConfigLayer>>,
}

/// A layer and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigLayerMetadata {
    /// The layer.
    pub name: ConfigLayerSource,
    /// A hash of its content.
    pub version: String,
}

/// A layer with its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigLayer {
    /// The layer.
    pub name: ConfigLayerSource,
    /// A hash of its content.
    pub version: String,
    /// What it sets; opaque.
    pub config: Value,
    /// Why it does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<String>,
}

/// Where a layer of the configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ConfigLayerSource {
    /// Defaults that came with the package.
    PackagedDefaults {
        /// The file.
        file: String,
    },
    /// Device management.
    Mdm {
        /// Its domain.
        domain: String,
        /// Its key.
        key: String,
    },
    /// The machine's file.
    System {
        /// The file.
        file: String,
    },
    /// An enterprise's settings.
    EnterpriseManaged {
        /// Their id.
        id: String,
        /// Their name.
        name: String,
    },
    /// The user's `config.toml`.
    User {
        /// The file.
        file: String,
        /// The profile within it.
        profile: Option<String>,
    },
    /// A project's folder.
    Project {
        /// The folder.
        dot_codex_folder: String,
    },
    /// `-c` on the command line, and overrides in requests.
    SessionFlags,
    /// An older form of managed settings, in a file.
    LegacyManagedConfigTomlFromFile {
        /// The file.
        file: String,
    },
    /// An older form of managed settings, by device management.
    LegacyManagedConfigTomlFromMdm,
}

/// Answer to `configRequirements/read`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigRequirementsReadResponse {
    /// Whether speed is chosen apart from the model.
    pub supports_independent_speed_modes: Option<bool>,
    /// What an administrator requires; opaque.
    pub requirements: Option<Box<RawValue>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_left_out_unless_asked_for() {
        let json = r#"{"config":{"model":"m"},"origins":{"model":{"name":{"type":"user","file":"/h/config.toml","profile":null},"version":"v"}}}"#;
        let answer: ConfigReadResponse = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&answer).unwrap(), json);
    }

    #[test]
    fn no_requirements_are_answered_with_null() {
        let answer = ConfigRequirementsReadResponse {
            supports_independent_speed_modes: Some(true),
            requirements: None,
        };
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"supportsIndependentSpeedModes":true,"requirements":null}"#
        );
    }
}
