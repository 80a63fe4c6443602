//! What went wrong with a provider, and whether the same request may succeed later.
//!
//! Which failures are final, which are tried again and how they are told follows the recorded reference, so
//! that clients see what they know. Texts of the provider are cut, and are never shown with our own secrets
//! in them.

use std::time::Duration;

use serde::Deserialize;

use super::{ModelError, ModelFailure, Retry};
use crate::limits::{MODEL_ERROR_CHARS, MODEL_RETRY_AFTER_MAX};
use crate::proto::CodexErrorInfo;

const OVERLOADED: &str = "Selected model is at capacity. Please try a different model.";
const HIGH_DEMAND: &str = "We’re currently experiencing high demand, which may cause temporary errors.";
const QUOTA: &str = "Quota exceeded. Check your plan and billing details.";
const NO_ROOM: &str = "Codex ran out of room in the model's context window. Start a new thread or clear \
                       earlier history before retrying.";

impl ModelFailure {
    /// A failure after which the same request may succeed.
    pub(super) fn passing(message: impl Into<String>, info: CodexErrorInfo, after: Option<Duration>) -> Self {
        Self { message: message.into(), info, details: None, retry: Some(Retry { after }) }
    }

    pub(super) fn last(message: impl Into<String>, info: CodexErrorInfo) -> Self {
        Self { message: message.into(), info, details: None, retry: None }
    }

    /// The answer broke off; `why` says how.
    pub(super) fn disconnected(why: &str) -> Self {
        let message = format!("stream disconnected before completion: {}", shortened(why));
        Self::passing(message, CodexErrorInfo::Other, /*after*/ None)
    }

    /// There was no answer at all.
    pub(super) fn unreachable(why: &str) -> Self {
        let info = CodexErrorInfo::HttpConnectionFailed { http_status_code: None };
        Self::passing(format!("Connection failed: {}", shortened(why)), info, /*after*/ None)
    }

    /// The conversation is too long for the model.
    pub(super) fn no_room() -> Self {
        Self::last(NO_ROOM, CodexErrorInfo::ContextWindowExceeded)
    }

    /// The model stopped before it was done.
    pub(super) fn incomplete(reason: &str) -> Self {
        let text = format!("Incomplete response returned, reason: {}", shortened(reason));
        match reason {
            "max_output_tokens" => Self::last(text, CodexErrorInfo::Other),
            _ => Self::disconnected(&text),
        }
    }
}

impl From<ModelFailure> for ModelError {
    fn from(failure: ModelFailure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// An error as providers word it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorBody {
    /// A name, or a number for some servers.
    pub(super) code: serde_json::Value,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) message: Option<String>,
    pub(super) resets_in_seconds: Option<f64>,
}

impl ErrorBody {
    /// The error in an answer's body: under `error`, or the body itself.
    pub(super) fn parse(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Wrapped {
            error: ErrorBody,
        }
        let wrapped = serde_json::from_slice::<Wrapped>(body).map(|wrapped| wrapped.error);
        wrapped.or_else(|_| serde_json::from_slice(body)).unwrap_or_default()
    }

    fn is(&self, names: &[&str]) -> bool {
        let named = |name: Option<&str>| name.is_some_and(|name| names.contains(&name));
        named(self.code.as_str()) || named(self.kind.as_deref())
    }

    /// The failures that look the same wherever they are told: as an HTTP answer or in the stream.
    fn well_known(&self) -> Option<ModelFailure> {
        let message = self.message.as_deref().unwrap_or_default();
        if self.is(&["context_length_exceeded", "exceed_context_size_error"])
            || message.contains("maximum context length")
        {
            return Some(ModelFailure::no_room());
        }
        if self.is(&["insufficient_quota"]) {
            return Some(ModelFailure::last(QUOTA, CodexErrorInfo::UsageLimitExceeded));
        }
        if self.is(&["usage_limit_reached", "usage_not_included"]) {
            return Some(ModelFailure::last(self.usage_limit(), CodexErrorInfo::UsageLimitExceeded));
        }
        if self.is(&["server_is_overloaded", "slow_down"]) {
            return Some(ModelFailure::last(OVERLOADED, CodexErrorInfo::ServerOverloaded));
        }
        if self.is(&["model_not_found"]) {
            let text = if message.is_empty() { "The provider does not know the model." } else { message };
            return Some(ModelFailure::last(shortened(text), CodexErrorInfo::ModelNotFound));
        }
        None
    }

