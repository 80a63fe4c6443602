//! Streams of events, and how one is taken up where it broke off: a server that numbers its events is asked
//! for those after the last one that came (`Last-Event-ID`). Runs on the OS thread of whoever reads.

use std::collections::VecDeque;
use std::io::Read;

use ureq::http::{HeaderValue, Response};
use ureq::{Body, BodyReader};

use super::answer::EVENT_STREAM;
use super::{Call, Link};
use crate::limits::{
    MCP_MESSAGE_BYTES_MAX, MCP_RESUME_PAUSE, MCP_RESUME_PAUSE_MAX, MCP_RESUMES, MODEL_BUFFER_BYTES,
    MODEL_END_DEADLINE,
};
use crate::mcp::CallError;
use crate::model::{SseParser, within};

/// A stream while it is read.
pub(super) struct Events {
    body: BodyReader<'static>,
    sse: SseParser,
    buffer: Vec<u8>,
    /// Data of events that were not looked at yet.
    ready: VecDeque<Vec<u8>>,
    /// Times in a row that it was taken up again without anything to show for it.
    resumes: u32,
}

impl Events {
    pub(super) fn of(response: Response<Body>) -> Self {
        Self {
            body: response.into_body().into_reader(),
            sse: SseParser::default(),
            buffer: vec![0; MODEL_BUFFER_BYTES],
            ready: VecDeque::new(),
            resumes: 0,
        }
    }

    /// The next event's data; none at the end of the stream.
    pub(super) fn next(&mut self, link: &Link, call: &Call<'_>) -> Result<Option<Vec<u8>>, CallError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                if event.len() > MCP_MESSAGE_BYTES_MAX {
                    let text = format!("it sent a message of more than {MCP_MESSAGE_BYTES_MAX} bytes");
                    return Err(CallError::Malformed(text));
                }
                self.resumes = 0;
                return Ok(Some(event));
            }
            let (body, buffer) = (&mut self.body, &mut self.buffer);
            let count = link.step(call, || body.read(buffer).map_err(ureq::Error::from))?;
            if count == 0 {
                return Ok(None);
            }
            let ready = &mut self.ready;
            self.sse
                .push(&self.buffer[..count], |event| ready.push_back(event))
                .map_err(|error| CallError::Malformed(error.to_string()))?;
        }
    }

    /// Reads the end of a stream that has said all, so that its connection serves the next call; a server
    /// that goes on talking, or keeps silent, is hung up on.
    pub(super) fn finish(mut self, call: &Call<'_>) {
        let _ = within(&call.cancel, MODEL_END_DEADLINE, || self.body.read(&mut self.buffer));
    }

    /// The last number that the server gave an event.
    pub(super) fn last_id(&self) -> Option<HeaderValue> {
        self.sse.last_id().and_then(|id| HeaderValue::from_bytes(id).ok())
    }

    /// Goes on with what comes after the last event. False if the server cannot do that.
    pub(super) fn resume(&mut self, link: &Link, call: &Call<'_>) -> bool {
        let Some(last) = self.last_id() else { return false };
        while self.resumes < MCP_RESUMES {
            self.resumes += 1;
            let pause = self.sse.retry().map_or(MCP_RESUME_PAUSE, |wish| wish.min(MCP_RESUME_PAUSE_MAX));
            let left = call.until.since(link.clock.now());
            if pause >= left || !call.cancel.wait(pause) {
                return false;
            }
            match link.get(Some(&last), call) {
                Ok(response) if response.status().is_success() => {
                    tracing::debug!(server = link.name, "an MCP server's stream is taken up again");
                    self.body = response.into_body().into_reader();
                    self.sse.begin_anew();
                    return true;
                }
                Ok(response) if response.status().is_client_error() => return false,
                // It may be about to start again.
                Ok(_) | Err(CallError::Gone(_)) => {}
                Err(_) => return false,
            }
        }
        false
    }
}

impl Link {
    /// Asks for a stream of events: all that belongs to no call, or what comes after an event.
    pub(super) fn get(
        &self,
        last: Option<&HeaderValue>,
        call: &Call<'_>,
    ) -> Result<Response<Body>, CallError> {
        let mut request = self.dressed(self.agent.get(&self.url)).header("accept", EVENT_STREAM);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        // A server without such a stream may refuse it as one that has forgotten the session does; whether it
        // has is left to the next message.
        self.step(call, || request.call())
    }
}
