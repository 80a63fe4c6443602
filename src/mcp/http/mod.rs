//! A server behind HTTP, as MCP's revision 2025-06-18 has it ("streamable HTTP"): each message is a POST, and
//! its answer is one JSON body or a stream of Server-Sent Events, in which the server may tell and ask before
//! it answers.
//!
//! A call runs on the OS thread that makes it, as does the answer to a question in it. Two workers help:
//! `mcp-tell`, from the first call that nobody waits for any more, says so; `mcp-listen`, where a server says
//! that its list of tools may change, hears of that.

mod answer;
mod events;
mod listen;
mod tell;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Response};
use ureq::{Agent, Body, RequestBuilder};

use super::CallError;
use super::channel::Ask;
use super::wire;
use crate::clock::{Clock, Monotonic};
use crate::config::McpTransport;
use crate::limits::MCP_CALLS_MAX;
use crate::model::{
    Cancel, Canceller, Secrets, agent, can_reach, cancellation, user_info, within, without_user_info,
    words_of,
};
use crate::sync::lock;
use crate::sys::worker::Worker;
use tell::Teller;

const SESSION_HEADER: &str = "mcp-session-id";
const REVISION_HEADER: &str = "mcp-protocol-version";

/// A server behind HTTP; its drop ends the session.
pub(super) struct Http {
    link: Arc<Link>,
    teller: Mutex<Teller>,
    listener: Mutex<Option<Worker>>,
}

/// What all requests to the server share.
pub(super) struct Link {
    name: String,
    agent: Agent,
    url: String,
    /// Without what may be secret.
    shown_url: String,
    headers: HeaderMap,
    /// Never shown, whatever the server repeats.
    secrets: Secrets,
    clock: Clock,
    session: Mutex<Session>,
    next: AtomicU64,
    calls: AtomicUsize,
    tools_changed: AtomicBool,
    closer: Canceller,
    closed: Cancel,
}

/// What the handshake has brought.
#[derive(Default)]
struct Session {
    id: Option<HeaderValue>,
    revision: Option<HeaderValue>,
    /// Why nothing is answered any more.
    gone: Option<String>,
}

/// One request: until when, and for whom.
struct Call<'a> {
    method: &'a str,
    within: Duration,
    until: Monotonic,
    /// Cancelled with the caller, and when the connection is closed.
    cancel: Cancel,
    /// The caller's own.
    caller: &'a Cancel,
}

/// Leaves its place when the call is over.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Http {
    /// A way to this server; nothing is sent yet.
    ///
    /// # Errors
    /// What has to be set before it can be used, for the user.
    pub(super) fn new(name: &str, transport: &McpTransport, clock: &Clock) -> Result<Self, String> {
        let McpTransport::Http { url, bearer_token_env_var, http_headers, env_http_headers } = transport
        else {
            return Err("it has no `url`".to_owned());
        };
        can_reach("url", url)?;
        let mut headers = HeaderMap::new();
        let mut secrets: Vec<String> = user_info(url).map(str::to_owned).into_iter().collect();
        let mut add = |header: &str, value: String| {
            let name = HeaderName::try_from(header);
            let (Ok(name), Ok(mut sent)) = (name, HeaderValue::try_from(value.as_str())) else {
                return Err(format!("the value of the HTTP header `{header}` is not fit to be sent"));
            };
            sent.set_sensitive(true);
            headers.insert(name, sent);
            secrets.push(value);
            Ok(())
        };
        for (header, value) in http_headers {
            add(header, value.clone())?;
        }
        let variable = |name: &str| {
            let value = std::env::var(name).ok().map(|value| value.trim().to_owned());
            value.filter(|value| !value.is_empty())
        };
        for (header, name) in env_http_headers {
            // As the reference has it: a header whose variable is not set is left out.
            variable(name).map_or(Ok(()), |value| add(header, value))?;
        }
        if let Some(name) = bearer_token_env_var {
            let Some(token) = variable(name) else {
                return Err(format!(
                    "set the environment variable `{name}` to its token and start this server again"
                ));
            };
            add("authorization", format!("Bearer {token}"))?;
            secrets.push(token);
        }
        let (closer, closed) = cancellation(clock.clone());
        let link = Arc::new(Link {
            name: name.to_owned(),
            agent: agent(url, &|name| std::env::var(name).ok())?,
            shown_url: without_user_info(url),
            url: url.clone(),
            headers,
            secrets: Secrets::new(secrets),
            clock: clock.clone(),
            session: Mutex::default(),
            next: AtomicU64::new(0),
            calls: AtomicUsize::new(0),
            tools_changed: AtomicBool::new(false),
            closer,
            closed,
        });
        Ok(Self { link, teller: Mutex::default(), listener: Mutex::default() })
    }

    /// Asks, and waits for the answer.
    pub(super) fn request(&self, ask: Ask<'_>) -> Result<Value, CallError> {
        let Ask { method, within, host, cancel, .. } = ask;
        let link = &self.link;
        let _place = link.enter()?;
        let id = link.next.fetch_add(1, Ordering::Relaxed) + 1;
        let outcome = link.during(method, within, cancel, |call| {
            let response = link.post(&ask.message(id), call)?;
            if method == "initialize" {
                lock(&link.session).id = response.headers().get(SESSION_HEADER).cloned();
            }
            link.answer(id, response, call, host)
        });
        let gave_up = matches!(outcome, Err(CallError::Cancelled | CallError::TimedOut { .. }));
        if gave_up && method != "initialize" {
            lock(&self.teller).cancelled(link, id);
        }
        outcome
    }

    /// Says that the handshake is over, and listens for changes if there may be some.
    pub(super) fn initialized(
        &self,
        method: &str,
        hello: &Value,
        within: Duration,
        cancel: &Cancel,
    ) -> Result<(), CallError> {
        let link = &self.link;
        let revision = hello.get("protocolVersion").and_then(Value::as_str).unwrap_or(wire::REVISION);
        lock(&link.session).revision = HeaderValue::try_from(revision).ok();
        link.during(method, within, cancel, |call| {
            let response = link.post(&wire::message(/*id*/ None, method, /*params*/ None), call)?;
            link.read_rest(response, call);
            Ok(())
        })?;
        if hello.pointer("/capabilities/tools/listChanged") == Some(&json!(true)) {
            let listening = Arc::clone(link);
            let worker = listen::spawn(listening);
            let worker =
                worker.map_err(|error| CallError::Gone(format!("no worker could be started: {error}")))?;
            *lock(&self.listener) = Some(worker);
        }
        Ok(())
    }

    /// Why it can no longer be asked, if so.
    pub(super) fn gone(&self) -> Option<String> {
        lock(&self.link.session).gone.clone()
    }

    /// True, once, if the server said that its tools changed.
    pub(super) fn take_tools_changed(&self) -> bool {
        self.link.tools_changed.swap(false, Ordering::AcqRel)
    }

    /// Ends it; calls that wait fail.
    pub(super) fn close(&self, why: &str) {
        let link = &self.link;
        lock(&link.session).gone.get_or_insert_with(|| why.to_owned());
        link.closer.cancel();
        lock(&self.teller).end(link);
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.close("it was let go");
    }
}

