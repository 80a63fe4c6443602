//! Notifications that the server sends about threads, turns and itself; those about items are in
//! `notification_item`.
//!
//! They borrow what they send: most of them are written out once for each subscriber's queue and then
//! forgotten, and the deltas are the hottest path of the server. Nobody in this process decodes them.

use serde::{Deserialize, Serialize};

use super::account::RateLimitSnapshot;
use super::thread::{Thread, ThreadReadState, ThreadSettings, ThreadStatus};
use super::turn::{Turn, TurnError};
use super::{Notification, null_is_default};

/// `thread/started`: a thread exists or was copied.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadStarted<'a> {
    /// The thread.
    pub thread: &'a Thread,
}

impl Notification for ThreadStarted<'_> {
    const METHOD: &'static str = "thread/started";
}

/// `thread/status/changed`: a thread does something else now.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadStatusChanged<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// What it does now.
    pub status: &'a ThreadStatus,
}

impl Notification for ThreadStatusChanged<'_> {
    const METHOD: &'static str = "thread/status/changed";
}

/// `thread/name/updated`: a thread has another name.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadNameUpdated<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The name.
    pub thread_name: Option<&'a str>,
}

impl Notification for ThreadNameUpdated<'_> {
    const METHOD: &'static str = "thread/name/updated";
}

/// `thread/settings/updated`: the next turn of a thread uses other settings.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadSettingsUpdated<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The settings.
    pub thread_settings: &'a ThreadSettings,
}

impl Notification for ThreadSettingsUpdated<'_> {
    const METHOD: &'static str = "thread/settings/updated";
}

/// `thread/readState/changed`: something is unread, or no longer; not for stable clients.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadReadStateChanged<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// What was read.
    pub read_state: &'a ThreadReadState,
}

impl Notification for ThreadReadStateChanged<'_> {
    const METHOD: &'static str = "thread/readState/changed";
}

/// `thread/closed`: a thread is no longer loaded.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadClosed<'a> {
    /// The thread.
    pub thread_id: &'a str,
}

impl Notification for ThreadClosed<'_> {
    const METHOD: &'static str = "thread/closed";
}

/// `thread/reverted`: the last turns of a thread were taken back.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadReverted<'a> {
    /// The thread.
    pub thread_id: &'a str,
}

impl Notification for ThreadReverted<'_> {
    const METHOD: &'static str = "thread/reverted";
}

/// `thread/archived`: a thread was archived.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadArchived<'a> {
    /// The thread.
    pub thread_id: &'a str,
}

impl Notification for ThreadArchived<'_> {
    const METHOD: &'static str = "thread/archived";
}

/// `thread/unarchived`: a thread is no longer archived.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadUnarchived<'a> {
    /// The thread.
    pub thread_id: &'a str,
}

impl Notification for ThreadUnarchived<'_> {
    const METHOD: &'static str = "thread/unarchived";
}

/// `thread/deleted`: a thread is gone.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadDeleted<'a> {
    /// The thread.
    pub thread_id: &'a str,
}

impl Notification for ThreadDeleted<'_> {
    const METHOD: &'static str = "thread/deleted";
}

/// `thread/tokenUsage/updated`: a thread used tokens.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadTokenUsageUpdated<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The turn.
    pub turn_id: &'a str,
    /// How many.
    pub token_usage: &'a ThreadTokenUsage,
}

impl Notification for ThreadTokenUsageUpdated<'_> {
    const METHOD: &'static str = "thread/tokenUsage/updated";
}

/// The tokens that a thread used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ThreadTokenUsage {
    /// All of them.
    pub total: TokenUsageBreakdown,
    /// Those of the last model call.
    pub last: TokenUsageBreakdown,
    /// How many the model's context holds.
    pub model_context_window: Option<i64>,
}

/// Tokens by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TokenUsageBreakdown {
    /// All kinds.
    pub total_tokens: i64,
    /// Sent.
    pub input_tokens: i64,
    /// Sent, and known to the provider already.
    pub cached_input_tokens: i64,
    /// Sent, and remembered by the provider.
    #[serde(default, deserialize_with = "null_is_default")]
    pub cache_write_input_tokens: i64,
    /// Received.
    pub output_tokens: i64,
    /// Received as reasoning.
    pub reasoning_output_tokens: i64,
}

/// `turn/started`: a turn began.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnStarted<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The turn.
    pub turn: &'a Turn,
}

