//! `[model_providers.ID]`: how a model is reached.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::section::Section;
use crate::error::StartError;
use crate::limits::{
    PROVIDER_REQUEST_RETRIES, PROVIDER_RETRIES_MAX, PROVIDER_STREAM_IDLE_TIMEOUT, PROVIDER_STREAM_RETRIES,
};

/// The provider that answers without network and key; its id cannot be configured.
pub const PROVIDER_OFFLINE: &str = "offline";
/// The provider whose id is known without a table.
pub const PROVIDER_OPENAI: &str = "openai";

/// A model provider.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderConfig {
    /// The name for people; the id if the table gives none.
    pub name: String,
    /// What answers.
    pub kind: ProviderKind,
    /// Where its HTTP interface begins; requests go to `base_url/responses`.
    pub base_url: Option<String>,
    /// Which HTTP interface it speaks.
    pub wire_api: WireApi,
    /// Name of the environment variable that holds the key.
    pub env_key: Option<String>,
    /// Headers of each request. The values may be secrets.
    pub http_headers: BTreeMap<String, String>,
    /// Headers of each request whose values are in the named environment variables.
    pub env_http_headers: BTreeMap<String, String>,
    /// Query parameters of each request. The values may be secrets.
    pub query_params: BTreeMap<String, String>,
    /// The recording that a [`ProviderKind::Replay`] plays; relative to the home.
    pub file: Option<PathBuf>,
    /// Times that a refused or failed request is sent again.
    pub request_max_retries: u32,
    /// Times that a broken answer stream is taken up again.
    pub stream_max_retries: u32,
    /// Silence after which an answer stream counts as broken.
    pub stream_idle_timeout: Duration,
}

/// Without the values that may be secrets.
impl fmt::Debug for ProviderConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProviderConfig")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("wire_api", &self.wire_api)
            .field("env_key", &self.env_key)
            .field("http_headers", &self.http_headers.keys())
            .field("env_http_headers", &self.env_http_headers)
            .field("query_params", &self.query_params.keys())
            .finish_non_exhaustive()
    }
}

/// What answers for a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// A server at `base_url`.
    Http,
    /// The built-in offline model.
    Offline,
    /// A recording of what a provider sent.
    Replay,
}

/// The HTTP interface of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireApi {
    /// `POST base_url/responses`.
    Responses,
    /// `POST base_url/chat/completions`.
    Chat,
}

impl ProviderConfig {
    /// A provider of which nothing is set.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: ProviderKind::Http,
            base_url: None,
            wire_api: WireApi::Responses,
            env_key: None,
            http_headers: BTreeMap::new(),
            env_http_headers: BTreeMap::new(),
            query_params: BTreeMap::new(),
            file: None,
            request_max_retries: PROVIDER_REQUEST_RETRIES,
            stream_max_retries: PROVIDER_STREAM_RETRIES,
            stream_idle_timeout: PROVIDER_STREAM_IDLE_TIMEOUT,
        }
    }

    pub(super) fn read(
        id: &str,
        mut section: Section<'_>,
        unknown: &mut Vec<String>,
    ) -> Result<Self, StartError> {
        section.ignore("requires_openai_auth");
        let retries = 0..=PROVIDER_RETRIES_MAX;
        let kinds = [
            ("http", ProviderKind::Http),
            ("offline", ProviderKind::Offline),
            ("replay", ProviderKind::Replay),
        ];
        let provider = Self {
            name: section.text("name")?.unwrap_or_else(|| id.to_owned()),
            kind: section.choice("kind", &kinds)?.unwrap_or(ProviderKind::Http),
            file: section.text("file")?.map(PathBuf::from),
            base_url: section.text("base_url")?,
            wire_api: section
                .choice("wire_api", &[("responses", WireApi::Responses), ("chat", WireApi::Chat)])?
                .unwrap_or(WireApi::Responses),
            env_key: section.text("env_key")?,
            http_headers: section.text_map("http_headers")?,
            env_http_headers: section.text_map("env_http_headers")?,
            query_params: section.text_map("query_params")?,
            request_max_retries: section
                .integer("request_max_retries", retries.clone())?
                .unwrap_or(PROVIDER_REQUEST_RETRIES),
            stream_max_retries: section
                .integer("stream_max_retries", retries)?
                .unwrap_or(PROVIDER_STREAM_RETRIES),
            stream_idle_timeout: section
                .integer("stream_idle_timeout_ms", 1..=i64::MAX as u64)?
                .map_or(PROVIDER_STREAM_IDLE_TIMEOUT, Duration::from_millis),
        };
        section.finish(unknown);
        Ok(provider)
    }
}
