//! A model behind HTTP: requests, their repetition, and the streams that answer them.
//!
//! A call runs on the turn's worker and nowhere else. It knows two dialects, each of which is a body and a
//! [`stream::Decoder`].

mod proxy;
mod retry;
pub(super) mod stream;
#[cfg(feature = "tls")]
mod tls;
mod transport;

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use ureq::http::{HeaderMap, HeaderName, HeaderValue, Response};
use ureq::{Agent, Body};

use super::failure::{HttpFailure, HttpOutcome};
use super::providers::OPENAI_KEY;
use super::stored_key::StoredKey;
use super::{Cancel, ModelClient, ModelError, ModelFailure, ModelRequest, ModelStream};
use super::{chat, responses};
use crate::config::{PROVIDER_OPENAI, ProviderConfig, WireApi};
use crate::limits;
use crate::obs::metrics::values::MODEL_RETRIES;
use stream::HttpStream;
use transport::was_reused;
pub(crate) use transport::within;

pub use retry::retry_pause;
pub(crate) use transport::agent;

/// A model provider that is reached over HTTP.
pub(super) struct HttpModel {
    agent: Agent,
    wire: WireApi,
    url: String,
    /// Without what may be secret.
    shown_url: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    secrets: Secrets,
    key: KeySource,
    request_retries: u32,
    stream_retries: u32,
    idle_timeout: Duration,
    context_window: Option<i64>,
}

/// Where the key comes from that goes along with each request.
enum KeySource {
    /// Among the headers; the text says where it was read.
    Configured(String),
    /// A client signs in with it, or does not.
    SignIn {
        stored: Arc<StoredKey>,
        /// The provider's id.
        id: String,
        /// Nothing is to be had without a key.
        needed: bool,
    },
}

/// What one call sends and hides beside what all calls do.
struct Credentials {
    /// Goes along as `authorization`.
    header: Option<HeaderValue>,
    secrets: Secrets,
    /// For the user, when the provider refuses.
    hint: String,
}

impl KeySource {
    /// The credentials of a call that begins now.
    fn credentials(&self, secrets: &Secrets) -> Result<Credentials, ModelError> {
        let without = |hint: String| Credentials { header: None, secrets: secrets.clone(), hint };
        let (stored, id, needed) = match self {
            Self::Configured(hint) => return Ok(without(hint.clone())),
            Self::SignIn { stored, id, needed } => (stored, id, *needed),
        };
        let header = stored.read().and_then(|key| {
            let mut header = HeaderValue::try_from(format!("Bearer {key}")).ok()?;
            header.set_sensitive(true);
            Some((header, key))
        });
        match header {
            Some((header, key)) => Ok(Credentials {
                header: Some(header),
                secrets: secrets.with(key),
                hint: "The key is the one of `account/login/start`.".to_owned(),
            }),
            None if needed => {
                let text = format!(
                    "the model provider `{id}` cannot be used: set the environment variable `{OPENAI_KEY}` \
                     to its API key and start the server again, or sign in with an API key \
                     (`account/login/start`)"
                );
                Err(ModelFailure::lasting(text, crate::proto::CodexErrorInfo::Unauthorized))
            }
            None => Ok(without(format!(
                "No key was sent: [model_providers.{id}] has no `env_key`, and nobody has signed in with an \
                 API key."
            ))),
        }
    }
}

/// Texts that must not be shown.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Arc<[String]>);

impl Secrets {
    /// Shorter ones would make holes in words that are no secret.
    const CHARS_MIN: usize = 6;

    /// These; those that are too short are left out.
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        Self(secrets.into_iter().filter(|secret| secret.len() >= Self::CHARS_MIN).collect())
    }

    /// These and one more.
    fn with(&self, secret: String) -> Self {
        Self::new(self.0.iter().cloned().chain([secret]))
    }

    /// A provider may repeat what it was sent.
    fn hide(&self, mut failure: ModelFailure) -> ModelFailure {
        self.hide_in(&mut failure.message);
        if let Some(details) = &mut failure.details {
            self.hide_in(details);
        }
        failure
    }

    /// Takes them out of a text.
    pub(crate) fn hide_in(&self, text: &mut String) {
        for secret in &*self.0 {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), "[hidden]");
            }
        }
    }
}

/// Why one try gave no stream.
enum Refused {
    Cancelled,
    Failed(HttpOutcome),
}

