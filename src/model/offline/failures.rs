//! The failures of real providers, by short names.

use super::super::ModelFailure;
use super::super::failure::{ErrorBody, HttpFailure};

/// The names that `fail:` takes.
pub(super) const NAMES: &[&str] = &[
    "rate_limit",
    "too_many",
    "usage_limit",
    "quota",
    "context",
    "overloaded",
    "server_error",
    "stream",
    "idle",
    "max_tokens",
    "unauthorized",
    "forbidden",
    "bad_request",
    "model_not_found",
    "connection",
];

/// The failure of this name, made as the one of a real provider is.
pub(super) fn named(name: &str) -> Option<ModelFailure> {
    let in_stream = |code: &str, message: &str| {
        let body = serde_json::json!({ "error": { "code": code, "message": message } });
        ErrorBody::parse(body.to_string().as_bytes()).in_stream()
    };
    let http = |status: u16, body: &str| {
        let url = "offline:";
        HttpFailure { status, body: body.as_bytes(), url, ..HttpFailure::default() }.outcome().failure
    };
    Some(match name {
        "rate_limit" => in_stream("rate_limit_exceeded", "Rate limit reached. Please try again in 20ms."),
        "too_many" => http(/*status*/ 429, ""),
        "usage_limit" => in_stream("usage_limit_reached", ""),
        "quota" => in_stream("insufficient_quota", ""),
        "context" => ModelFailure::no_room(),
        "overloaded" => in_stream("server_is_overloaded", ""),
        "server_error" => http(/*status*/ 500, ""),
        "stream" => ModelFailure::disconnected("stream closed before response.completed"),
        "idle" => ModelFailure::disconnected("idle timeout waiting for SSE"),
        "max_tokens" => ModelFailure::incomplete("max_output_tokens"),
        "unauthorized" => http(/*status*/ 401, "the offline model was told to refuse the key"),
        "forbidden" => http(/*status*/ 403, "the offline model was told to forbid this"),
        "bad_request" => http(/*status*/ 400, "the offline model was told to refuse this request"),
        "model_not_found" => in_stream("model_not_found", "the offline model was told not to know the model"),
        "connection" => ModelFailure::unreachable("the offline model was told to be unreachable"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_a_failure_of_its_own() {
        let failures: Vec<ModelFailure> = NAMES.iter().filter_map(|name| named(name)).collect();
        assert_eq!(failures.len(), NAMES.len());
        for (at, failure) in failures.iter().enumerate() {
            assert!(!failure.message.is_empty());
            assert!(!failures[..at].contains(failure), "{failure:?} has two names");
        }
        assert_eq!(named("nonsense"), None);
    }
}
