//! The stream on which a server tells what no call is about: that its list of tools changed. Runs on the
//! worker `mcp-listen` for as long as the connection; a server that has no such stream says so once.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Link, REVISION_HEADER, SESSION_HEADER};
use crate::limits::{
    MCP_LISTEN_SILENCE, MCP_RESTART_PAUSE, MCP_RESTART_PAUSE_MAX, MODEL_BUFFER_BYTES, STACK_BYTES_WORK,
};
use crate::mcp::CallError;
use crate::mcp::host;
use crate::mcp::wire::{self, Incoming, TOOLS_CHANGED};
use crate::model::SseParser;
use crate::sys::worker::Worker;

pub(super) fn spawn(link: Arc<Link>) -> io::Result<Worker> {
    Worker::spawn("mcp-listen", STACK_BYTES_WORK, move || run(&link))
}

fn run(link: &Link) {
    let mut pause = MCP_RESTART_PAUSE;
    loop {
        match listen(link) {
            Ok(()) => pause = MCP_RESTART_PAUSE,
            Err(CallError::Malformed(why)) => {
                return tracing::debug!(server = link.name, why, "an MCP server has no stream of news");
            }
            Err(error) => tracing::debug!(server = link.name, %error, "an MCP server's news broke off"),
        }
        // What changed meanwhile was not heard.
        link.tools_changed.store(true, Ordering::Release);
        if !link.closed.wait(pause) {
            return;
        }
        pause = pause.saturating_mul(2).min(MCP_RESTART_PAUSE_MAX);
    }
}

/// Hears until the stream ends.
fn listen(link: &Link) -> Result<(), CallError> {
    link.during("GET", MCP_LISTEN_SILENCE, &link.closed, |call| {
        let mut request = link.agent.get(&link.url).header("accept", "text/event-stream");
        for (name, value) in &link.headers {
            request = request.header(name, value);
        }
        let (id, revision) = link.handshake();
        let pairs = [(SESSION_HEADER, id), (REVISION_HEADER, revision)];
        for (name, value) in pairs.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            request = request.header(name, value);
        }
        let response = link.step(call, || request.call())?;
        let status = response.status();
        if status.as_u16() == 404 {
            link.session_is_over();
        }
        if status.is_client_error() {
            return Err(CallError::Malformed(format!("HTTP {status}")));
        }
        let mut body = response.into_body().into_reader();
        let mut sse = SseParser::default();
        let mut buffer = vec![0; MODEL_BUFFER_BYTES];
        loop {
            call.until = link.clock.now().after(MCP_LISTEN_SILENCE);
            let count = link.step(call, || body.read(&mut buffer).map_err(ureq::Error::from))?;
            if count == 0 {
                return Ok(());
            }
            let mut events = Vec::new();
            sse.push(&buffer[..count], |event| events.push(event))
                .map_err(|error| CallError::Gone(error.to_string()))?;
            for event in events {
                match wire::read(&event) {
                    Some(Incoming::Notification { method, .. }) if method == TOOLS_CHANGED => {
                        link.tools_changed.store(true, Ordering::Release);
                    }
                    Some(Incoming::Request { id, method, params }) => {
                        // Nobody stands behind a question that belongs to no call.
                        let answer = match method == host::ELICIT {
                            true => wire::result(&id, &host::answer(/*host*/ None, params)),
                            false => wire::answer(&id, &method),
                        };
                        let response = link.post(&answer, call)?;
                        link.read_rest(response, call);
                    }
                    _ => {}
                }
            }
        }
    })
}