    fn usage_limit(&self) -> String {
        let mut text = match self.message.as_deref() {
            Some(message) if !message.is_empty() => shortened(message),
            _ => "You’ve hit your usage limit.".to_owned(),
        };
        if let Some(seconds) = self.resets_in_seconds.filter(|seconds| *seconds > 0.0) {
            text.push_str(&format!(" It is reset in {:.0} minutes.", (seconds / 60.0).ceil()));
        }
        text
    }

    /// The failure that a stream told.
    pub(super) fn in_stream(&self) -> ModelFailure {
        if let Some(failure) = self.well_known() {
            return failure;
        }
        let message = self.message.as_deref().unwrap_or("the provider gives no reason");
        if self.is(&["rate_limit_exceeded"]) {
            let text = format!("rate limit exceeded: {}", shortened(message));
            return ModelFailure::passing(text, CodexErrorInfo::RateLimitExceeded, pause_in(message));
        }
        if self.is(&["invalid_prompt", "invalid_request_error", "invalid_image"]) {
            return ModelFailure::last(shortened(message), CodexErrorInfo::Other);
        }
        ModelFailure::disconnected(message)
    }
}

/// An HTTP answer that is no success.
#[derive(Debug, Default)]
pub(super) struct HttpFailure<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
    /// Where it came from, as it may be shown.
    pub(super) url: &'a str,
    /// When the provider wants to be asked again.
    pub(super) retry_after: Option<Duration>,
    /// Its word on whether that makes sense (`x-should-retry`).
    pub(super) should_retry: Option<bool>,
    /// What the user can do if the provider does not accept the credentials.
    pub(super) credentials_hint: &'a str,
}

/// An HTTP answer as a failure.
pub(super) struct HttpOutcome {
    pub(super) failure: ModelFailure,
    /// The request may be sent again without anybody being told.
    pub(super) resend: bool,
}

impl HttpFailure<'_> {
    pub(super) fn outcome(&self) -> HttpOutcome {
        let mut failure = self.failure();
        let too_late = self.retry_after.is_some_and(|after| after > MODEL_RETRY_AFTER_MAX);
        if self.should_retry == Some(false) || too_late {
            failure.retry = None;
        } else if self.should_retry == Some(true) && failure.retry.is_none() {
            failure.retry = Some(Retry { after: None });
        }
        if let Some(retry) = &mut failure.retry {
            retry.after = self.retry_after;
        }
        let resend = self.status >= 500 && failure.retry.is_some();
        HttpOutcome { failure, resend }
    }

    fn failure(&self) -> ModelFailure {
        let error = ErrorBody::parse(self.body);
        if let Some(failure) = error.well_known() {
            return failure;
        }
        let code = Some(self.status);
        match self.status {
            400 => {
                let body = String::from_utf8_lossy(self.body);
                let text = if body.trim().is_empty() { self.unexpected(&error) } else { shortened(&body) };
                ModelFailure::last(text, CodexErrorInfo::Other)
            }
            429 => {
                let text = "exceeded retry limit, last status: 429 Too Many Requests";
                let info = CodexErrorInfo::ResponseTooManyFailedAttempts { http_status_code: code };
                let mut failure = ModelFailure::last(text, info);
                failure.retry = self.retry_after.map(|after| Retry { after: Some(after) });
                failure
            }
            500 => {
                ModelFailure::passing(HIGH_DEMAND, CodexErrorInfo::InternalServerError, /*after*/ None)
            }
            status => {
                let info = CodexErrorInfo::HttpConnectionFailed { http_status_code: code };
                let mut failure = ModelFailure::last(self.unexpected(&error), info);
                let is_login = matches!(status, 401 | 403);
                if is_login && !self.credentials_hint.is_empty() {
                    failure.details = Some(self.credentials_hint.to_owned());
                }
                if is_login || matches!(status, 408 | 409 | 425) || status > 500 {
                    failure.retry = Some(Retry { after: None });
                }
                failure
            }
        }
    }

    fn unexpected(&self, error: &ErrorBody) -> String {
        let reason = ureq::http::StatusCode::from_u16(self.status).ok();
        let reason = reason.and_then(|status| status.canonical_reason()).unwrap_or("(no known status)");
        let body = String::from_utf8_lossy(self.body);
        let said = match &error.message {
            Some(message) if !message.is_empty() => message.as_str(),
            _ if body.trim().is_empty() => "no reason given",
            _ => body.trim(),
        };
        format!("unexpected status {} {reason}: {}, url: {}", self.status, shortened(said), self.url)
    }
}

