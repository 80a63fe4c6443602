//! `initialize`: who the client is, what it can do, and who the server is.

use std::ops::Not;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::null_is_default;

/// Parameters of `initialize`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct InitializeParams {
    /// Who is calling.
    pub client_info: ClientInfo,
    /// What the client can do; none means the stable protocol only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<InitializeCapabilities>,
}

/// The client's name and version; they become part of the user agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ClientInfo {
    /// Short machine name, usable in an HTTP header.
    pub name: String,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The client's version.
    pub version: String,
}

/// What a client asks for or understands beyond the stable protocol.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct InitializeCapabilities {
    /// The client wants experimental methods and fields.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub experimental_api: bool,
    /// The client starts gateway sign-ins itself.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub explicit_gateway_oauth: bool,
    /// The client can answer attestation requests.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub request_attestation: bool,
    /// The client can show OpenAI's kind of MCP forms.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub mcp_server_openai_form_elicitation: bool,
    /// Approvals of this client need a person.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub required_human_approval: bool,
    /// The client wants `seq` on what it is told of its threads, and to get again what it misses; this
    /// server's extension.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub event_replay: bool,
    /// Exact notification methods that this connection does not want.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opt_out_notification_methods: Option<Vec<String>>,
    /// MCP extension settings, opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Map<String, Value>>,
}

/// Answer to `initialize`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct InitializeResponse {
    /// `name/version (system) …`; clients cut the version out of it.
    pub user_agent: String,
    /// Absolute path of the home folder.
    pub codex_home: String,
    /// `unix` or `windows`.
    pub platform_family: String,
    /// `linux`, `macos`, `windows`.
    pub platform_os: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_params_decode() {
        let params: InitializeParams = serde_json::from_str(
            r#"{"clientInfo":{"name":"probe","title":"Probe","version":"0.1"},"capabilities":{"experimentalApi":true,"requestAttestation":null,"optOutNotificationMethods":["thread/started"]}}"#,
        )
        .unwrap();
        assert_eq!(params.client_info.title.as_deref(), Some("Probe"));
        let capabilities = params.capabilities.unwrap();
        assert!(capabilities.experimental_api && !capabilities.request_attestation);
        assert_eq!(capabilities.opt_out_notification_methods.unwrap(), ["thread/started"]);
    }

    #[test]
    fn missing_client_info_is_named() {
        let error = serde_json::from_str::<InitializeParams>("{}").unwrap_err();
        assert!(error.to_string().starts_with("missing field `clientInfo`"), "{error}");
    }
}
