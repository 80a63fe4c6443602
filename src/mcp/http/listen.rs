//! The stream on which a server tells what no call is about: that its list of tools changed. Runs on the
//! worker `mcp-listen` for as long as the connection; a server that has no such stream says so once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ureq::http::{HeaderValue, StatusCode};

use super::Link;
use super::answer::{EVENT_STREAM, media_type};
use super::events::Events;
use crate::limits::{
    MCP_LISTEN_SILENCE, MCP_RESTART_PAUSE, MCP_RESTART_PAUSE_MAX, MCP_STABLE_AFTER, STACK_BYTES_WORK,
};
use crate::mcp::CallError;
use crate::mcp::host;
use crate::mcp::wire::{self, Incoming, TOOLS_CHANGED};
use crate::sys::worker::Worker;

pub(super) fn spawn(link: Arc<Link>) -> io::Result<Worker> {
    Worker::spawn("mcp-listen", STACK_BYTES_WORK, move || run(&link))
}

/// How listening came to its end, if nothing went wrong.
enum Over {
    /// The server ended the stream.
    Ended,
    /// It has none; the text says how that shows.
    NoStream(String),
}

fn run(link: &Link) {
    let mut pause = MCP_RESTART_PAUSE;
    let mut last = None;
    loop {
        let since = link.clock.now();
        match listen(link, &mut last) {
            Ok(Over::Ended) => {}
            Ok(Over::NoStream(why)) => {
                return tracing::debug!(server = link.name, why, "an MCP server has no stream of news");
            }
            Err(error) => tracing::debug!(server = link.name, %error, "an MCP server's news broke off"),
        }
        // A server that ends each stream at once, or says the same too large thing each time, is asked less
        // and less often.
        if link.clock.now().since(since) >= MCP_STABLE_AFTER {
            pause = MCP_RESTART_PAUSE;
        }
        // What changed meanwhile was not heard.
        link.tools_changed.store(true, Ordering::Release);
        if !link.closed.wait(pause) {
            return;
        }
        pause = pause.saturating_mul(2).min(MCP_RESTART_PAUSE_MAX);
    }
}

/// Hears until the stream ends; `last` is the number of the last event, of this stream or of the one before.
fn listen(link: &Link, last: &mut Option<HeaderValue>) -> Result<Over, CallError> {
    link.during("GET", MCP_LISTEN_SILENCE, &link.closed, |call| {
        let response = link.get(last.as_ref(), call)?;
        match response.status() {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                return Err(CallError::Gone(format!("HTTP {}", response.status())));
            }
            status if status.is_client_error() => return Ok(Over::NoStream(format!("HTTP {status}"))),
            status if !status.is_success() => return Err(CallError::Gone(format!("HTTP {status}"))),
            _ => {}
        }
        let kind = media_type(&response);
        if kind.as_deref() != Some(EVENT_STREAM) {
            let kind = kind.unwrap_or_else(|| "none".to_owned());
            return Ok(Over::NoStream(format!("its answer is of the type `{kind}`")));
        }
        let mut events = Events::of(response);
        loop {
            call.until = link.clock.now().after(MCP_LISTEN_SILENCE);
            let event = events.next(link, call);
            *last = events.last_id().or(last.take());
            match event?.map(|event| wire::read(&event)) {
                None => return Ok(Over::Ended),
                Some(Some(Incoming::Notification { method, .. })) if method == TOOLS_CHANGED => {
                    link.tools_changed.store(true, Ordering::Release);
                }
                Some(Some(Incoming::Request { id, method, params })) => {
                    // Nobody stands behind a question that belongs to no call.
                    let answer = match method == host::ELICIT {
                        true => wire::result(&id, &host::answer(/*host*/ None, params)),
                        false => wire::answer(&id, &method),
                    };
                    let response = link.post(&answer, call)?;
                    link.read_rest(response, call);
                }
                Some(_) => {}
            }
        }
    })
}