impl Link {
    /// A place among the calls.
    fn enter(&self) -> Result<Place<'_>, CallError> {
        if let Some(why) = &lock(&self.session).gone {
            return Err(CallError::Gone(why.clone()));
        }
        let place = Place(&self.calls);
        match self.calls.fetch_add(1, Ordering::Relaxed) < MCP_CALLS_MAX {
            true => Ok(place),
            false => Err(CallError::TooMany(MCP_CALLS_MAX)),
        }
    }

    /// Does something that ends with its caller, with the connection, or after a time. What it says of a
    /// failure has no secrets in it.
    fn during<R>(
        &self,
        method: &str,
        within: Duration,
        caller: &Cancel,
        work: impl FnOnce(&mut Call<'_>) -> Result<R, CallError>,
    ) -> Result<R, CallError> {
        let (canceller, cancel) = cancellation(self.clock.clone());
        let closer = canceller.clone();
        let _with_caller = caller.on_cancel(move || canceller.cancel());
        let _with_connection = self.closed.on_cancel(move || closer.cancel());
        let mut call = Call { method, within, until: self.clock.now().after(within), cancel, caller };
        work(&mut call).map_err(|error| self.hidden(error))
    }

    /// Sends a message; what comes back is a success.
    fn post(&self, message: &[u8], call: &Call<'_>) -> Result<Response<Body>, CallError> {
        let has_session = self.has_session();
        let request = self.dressed(self.agent.post(&self.url)).header("content-type", "application/json");
        let request = request.header("accept", "application/json, text/event-stream");
        let response = self.step(call, || request.send(message))?;
        match response.status().as_u16() {
            200..=299 => Ok(response),
            404 if has_session => {
                self.session_is_over();
                Err(CallError::SessionOver)
            }
            status => Err(self.refusal(status, response, call)),
        }
    }

    /// A request with what goes along with each: what is configured, and what the handshake has brought.
    fn dressed<B>(&self, mut request: RequestBuilder<B>) -> RequestBuilder<B> {
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let session = lock(&self.session);
        for (name, value) in [(SESSION_HEADER, &session.id), (REVISION_HEADER, &session.revision)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        request
    }

    fn has_session(&self) -> bool {
        lock(&self.session).id.is_some()
    }

    /// The server does not know the session any more, so there is nothing to end either.
    fn session_is_over(&self) {
        let mut session = lock(&self.session);
        session.id = None;
        session.gone.get_or_insert_with(|| CallError::SessionOver.to_string());
    }

    /// Does one blocking step with the HTTP library.
    fn step<R>(
        &self,
        call: &Call<'_>,
        work: impl FnOnce() -> Result<R, ureq::Error>,
    ) -> Result<R, CallError> {
        let outcome = match self.patience(call) {
            Some(patience) => within(&call.cancel, patience, work),
            None => return Err(call.timed_out()),
        };
        match outcome {
            _ if call.caller.is_cancelled() => Err(CallError::Cancelled),
            _ if call.cancel.is_cancelled() => Err(self.why_gone()),
            Ok(done) => Ok(done),
            Err(ureq::Error::Timeout(_)) => Err(call.timed_out()),
            Err(error) => Err(CallError::Gone(format!("{}, url: {}", words_of(&error), self.shown_url))),
        }
    }

    /// The time that is left.
    fn patience(&self, call: &Call<'_>) -> Option<Duration> {
        let left = call.until.since(self.clock.now());
        (!left.is_zero()).then_some(left)
    }

    fn why_gone(&self) -> CallError {
        let why = lock(&self.session).gone.clone();
        CallError::Gone(why.unwrap_or_else(|| "the connection ended".to_owned()))
    }

    /// An error without secrets: a server may repeat what it was sent, in all its words.
    fn hidden(&self, mut error: CallError) -> CallError {
        match &mut error {
            CallError::Gone(text) | CallError::Malformed(text) | CallError::Refused { message: text, .. } => {
                self.secrets.hide_in(text);
            }
            CallError::Cancelled
            | CallError::TimedOut { .. }
            | CallError::SessionOver
            | CallError::TooMany(_) => {}
        }
        error
    }
}

impl Call<'_> {
    fn timed_out(&self) -> CallError {
        CallError::TimedOut { method: self.method.to_owned(), within: self.within }
    }
}