impl Notification for TurnStarted<'_> {
    const METHOD: &'static str = "turn/started";
}

/// `turn/completed`: a turn ended, in whichever way.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnCompleted<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The turn.
    pub turn: &'a Turn,
}

impl Notification for TurnCompleted<'_> {
    const METHOD: &'static str = "turn/completed";
}

/// `turn/plan/updated`: the agent changed its list of steps.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnPlanUpdated<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The turn.
    pub turn_id: &'a str,
    /// Why.
    pub explanation: Option<&'a str>,
    /// The steps.
    pub plan: &'a [TurnPlanStep],
}

impl Notification for TurnPlanUpdated<'_> {
    const METHOD: &'static str = "turn/plan/updated";
}

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnPlanStep {
    /// What to do.
    pub step: String,
    /// How far it is.
    pub status: TurnPlanStepStatus,
}

/// How far a step of a plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum TurnPlanStepStatus {
    /// To be done.
    Pending,
    /// Being done.
    InProgress,
    /// Done.
    Completed,
}

/// `turn/diff/updated`: the turn changed files.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TurnDiffUpdated<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The turn.
    pub turn_id: &'a str,
    /// Unified diff of all that the turn changed.
    pub diff: &'a str,
}

impl Notification for TurnDiffUpdated<'_> {
    const METHOD: &'static str = "turn/diff/updated";
}

/// `error`: an attempt failed; if there will be no other, so does the turn.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ErrorNotification<'a> {
    /// What happened.
    pub error: &'a TurnError,
    /// Whether the server tries again.
    pub will_retry: bool,
    /// The thread.
    pub thread_id: &'a str,
    /// The turn.
    pub turn_id: &'a str,
}

impl Notification for ErrorNotification<'_> {
    const METHOD: &'static str = "error";
}

/// `warning`: something the user should know.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Warning<'a> {
    /// The thread, if it is about one.
    pub thread_id: Option<&'a str>,
    /// For people.
    pub message: &'a str,
}

impl Notification for Warning<'_> {
    const METHOD: &'static str = "warning";
}

/// `configWarning`: something about the configuration the user should know.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigWarning<'a> {
    /// In short.
    pub summary: &'a str,
    /// In full.
    pub details: Option<&'a str>,
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<&'a str>,
    /// Where in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<TextRange>,
}

impl Notification for ConfigWarning<'_> {
    const METHOD: &'static str = "configWarning";
}

/// A range of a text file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TextRange {
    /// Its first character.
    pub start: TextPosition,
    /// One past its last character.
    pub end: TextPosition,
}

/// A place in a text file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TextPosition {
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
}

/// `deprecationNotice`: the client uses something that will go away.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeprecationNotice<'a> {
    /// In short.
    pub summary: &'a str,
    /// In full.
    pub details: Option<&'a str>,
}

impl Notification for DeprecationNotice<'_> {
    const METHOD: &'static str = "deprecationNotice";
}

/// `serverRequest/resolved`: a request of the server is settled; other clients stop showing it.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ServerRequestResolved<'a> {
    /// The thread.
    pub thread_id: &'a str,
    /// The request's id.
    pub request_id: i64,
}

impl Notification for ServerRequestResolved<'_> {
    const METHOD: &'static str = "serverRequest/resolved";
}

/// `account/rateLimits/updated`: a limit changed.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RateLimitsUpdated<'a> {
    /// The limit.
    pub rate_limits: &'a RateLimitSnapshot,
}

impl Notification for RateLimitsUpdated<'_> {
    const METHOD: &'static str = "account/rateLimits/updated";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire<N: Notification>(notification: &N) -> String {
        serde_json::to_string(notification).unwrap()
    }

    #[test]
    fn nulls_are_sent_where_the_reference_sends_them() {
        let error = TurnError { message: "m".into(), ..TurnError::default() };
        let failed = ErrorNotification { error: &error, will_retry: false, thread_id: "t", turn_id: "u" };
        assert_eq!(
            wire(&failed),
            r#"{"error":{"message":"m","codexErrorInfo":null,"additionalDetails":null,"misalignment":null},"willRetry":false,"threadId":"t","turnId":"u"}"#
        );
        let warning = ConfigWarning { summary: "s", details: None, path: None, range: None };
        assert_eq!(wire(&warning), r#"{"summary":"s","details":null}"#);
    }
}
