//! What operators see of the processor's work: a span for each request, numbers for each method.
//!
//! The names of the span's fields are the reference's and OpenTelemetry's (semantic conventions for RPC).

use serde::Deserialize;
use serde_json::value::RawValue;
use tracing::{Span, field};

use super::dispatch::METHODS;
use super::processor::Processor;
use super::session::Session;
use crate::obs::metrics::values;
use crate::obs::metrics::{self, Page, RequestStats};
use crate::obs::trace::Context;
use crate::rpc::{Reply, RequestId, Watch};

/// The numbers of each method, in the order of the table; the last are those of what is not in it.
static STATS: [RequestStats; METHODS.len() + 1] = [const { RequestStats::new() }; METHODS.len() + 1];

/// The label of methods that are not in the table: their names are the client's words, and not bounded.
const UNKNOWN: &str = "other";

/// Adds all numbers of the process.
pub fn add_metrics(page: &mut Page) {
    values::add(page);
    let names = METHODS.iter().map(|method| method.name).chain([UNKNOWN]);
    metrics::add_requests(page, names.zip(&STATS));
}

/// `trace` of a request.
#[derive(Deserialize)]
struct Carrier {
    traceparent: Option<String>,
    tracestate: Option<String>,
}

impl Processor {
    /// Begins to look on while a request is worked on; `method` is its place in the table.
    pub(super) fn watch(
        &self,
        session: &Session,
        id: &RequestId,
        name: &str,
        method: Option<usize>,
        trace: Option<&RawValue>,
    ) -> Watch {
        let trace = context_of(name, id, trace);
        let span = tracing::info_span!(
            target: "app_server::trace",
            parent: None,
            "app_server.request",
            otel.kind = "server",
            otel.name = name,
            rpc.system = "jsonrpc",
            rpc.method = name,
            rpc.transport = session.transport.as_str(),
            rpc.request_id = ?id,
            app_server.connection_id = session.id.0,
            app_server.api_version = "v2",
            app_server.client_name = field::Empty,
            app_server.client_version = field::Empty,
            turn.id = field::Empty,
            trace_id = field::Empty,
            trace_flags = field::Empty,
            span_id = field::Empty,
            parent_span_id = field::Empty,
        );
        trace.record(&span);
        if let Some(client) = &session.client {
            record_client(&span, &client.name, &client.version);
        }
        Watch {
            stats: &STATS[method.unwrap_or(METHODS.len())],
            began: self.services.clock.elapsed(),
            clock: self.services.clock.clone(),
            trace,
            span,
        }
    }

    /// Puts down what operators want to know of the processor's state.
    pub(super) fn publish_gauges(&self) {
        values::SESSIONS.set(self.sessions.len());
        values::THREADS_LOADED.set(self.threads.len());
        values::TURNS_RUNNING.set(self.threads.running_turns());
    }
}

/// `initialize` says who the client is; later requests know it from their session.
pub(super) fn name_client(reply: &Reply, name: &str, version: &str) {
    record_client(&reply.span(), name, version);
}

/// The turn that a request is about.
pub(super) fn name_turn(reply: &Reply, turn: &impl std::fmt::Display) {
    reply.span().record("turn.id", field::display(turn));
}

/// The turn that the request which is worked on now is about.
pub(super) fn name_turn_here(turn: &impl std::fmt::Display) {
    Span::current().record("turn.id", field::display(turn));
}

fn record_client(span: &Span, name: &str, version: &str) {
    if !span.is_disabled() {
        span.record("app_server.client_name", name);
        span.record("app_server.client_version", version);
    }
}

/// The request's own parent, else that of the process, else none. A carrier that is none begins a trace: what
/// the client meant is not known, and the environment is not what it meant.
fn context_of(method: &str, id: &RequestId, trace: Option<&RawValue>) -> Context {
    let of_process = || Context::below(Context::of_environment());
    let Some(trace) = trace else { return of_process() };
    let parsed = match serde_json::from_str::<Option<Carrier>>(trace.get()) {
        Ok(Some(Carrier { traceparent: Some(parent), tracestate })) => {
            Context::parse(&parent, tracestate.as_deref()).map_err(|error| error.to_string())
        }
        Ok(_) => return of_process(),
        Err(error) => Err(error.to_string()),
    };
    match parsed {
        Ok(parent) => parent.child(),
        Err(error) => {
            tracing::warn!(
                rpc_method = method,
                rpc_request_id = ?id,
                error,
                "ignoring invalid inbound request trace carrier"
            );
            Context::root()
        }
    }
}
