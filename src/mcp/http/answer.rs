//! What comes back for a message: one body, or a stream in which the server tells and asks before it answers.
//! Runs on the OS thread of the call.

use std::io::Read;
use std::sync::atomic::Ordering;

use serde_json::Value;
use ureq::Body;
use ureq::http::Response;

use super::events::Events;
use super::{Call, Link};
use crate::limits::{MCP_MESSAGE_BYTES_MAX, MCP_REFUSAL_BYTES_MAX, MODEL_BUFFER_BYTES};
use crate::mcp::CallError;
use crate::mcp::host::{self, CallHost, ELICIT};
use crate::mcp::wire::{self, Incoming, PROGRESS, TOOLS_CHANGED};

/// The type of a stream of events.
pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// What a call has come to.
type Outcome = Result<Value, CallError>;

impl Link {
    /// The answer to message `id`.
    pub(super) fn answer(
        &self,
        id: u64,
        response: Response<Body>,
        call: &mut Call<'_>,
        host: Option<&dyn CallHost>,
    ) -> Outcome {
        match media_type(&response).as_deref() {
            Some(EVENT_STREAM) => self.streamed(id, response, call, host),
            Some("application/json") => self.whole(id, response, call),
            other => Err(CallError::Malformed(format!(
                "its answer is of the type `{}`; it should be JSON or an event stream",
                other.unwrap_or("none")
            ))),
        }
    }

    fn whole(&self, id: u64, response: Response<Body>, call: &Call<'_>) -> Outcome {
        let mut body = response.into_body().into_reader().take(MCP_MESSAGE_BYTES_MAX as u64 + 1);
        let mut text = Vec::new();
        let mut buffer = vec![0; MODEL_BUFFER_BYTES];
        loop {
            match self.step(call, || body.read(&mut buffer).map_err(ureq::Error::from))? {
                0 => break,
                count => text.extend_from_slice(&buffer[..count]),
            }
        }
        if text.len() > MCP_MESSAGE_BYTES_MAX {
            return Err(too_large());
        }
        match wire::read(&text) {
            Some(Incoming::Answer(answered, outcome)) if answered == id => outcome,
            _ => Err(CallError::Malformed("its body is no answer to what it was asked".to_owned())),
        }
    }

    fn streamed(
        &self,
        id: u64,
        response: Response<Body>,
        call: &mut Call<'_>,
        host: Option<&dyn CallHost>,
    ) -> Outcome {
        let mut events = Events::of(response);
        loop {
            let event = match events.next(self, call) {
                Ok(Some(event)) => event,
                Err(error) if !matches!(error, CallError::Gone(_)) => return Err(error),
                broken_off => {
                    if events.resume(self, call) {
                        continue;
                    }
                    let ended = || CallError::Gone("its stream ended before the answer".to_owned());
                    return Err(broken_off.err().unwrap_or_else(ended));
                }
            };
            match wire::read(&event) {
                Some(Incoming::Answer(answered, outcome)) if answered == id => {
                    events.finish(call);
                    return outcome;
                }
                Some(other) => self.meanwhile(id, other, call, host),
                None => {}
            }
        }
    }

    /// Something that the server says before it answers.
    fn meanwhile(&self, id: u64, incoming: Incoming, call: &mut Call<'_>, host: Option<&dyn CallHost>) {
        match incoming {
            Incoming::Request { id, method, params } => {
                let since = self.clock.now();
                let answer = match method == ELICIT {
                    true => wire::result(&id, &host::answer(host, params)),
                    false => wire::answer(&id, &method),
                };
                // What people take to answer is not the server's time.
                call.until = call.until.after(self.clock.now().since(since));
                if let Err(error) = self.post(&answer, call).map(|response| self.read_rest(response, call)) {
                    let error = self.hidden(error);
                    tracing::debug!(server = self.name, %error, "an MCP server does not take an answer");
                }
            }
            Incoming::Notification { method, .. } if method == TOOLS_CHANGED => {
                self.tools_changed.store(true, Ordering::Release);
            }
            Incoming::Notification { method, params } if method == PROGRESS => {
                if let (Some(host), Some((token, message))) = (host, host::progress(&params))
                    && token == id
                {
                    host.progress(message);
                }
            }
            Incoming::Notification { .. } | Incoming::Answer(..) => {}
        }
    }

    /// Reads a body that says nothing, so that its connection can serve the next request.
    pub(super) fn read_rest(&self, response: Response<Body>, call: &Call<'_>) {
        let mut body = response.into_body().into_reader().take(MCP_REFUSAL_BYTES_MAX as u64);
        let mut buffer = [0; 512];
        while matches!(self.step(call, || body.read(&mut buffer).map_err(ureq::Error::from)), Ok(1..)) {}
    }

    /// Why the server refused.
    pub(super) fn refusal(&self, status: u16, response: Response<Body>, call: &Call<'_>) -> CallError {
        let mut body = response.into_body().into_reader().take(MCP_REFUSAL_BYTES_MAX as u64);
        let mut text = Vec::new();
        let read = self.step(call, || body.read_to_end(&mut text).map_err(ureq::Error::from));
        if let Err(error @ CallError::Cancelled) = read {
            return error;
        }
        let hint = match status {
            401 | 403 => "; set `bearer_token_env_var` or `http_headers` to what it wants",
            404 | 405 => "; is its `url` that of an MCP endpoint?",
            _ => "",
        };
        // Its own words, where it has some.
        let words = match wire::read(&text) {
            Some(Incoming::Answer(_, Err(error))) => error.to_string(),
            _ => String::from_utf8_lossy(&text).trim().to_owned(),
        };
        let said = if words.is_empty() { String::new() } else { format!(": {words}") };
        CallError::Gone(format!("it answered HTTP {status}{said}{hint}"))
    }
}

/// Of which type a body is, without parameters.
pub(super) fn media_type(response: &Response<Body>) -> Option<String> {
    let kind = response.headers().get("content-type")?.to_str().ok()?;
    Some(kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn too_large() -> CallError {
    CallError::Gone(format!("it sent a message of more than {MCP_MESSAGE_BYTES_MAX} bytes"))
}