impl HttpModel {
    /// A client for this provider.
    ///
    /// # Errors
    /// What has to be set before it can be used, for the user.
    pub(super) fn new(
        id: &str,
        provider: &ProviderConfig,
        context_window: Option<i64>,
        env: &dyn Fn(&str) -> Option<String>,
        stored_key: &Arc<StoredKey>,
    ) -> Result<Self, String> {
        let set = |what: &str| format!("the model provider `{id}` cannot be used: {what}");
        let Some(base_url) = &provider.base_url else {
            return Err(set(&format!(
                "set `base_url` in [model_providers.{id}], for example \
                                     \"http://127.0.0.1:8080/v1\""
            )));
        };
        can_reach("base_url", base_url).map_err(|what| set(&what))?;
        let mut headers = HeaderMap::new();
        let mut secrets: Vec<String> = provider.query_params.values().cloned().collect();
        let mut add = |name: &str, value: &str, from: &str| {
            let (Ok(key), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
                return Err(set(&format!("{from} is not fit to be sent as the HTTP header `{name}`")));
            };
            value.set_sensitive(true);
            headers.insert(key, value);
            Ok(())
        };
        add("content-type", "application/json", "a constant")?;
        add("accept", "text/event-stream", "a constant")?;
        if let Some(variable) = &provider.env_key {
            let Some(key) = env(variable).filter(|key| !key.trim().is_empty()) else {
                return Err(set(&format!(
                    "set the environment variable `{variable}` to its API key and start \
                                         the server again"
                )));
            };
            add("authorization", &format!("Bearer {}", key.trim()), &format!("the value of `{variable}`"))?;
            secrets.push(key.trim().to_owned());
        }
        for (name, value) in &provider.http_headers {
            add(name, value, "a value in `http_headers`")?;
            secrets.push(value.clone());
        }
        for (name, variable) in &provider.env_http_headers {
            // Like the reference: a header whose variable is not set is left out.
            let Some(value) = env(variable).filter(|value| !value.trim().is_empty()) else { continue };
            add(name, value.trim(), &format!("the value of `{variable}`"))?;
            secrets.push(value.trim().to_owned());
        }
        let key = match &provider.env_key {
            Some(variable) => {
                KeySource::Configured(format!("The key is read from the environment variable `{variable}`."))
            }
            None if headers.contains_key("authorization") => {
                KeySource::Configured(format!("The key is a header of [model_providers.{id}]."))
            }
            None => KeySource::SignIn {
                stored: Arc::clone(stored_key),
                id: id.to_owned(),
                needed: id == PROVIDER_OPENAI,
            },
        };
        let path = match provider.wire_api {
            WireApi::Responses => "responses",
            WireApi::Chat => "chat/completions",
        };
        let url = format!("{}/{path}", base_url.trim_end_matches('/'));
        secrets.extend(user_info(&url).map(str::to_owned));
        Ok(Self {
            agent: agent(base_url, env).map_err(|what| set(&what))?,
            wire: provider.wire_api,
            shown_url: without_user_info(&url),
            url,
            query: provider.query_params.clone().into_iter().collect(),
            headers,
            secrets: Secrets::new(secrets),
            key,
            request_retries: provider.request_max_retries,
            stream_retries: provider.stream_max_retries,
            idle_timeout: provider.stream_idle_timeout,
            context_window,
        })
    }

