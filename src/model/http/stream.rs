//! An answer over HTTP while it comes.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::time::Duration;

use ureq::{BodyReader, Timeout};

use super::transport::within;
use super::{Secrets, words_of};
use crate::limits::{MODEL_BUFFER_BYTES, MODEL_END_DEADLINE};
use crate::model::sse::SseParser;
use crate::model::{Cancel, ModelError, ModelEvent, ModelFailure, ModelStream};

/// Makes a model's events of the data of its stream's events.
pub(in crate::model) trait Decoder: Send {
    /// Takes one event's data.
    ///
    /// # Errors
    /// The model says that it failed.
    fn take(&mut self, data: &[u8], out: &mut VecDeque<ModelEvent>) -> Result<(), ModelFailure>;

    /// The stream is over. True if that is no failure.
    fn end(&mut self, out: &mut VecDeque<ModelEvent>) -> bool;
}

pub(super) struct HttpStream {
    /// None once the answer is over.
    body: Option<BodyReader<'static>>,
    sse: SseParser,
    decoder: Box<dyn Decoder>,
    /// Data of events that were not decoded yet.
    events: VecDeque<Vec<u8>>,
    pending: VecDeque<ModelEvent>,
    buffer: Vec<u8>,
    idle_timeout: Duration,
    secrets: Secrets,
    completed: bool,
}

impl HttpStream {
    pub(super) fn new(
        body: BodyReader<'static>,
        decoder: Box<dyn Decoder>,
        idle_timeout: Duration,
        secrets: Secrets,
    ) -> Self {
        Self {
            body: Some(body),
            sse: SseParser::default(),
            decoder,
            events: VecDeque::new(),
            pending: VecDeque::new(),
            buffer: vec![0; MODEL_BUFFER_BYTES],
            idle_timeout,
            secrets,
            completed: false,
        }
    }

    /// Decodes or reads until there is an event. False when the answer is over.
    fn advance(&mut self, cancel: &Cancel) -> Result<bool, ModelError> {
        while self.pending.is_empty() {
            if let Some(data) = self.events.pop_front() {
                self.decoder.take(&data, &mut self.pending).map_err(|failure| self.secrets.hide(failure))?;
            } else if !self.read(cancel)? {
                if !self.decoder.end(&mut self.pending) {
                    let failure = ModelFailure::disconnected("stream closed before response.completed");
                    return Err(failure.into());
                }
                return Ok(!self.pending.is_empty());
            }
        }
        Ok(true)
    }

    fn read(&mut self, cancel: &Cancel) -> Result<bool, ModelError> {
        let Some(body) = &mut self.body else { return Ok(false) };
        let buffer = &mut self.buffer;
        match within(cancel, self.idle_timeout, || body.read(buffer)) {
            _ if cancel.is_cancelled() => Err(ModelError::Cancelled),
            Ok(0) => {
                self.body = None;
                Ok(false)
            }
            Ok(count) => {
                let events = &mut self.events;
                let taken = self.sse.push(&self.buffer[..count], |data| events.push_back(data));
                taken.map_err(|error| {
                    let text = format!("the provider sent {error}, more than is accepted");
                    ModelFailure::last(text, crate::proto::CodexErrorInfo::Other)
                })?;
                Ok(true)
            }
            Err(error) if is_timeout(&error) => {
                Err(ModelFailure::disconnected("idle timeout waiting for SSE").into())
            }
            // A connection that ends in the middle says nothing that a missing end does not say.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.body = None;
                Ok(false)
            }
            Err(error) => {
                let failure = ModelFailure::disconnected(&words_of(&ureq::Error::from(error)));
                Err(self.secrets.hide(failure).into())
            }
        }
    }

    /// Reads what is left of a complete answer, so that its connection can serve the next request.
    fn finish(&mut self, cancel: &Cancel) {
        let Some(mut body) = self.body.take() else { return };
        let buffer = &mut self.buffer;
        // A server that goes on talking, or keeps silent, is hung up on.
        let _ = within(cancel, MODEL_END_DEADLINE, || body.read(buffer));
    }
}

fn is_timeout(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    matches!(inner, Some(ureq::Error::Timeout(Timeout::PerRead)))
}

impl ModelStream for HttpStream {
    fn next(&mut self, cancel: &Cancel) -> Result<Option<ModelEvent>, ModelError> {
        let outcome = match cancel.is_cancelled() {
            true => Err(ModelError::Cancelled),
            false if self.completed => {
                self.finish(cancel);
                return Ok(None);
            }
            false => self.advance(cancel),
        };
        match outcome {
            Ok(_) => {
                let event = self.pending.pop_front();
                self.completed = matches!(event, Some(ModelEvent::Completed { .. }) | None);
                Ok(event)
            }
            Err(error) => {
                // Closes the connection.
                self.body = None;
                Err(error)
            }
        }
    }
}
