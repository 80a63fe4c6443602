//! `model/list` and `modelProvider/list`: what can answer a turn.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::null_is_default;
use super::policy::ReasoningEffort;

/// Parameters of `model/list`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ModelListParams {
    /// `nextCursor` of an earlier answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Also models that pickers do not show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_hidden: Option<bool>,
    /// Models of this provider; none means the one in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
}

/// Answer to `model/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ModelListResponse {
    /// The page.
    pub data: Vec<Model>,
    /// The next page; none at the end.
    pub next_cursor: Option<String>,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// Its id.
    pub id: String,
    /// Its slug.
    pub model: String,
    /// The slug of its successor.
    pub upgrade: Option<String>,
    /// What to say about the successor.
    pub upgrade_info: Option<ModelUpgradeInfo>,
    /// What to say when it is new.
    pub availability_nux: Option<ModelAvailabilityNux>,
    /// Its name for people.
    pub display_name: String,
    /// What it is good for.
    pub description: String,
    /// What it is made for.
    pub model_specialty: Option<String>,
    /// Whether pickers leave it out.
    pub hidden: bool,
    /// The efforts that it knows.
    pub supported_reasoning_efforts: Vec<ReasoningEffortOption>,
    /// The effort that it uses by itself.
    pub default_reasoning_effort: ReasoningEffort,
    /// What it takes.
    #[serde(default, deserialize_with = "null_is_default")]
    pub input_modalities: Vec<InputModality>,
    /// Whether its tone can be set.
    #[serde(default, deserialize_with = "null_is_default")]
    pub supports_personality: bool,
    /// Which sub-agent tools it knows.
    pub multi_agent_version: Option<String>,
    /// Older form of `service_tiers`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub additional_speed_tiers: Vec<String>,
    /// Its speed tiers.
    #[serde(default, deserialize_with = "null_is_default")]
    pub service_tiers: Vec<ModelServiceTier>,
    /// The speed tier that it uses by itself.
    pub default_service_tier: Option<String>,
    /// Access programmes; opaque.
    pub available_access_programs: Option<Value>,
    /// Whether it is used when nothing is said.
    pub is_default: bool,
}

/// What to say about a model's successor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ModelUpgradeInfo {
    /// The successor's slug.
    pub model: String,
    /// A line about it.
    pub upgrade_copy: Option<String>,
    /// A page about it.
    pub model_link: Option<String>,
    /// A text about it.
    pub migration_markdown: Option<String>,
    /// When the old model goes away, in Unix seconds.
    pub retirement_at: Option<i64>,
}

/// What to say when a model is new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ModelAvailabilityNux {
    /// For people.
    pub message: String,
}

/// An effort that a model knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReasoningEffortOption {
    /// The effort.
    pub reasoning_effort: ReasoningEffort,
    /// What it is good for.
    pub description: String,
}

/// What a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum InputModality {
    /// Text.
    Text,
    /// Pictures.
    Image,
    /// Sounds.
    Audio,
}

/// A speed tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ModelServiceTier {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What it brings and costs.
    pub description: String,
}

/// Parameters of `modelProvider/list`: none so far.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ModelProviderListParams {}

/// Answer to `modelProvider/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ModelProviderListResponse {
    /// All providers.
    pub data: Vec<ModelProviderSummary>,
    /// The one that is used when nothing is said.
    pub default_provider_id: String,
    /// Whether clients may choose another one.
    pub can_change_default: bool,
}

/// A provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ModelProviderSummary {
    /// Its id in the configuration.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Whether clients may change it.
    pub can_edit: bool,
    /// Where it is.
    pub base_url: Option<String>,
    /// Its kind and how it is signed in to.
    pub settings: ProviderSettings,
}

/// The kind of a provider and how it is signed in to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ProviderSettings {
    /// OpenAI itself.
    #[serde(rename = "openai")]
    OpenAi,
    /// Any server that speaks the same protocol.
    CustomGateway {
        /// How it is signed in to; `{"mode":"none"}` or opaque.
        auth: Value,
    },
    /// Amazon Bedrock.
    Bedrock {
        /// The profile of the credentials.
        profile: Option<String>,
        /// The region.
        region: Option<String>,
    },
    /// Google Cloud.
    Gcp {
        /// The file with the credentials.
        credential_file: Option<String>,
        /// The location.
        location: Option<String>,
        /// The project.
        project_id: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_model_round_trips() {
        let json = r#"{"id":"gpt-6.1-sol","model":"gpt-6.1-sol","upgrade":null,"upgradeInfo":null,"availabilityNux":{"message":"new"},"displayName":"GPT-6.1-Sol","description":"d","modelSpecialty":null,"hidden":false,"supportedReasoningEfforts":[{"reasoningEffort":"low","description":"fast"}],"defaultReasoningEffort":"low","inputModalities":["text","image"],"supportsPersonality":false,"multiAgentVersion":"v2","additionalSpeedTiers":["fast"],"serviceTiers":[{"id":"priority","name":"Fast","description":"2x"}],"defaultServiceTier":null,"availableAccessPrograms":null,"isDefault":true}"#;
        let model: Model = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&model).unwrap(), json);
    }
}