    fn send(
        &self,
        body: &[u8],
        traceparent: Option<&str>,
        credentials: &Credentials,
        cancel: &Cancel,
    ) -> Result<Response<Body>, Refused> {
        if cancel.is_cancelled() {
            return Err(Refused::Cancelled);
        }
        let mut request = self.agent.post(&self.url);
        for (name, value) in &self.query {
            request = request.query(name, value);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = &credentials.header {
            request = request.header("authorization", authorization);
        }
        if let Some(traceparent) = traceparent {
            request = request.header("traceparent", traceparent);
        }
        let outcome = within(cancel, self.idle_timeout, || request.send(body));
        match outcome {
            _ if cancel.is_cancelled() => Err(Refused::Cancelled),
            Ok(response) if response.status().is_success() => Ok(response),
            Ok(response) => Err(self.refusal(response, credentials, cancel)),
            Err(error) => {
                let text = format!("{}, url: {}", words_of(&error), self.shown_url);
                let resend = !matches!(error, ureq::Error::BadUri(_) | ureq::Error::Http(_));
                let failure = credentials.secrets.hide(ModelFailure::unreachable(&text));
                Err(Refused::Failed(HttpOutcome { failure, resend }))
            }
        }
    }

    fn refusal(&self, response: Response<Body>, credentials: &Credentials, cancel: &Cancel) -> Refused {
        let (head, body) = response.into_parts();
        let mut text = Vec::new();
        let mut body = body.into_reader().take(limits::MODEL_ERROR_BYTES as u64);
        // What has come until the deadline, or until the connection broke, is what there is to say.
        let _ = within(cancel, limits::MODEL_ERROR_DEADLINE, || body.read_to_end(&mut text));
        if cancel.is_cancelled() {
            return Refused::Cancelled;
        }
        let now_ms = u64::try_from(cancel.clock().wall_ms()).unwrap_or_default();
        let failure = HttpFailure {
            status: head.status.as_u16(),
            body: &text,
            url: &self.shown_url,
            retry_after: retry::retry_after(&head.headers, UNIX_EPOCH + Duration::from_millis(now_ms)),
            should_retry: retry::should_retry(&head.headers),
            credentials_hint: &credentials.hint,
        };
        let HttpOutcome { failure, resend } = failure.outcome();
        Refused::Failed(HttpOutcome { failure: credentials.secrets.hide(failure), resend })
    }

    /// Sends until there is an answer or the repetitions are used up.
    fn answer(
        &self,
        body: &[u8],
        request: &ModelRequest,
        credentials: &Credentials,
        cancel: &Cancel,
    ) -> Result<Response<Body>, ModelError> {
        let mut retries = 0;
        let mut was_stale = false;
        loop {
            let HttpOutcome { failure, resend } =
                match self.send(body, request.traceparent.as_deref(), credentials, cancel) {
                    Ok(response) => return Ok(response),
                    Err(Refused::Cancelled) => return Err(ModelError::Cancelled),
                    Err(Refused::Failed(outcome)) => outcome,
                };
            // A kept connection that the provider closed meanwhile says nothing about the provider.
            if failure.http_status_code().is_none()
                && was_reused()
                && !std::mem::replace(&mut was_stale, true)
            {
                continue;
            }
            if !resend || retries == self.request_retries {
                return Err(failure.into());
            }
            retries += 1;
            MODEL_RETRIES.add_one();
            tracing::debug!(%failure, retries, "a model request is sent again");
            let after = failure.retry.and_then(|retry| retry.after);
            if !cancel.wait(after.unwrap_or_else(|| retry_pause(retries))) {
                return Err(ModelError::Cancelled);
            }
        }
    }
}

impl ModelClient for HttpModel {
    fn stream(&self, request: &ModelRequest, cancel: &Cancel) -> Result<Box<dyn ModelStream>, ModelError> {
        let (body, decoder): (_, Box<dyn stream::Decoder>) = match self.wire {
            WireApi::Responses => (responses::body(request), Box::new(responses::Decoder::default())),
            WireApi::Chat => (chat::body(request), Box::new(chat::Decoder::new(request))),
        };
        let body = body.map_err(|error| {
            let text = format!("the request to the model could not be encoded: {error}");
            ModelFailure::last(text, crate::proto::CodexErrorInfo::InternalServerError)
        })?;
        let credentials = self.key.credentials(&self.secrets)?;
        let response = self.answer(&body, request, &credentials, cancel)?;
        let reader = response.into_body().into_reader();
        Ok(Box::new(HttpStream::new(reader, decoder, self.idle_timeout, credentials.secrets)))
    }

    fn context_window(&self, _model: &str) -> Option<i64> {
        self.context_window
    }

    fn stream_retries_max(&self) -> u32 {
        self.stream_retries
    }
}

/// Whether this build can reach such an address, which stands under this key.
///
/// # Errors
/// What has to be changed, for the user.
pub(crate) fn can_reach(key: &str, url: &str) -> Result<(), String> {
    let (is_plain, is_encrypted) = (url.starts_with("http://"), url.starts_with("https://"));
    if !is_plain && !is_encrypted {
        return Err(format!("its `{key}` must begin with http:// or https://"));
    }
    if is_encrypted && cfg!(not(feature = "tls")) {
        let what = "this build has no TLS; use a build with the feature `tls`, or an http:// address";
        return Err(what.to_owned());
    }
    Ok(())
}

/// An error of the HTTP library for the user.
pub(crate) fn words_of(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "connection refused; is the server running?".to_owned(),
            #[cfg(feature = "tls")]
            _ if tls::words_of(error).is_some() => tls::words_of(error).unwrap_or_default(),
            _ => error.to_string(),
        },
        ureq::Error::Timeout(ureq::Timeout::PerRead) => "no answer in time".to_owned(),
        ureq::Error::HostNotFound => "the host's name is not known".to_owned(),
        error => error.to_string(),
    }
}

/// `user:password` of an address.
pub(crate) fn user_info(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    authority.rsplit_once('@').map(|(user_info, _)| user_info)
}

/// The address as it may be shown.
pub(crate) fn without_user_info(url: &str) -> String {
    let url = match user_info(url) {
        Some(user_info) => url.replacen(&format!("{user_info}@"), "", 1),
        None => url.to_owned(),
    };
    // Secrets like to stand in queries.
    url.split('?').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