/// `try again in 1.5s`, `in 20ms`, `in 2m`: how providers word a pause in a stream's error.
fn pause_in(message: &str) -> Option<Duration> {
    let (_, rest) = message.split_once("try again in ")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, unit) = rest.split_at(digits);
    let scale = match unit.trim_start() {
        unit if unit.starts_with("ms") => 0.001,
        unit if unit.starts_with('m') => 60.0,
        unit if unit.starts_with('s') => 1.0,
        _ => return None,
    };
    let number: f64 = number.trim_end_matches('.').parse().ok()?;
    Duration::try_from_secs_f64(number * scale).ok().filter(|pause| *pause <= MODEL_RETRY_AFTER_MAX)
}

/// A provider's words, cut to a size that can be shown.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MODEL_ERROR_CHARS) {
        Some((at, _)) => format!("{}… ({} bytes in all)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> HttpFailure<'_> {
        HttpFailure { status, body: body.as_bytes(), url: "http://h/v1/responses", ..HttpFailure::default() }
    }

    #[test]
    fn a_pause_is_found_in_the_words_of_providers() {
        let pause = |text| pause_in(text).map(|pause| pause.as_millis());
        assert_eq!(pause("Rate limit reached. Please try again in 1s."), Some(1000));
        assert_eq!(pause("try again in 1.5s, or pay"), Some(1500));
        assert_eq!(pause("Please try again in 20ms."), Some(20));
        assert_eq!(pause("try again in 2m"), Some(120_000));
        for text in ["try again in 3 days", "later", "try again in s", "try again in 1e9s"] {
            assert_eq!(pause(text), None, "{text}");
        }
    }

    #[test]
    fn a_header_decides_over_the_status() {
        assert!(answer(/*status*/ 500, "").outcome().resend);
        let firm = HttpFailure { should_retry: Some(false), ..answer(/*status*/ 500, "") }.outcome();
        assert!(!firm.resend && firm.failure.retry.is_none());
        let kind = HttpFailure { should_retry: Some(true), ..answer(/*status*/ 404, "") }.outcome();
        assert!(!kind.resend && kind.failure.retry.is_some());
        let after = Some(Duration::from_secs(3));
        let asked = HttpFailure { retry_after: after, ..answer(/*status*/ 429, "") }.outcome();
        assert_eq!(asked.failure.retry, Some(Retry { after }));
        let never =
            HttpFailure { retry_after: Some(Duration::from_secs(9999)), ..answer(/*status*/ 429, "") };
        assert_eq!(never.outcome().failure.retry, None);
    }

    #[test]
    fn local_servers_word_a_full_context_in_their_own_ways() {
        for body in [
            r#"{"error":{"code":400,"message":"too long","type":"exceed_context_size_error"}}"#,
            r#"{"object":"error","message":"This model's maximum context length is 10 tokens.","code":400}"#,
            r#"{"error":{"code":"context_length_exceeded","message":"x"}}"#,
        ] {
            let info = answer(/*status*/ 400, body).outcome().failure.info;
            assert_eq!(info, CodexErrorInfo::ContextWindowExceeded, "{body}");
        }
    }

    #[test]
    fn long_words_are_cut() {
        let long = "ä".repeat(10_000);
        let failure = answer(/*status*/ 418, &long).outcome().failure;
        assert!(failure.message.chars().count() < MODEL_ERROR_CHARS + 200);
        assert!(failure.message.contains("418 I'm a teapot") && failure.message.contains("20000 bytes"));
    }
}
