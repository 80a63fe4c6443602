//! `server/diagnostics`: how the server is, and what it can enforce.

use serde::Serialize;

use crate::obs::metrics::values::{OUTBOX_BYTES, OUTBOX_BYTES_HELP};
use crate::proto::{DiagnosticsGauge, DiagnosticsProcess, NoParams, ServerDiagnosticsResponse};
use crate::rpc::Reply;
use crate::sandbox::Report;
use crate::server::VERSION;
use crate::server::dispatch::Caller;
use crate::server::processor::Processor;

/// The protocol's answer, and what this server has to tell beside it.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    diagnostics: ServerDiagnosticsResponse,
    version: &'static str,
    sandbox: Report,
    /// What `/metrics` says, by name.
    metrics: serde_json::Value,
}

/// Answered at once, but for the first milliseconds of a server: then when its sandbox has been tried out.
pub(in crate::server) fn read(processor: &mut Processor, _: Caller, _: NoParams, reply: Reply) {
    match processor.services.sandbox.get() {
        Some(sandbox) => {
            let report = sandbox.report();
            reply.send(Ok(processor.diagnose(report)));
        }
        None => processor.awaiting_sandbox.push(reply),
    }
}

impl Processor {
    /// The sandbox has been tried out: who asked before that is answered.
    pub(in crate::server) fn on_sandbox_known(&mut self) {
        let Some(report) = self.services.sandbox.get().map(crate::sandbox::Sandbox::report) else { return };
        for reply in std::mem::take(&mut self.awaiting_sandbox) {
            let answer = self.diagnose(report.clone());
            reply.send(Ok(answer));
        }
    }

    fn diagnose(&self, sandbox: Report) -> Answer {
        // Who asks may have come in the same batch of events.
        self.publish_gauges();
        let mut metrics = self.services.scrape.page();
        let queued: usize = self.sessions.iter().map(|session| session.outbox().bytes_queued()).sum();
        metrics.gauge(OUTBOX_BYTES, OUTBOX_BYTES_HELP, queued as f64);
        let gauge =
            |name: &str, value: usize| DiagnosticsGauge { name: name.to_owned(), value: value as u64 };
        Answer {
            diagnostics: ServerDiagnosticsResponse {
                process: DiagnosticsProcess {
                    id: std::process::id(),
                    resident_memory_bytes: crate::sys::memory::resident_bytes(),
                    physical_footprint_bytes: None,
                },
                gauges: vec![
                    gauge("app.requests.in_flight", self.open_requests()),
                    gauge("core.threads.live", self.threads.iter().count()),
                    gauge("core.turns.active", self.threads.running_turns()),
                ],
            },
            version: VERSION,
            sandbox,
            metrics: metrics.json(),
        }
    }
}
