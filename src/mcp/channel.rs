//! The way to a server, whichever it is. Runs on the OS thread of whoever asks.

use std::time::Duration;

use serde_json::Value;

use super::CallError;
use super::host::CallHost;
use super::http::Http;
use super::stdio::Pipe;
use super::wire;
use crate::model::Cancel;

/// A request to a server.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) method: &'a str,
    pub(super) params: &'a Value,
    /// How long the answer may take.
    pub(super) within: Duration,
    /// Hears what the server tells meanwhile, and answers what it asks.
    pub(super) host: Option<&'a dyn CallHost>,
    pub(super) cancel: &'a Cancel,
}

impl Ask<'_> {
    /// The message under this number; only if somebody hears of its progress, the server is asked to tell.
    pub(super) fn message(&self, id: u64) -> Vec<u8> {
        match self.host {
            Some(_) => wire::message(Some(id), self.method, Some(&wire::with_token(self.params, id))),
            None => wire::message(Some(id), self.method, Some(self.params)),
        }
    }
}

/// A connection to a server; its drop ends it.
pub(super) enum Channel {
    Pipe(Pipe),
    Http(Http),
}

impl Channel {
    /// Asks, and waits for the answer.
    pub(super) fn request(&self, ask: Ask<'_>) -> Result<Value, CallError> {
        match self {
            Self::Pipe(pipe) => pipe.request(ask),
            Self::Http(http) => http.request(ask),
        }
    }

    /// Says that the handshake is over; `hello` is what the server said in it.
    pub(super) fn initialized(
        &self,
        hello: &Value,
        within: Duration,
        cancel: &Cancel,
    ) -> Result<(), CallError> {
        const METHOD: &str = "notifications/initialized";
        match self {
            Self::Pipe(pipe) => {
                pipe.notify(METHOD, /*params*/ None);
                Ok(())
            }
            Self::Http(http) => http.initialized(METHOD, hello, within, cancel),
        }
    }

    /// Why it can no longer be asked, if so.
    pub(super) fn gone(&self) -> Option<String> {
        match self {
            Self::Pipe(pipe) => pipe.gone(),
            Self::Http(http) => http.gone(),
        }
    }

    /// True, once, if the server said that its tools changed.
    pub(super) fn take_tools_changed(&self) -> bool {
        match self {
            Self::Pipe(pipe) => pipe.take_tools_changed(),
            Self::Http(http) => http.take_tools_changed(),
        }
    }

    /// Ends it; calls that wait fail.
    pub(super) fn close(&self, why: &str) {
        match self {
            Self::Pipe(pipe) => pipe.close(why),
            Self::Http(http) => http.close(why),
        }
    }
}
