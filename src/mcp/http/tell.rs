//! What a server is told that nobody waits for: that a call was given up, and that the session ends. Knows no
//! answers; runs on the worker `mcp-tell`, which starts when there is something to tell.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use serde_json::json;

use super::Link;
use crate::limits::{MCP_END_TIMEOUT, MCP_TELL_TIMEOUT, MCP_TELLS, STACK_BYTES_WORK};
use crate::mcp::wire;
use crate::model::{cancellation, within};
use crate::sys::worker::Worker;

/// Its drop waits until the server was told, or the time for that is over.
#[derive(Default)]
pub(super) struct Teller {
    // Dropped before the worker, which ends with it.
    messages: Option<Sender<Vec<u8>>>,
    worker: Option<Worker>,
    has_ended: bool,
}

impl Teller {
    /// Nobody waits for this answer any more.
    pub(super) fn cancelled(&mut self, link: &Arc<Link>, id: u64) {
        let message =
            wire::message(/*id*/ None, "notifications/cancelled", Some(&json!({ "requestId": id })));
        self.start(link);
        if let Some(messages) = &self.messages {
            // A server that is told so much does not listen.
            let _ = messages.try_send(message);
        }
    }

    /// The session ends, if there is one.
    pub(super) fn end(&mut self, link: &Arc<Link>) {
        if link.has_session() {
            self.start(link);
        }
        self.has_ended = true;
        self.messages = None;
    }

    fn start(&mut self, link: &Arc<Link>) {
        if self.worker.is_some() || self.has_ended {
            return;
        }
        let (sender, receiver) = bounded(MCP_TELLS);
        let link = Arc::clone(link);
        match Worker::spawn("mcp-tell", STACK_BYTES_WORK, move || run(&link, &receiver)) {
            Ok(worker) => (self.worker, self.messages) = (Some(worker), Some(sender)),
            Err(error) => tracing::warn!(%error, "no worker to tell an MCP server something"),
        }
    }
}

fn run(link: &Link, messages: &Receiver<Vec<u8>>) {
    for message in messages {
        let told = link.during("notifications/cancelled", MCP_TELL_TIMEOUT, &link.closed, |call| {
            link.post(&message, call).map(|response| link.read_rest(response, call))
        });
        if let Err(error) = told {
            tracing::debug!(server = link.name, %error, "an MCP server is not told of a cancellation");
        }
    }
    if !link.has_session() {
        return;
    }
    let request = link.dressed(link.agent.delete(&link.url));
    // Everything else of the link has ended; this has its own time.
    let (_, cancel) = cancellation(link.clock.clone());
    if let Err(error) = within(&cancel, MCP_END_TIMEOUT, || request.call()) {
        let mut error = error.to_string();
        link.secrets.hide_in(&mut error);
        tracing::debug!(server = link.name, error, "a session is left open");
    }
}
