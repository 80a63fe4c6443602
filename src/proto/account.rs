//! `account/*`: who is signed in, signing in and out, and how much is left.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Not;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Notification, null_is_default};

/// Parameters of `account/read`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GetAccountParams {
    /// Refresh the sign-in first.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Not::not")]
    pub refresh_token: bool,
}

/// Answer to `account/read`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GetAccountResponse {
    /// Who is signed in.
    pub account: Option<Account>,
    /// The user's id.
    pub user_id: Option<String>,
    /// Whether the provider in use needs a sign-in; true without an account makes clients show one.
    pub requires_openai_auth: bool,
    /// How requests are routed; opaque.
    pub workspace_routing: Option<Value>,
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Account {
    /// Somebody with an API key.
    ApiKey,
    /// A person with a plan.
    #[serde(rename = "chatgpt")]
    ChatGpt {
        /// Mail address.
        email: Option<String>,
        /// The plan.
        plan_type: String,
        /// The workspace's name.
        workspace_name: Option<String>,
    },
    /// Credentials for Amazon Bedrock.
    AmazonBedrock {
        /// Whether this server keeps them.
        #[serde(default, deserialize_with = "null_is_default")]
        uses_codex_managed_credentials: bool,
    },
    /// Credentials for Google Cloud.
    Gcp,
}

/// Parameters of `account/login/start`.
#[derive(Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum LoginAccountParams {
    /// With an API key.
    ApiKey {
        /// A secret.
        api_key: String,
    },
    /// In a browser.
    #[serde(rename = "chatgpt")]
    ChatGpt,
    /// With a code that is typed in elsewhere.
    #[serde(rename = "chatgptDeviceCode")]
    ChatGptDeviceCode,
    /// With tokens that the client has.
    #[serde(rename = "chatgptAuthTokens")]
    ChatGptAuthTokens,
    /// With credentials for Amazon Bedrock.
    AmazonBedrock,
    /// By keys of that cloud.
    AmazonBedrockAccessKeys,
}

/// Without the key.
impl fmt::Debug for LoginAccountParams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ApiKey { .. } => "ApiKey",
            Self::ChatGpt => "ChatGpt",
            Self::ChatGptDeviceCode => "ChatGptDeviceCode",
            Self::ChatGptAuthTokens => "ChatGptAuthTokens",
            Self::AmazonBedrock => "AmazonBedrock",
            Self::AmazonBedrockAccessKeys => "AmazonBedrockAccessKeys",
        })
    }
}

/// Answer to `account/login/start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum LoginAccountResponse {
    /// The key is kept.
    ApiKey,
}

/// Parameters of `account/login/cancel`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CancelLoginAccountParams {
    /// The sign-in that nobody waits for any more.
    pub login_id: String,
}

/// Answer to `account/login/cancel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CancelLoginAccountResponse {
    /// What became of it.
    pub status: CancelLoginAccountStatus,
}

/// What became of a sign-in that was to be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum CancelLoginAccountStatus {
    /// It is cancelled.
    Canceled,
    /// There is none of this id.
    NotFound,
}

/// `account/login/completed`: somebody has signed in, or has not.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AccountLoginCompleted<'a> {
    /// The sign-in; none with a key.
    pub login_id: Option<&'a str>,
    /// Whether it worked.
    pub success: bool,
    /// Why not.
    pub error: Option<&'a str>,
    /// Where a desktop client began.
    pub onboarding_entrypoint: Option<&'a str>,
}

impl Notification for AccountLoginCompleted<'_> {
    const METHOD: &'static str = "account/login/completed";
}

/// `account/updated`: another account counts now.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AccountUpdated<'a> {
    /// How requests are signed: `apikey`, or none.
    pub auth_mode: Option<&'a str>,
    /// The plan.
    pub plan_type: Option<&'a str>,
}

impl Notification for AccountUpdated<'_> {
    const METHOD: &'static str = "account/updated";
}

/// Answer to `account/rateLimits/read`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GetAccountRateLimitsResponse {
    /// The limits that count for the user.
    pub rate_limits: RateLimitSnapshot,
    /// All limits.
    pub rate_limits_by_limit_id: Option<BTreeMap<String, RateLimitSnapshot>>,
    /// Credits that reset a limit; opaque.
    pub rate_limit_reset_credits: Option<Value>,
    /// The account.
    pub account_id: Option<String>,
    /// Whether ordinary use goes on.
    pub ordinary_usage_allowed: Option<bool>,
    /// An offer; opaque.
    pub rate_limit_upsell: Option<Value>,
}

/// A usage limit at a moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RateLimitSnapshot {
    /// Its id.
    pub limit_id: Option<String>,
    /// Its name.
    pub limit_name: Option<String>,
    /// The model that it counts.
    pub normal_model_slug: Option<String>,
    /// The short window.
    pub primary: Option<RateLimitWindow>,
    /// The long window.
    pub secondary: Option<RateLimitWindow>,
    /// Credits.
    pub credits: Option<CreditsSnapshot>,
    /// A limit set for the user; opaque.
    pub individual_limit: Option<Value>,
    /// Whether that limit is reached.
    pub spend_control_reached: Option<bool>,
    /// The plan.
    pub plan_type: Option<String>,
    /// Which limit is reached.
    pub rate_limit_reached_type: Option<String>,
}

/// A window of a usage limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RateLimitWindow {
    /// How much is used, 0 to 100.
    pub used_percent: i32,
    /// Its length in minutes.
    pub window_duration_mins: Option<i64>,
    /// When it begins anew, in Unix seconds.
    pub resets_at: Option<i64>,
}

/// Credits at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CreditsSnapshot {
    /// Whether there are any.
    pub has_credits: bool,
    /// Whether they do not run out.
    pub unlimited: bool,
    /// How many.
    pub balance: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_signed_in_is_answered_as_recorded() {
        assert_eq!(
            serde_json::to_string(&GetAccountResponse::default()).unwrap(),
            r#"{"account":null,"userId":null,"requiresOpenaiAuth":false,"workspaceRouting":null}"#
        );
    }

    #[test]
    fn a_recorded_sign_in_is_read_and_answered_and_its_key_is_not_shown() {
        let params: LoginAccountParams =
            serde_json::from_str(r#"{"apiKey":"sk-demo","type":"apiKey"}"#).unwrap();
        assert_eq!(format!("{params:?}"), "ApiKey");
        let browser = r#"{"type":"chatgpt","appBrand":null,"codexStreamlinedLogin":true}"#;
        assert!(matches!(serde_json::from_str(browser), Ok(LoginAccountParams::ChatGpt)));
        let answer = serde_json::to_string(&LoginAccountResponse::ApiKey).unwrap();
        assert_eq!(answer, r#"{"type":"apiKey"}"#);
        let signed_in = GetAccountResponse { account: Some(Account::ApiKey), ..Default::default() };
        let json = serde_json::to_string(&signed_in).unwrap();
        assert!(json.starts_with(r#"{"account":{"type":"apiKey"},"userId":null,"#), "{json}");
    }

    #[test]
    fn a_recorded_rate_limit_round_trips() {
        let json = r#"{"limitId":"codex","limitName":null,"normalModelSlug":null,"primary":null,"secondary":null,"credits":null,"individualLimit":null,"spendControlReached":null,"planType":null,"rateLimitReachedType":null}"#;
        let limits: RateLimitSnapshot = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&limits).unwrap(), json);
    }
}
