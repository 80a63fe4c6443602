//! Running the calls of one answer: those that may, side by side on a bounded number of workers; the others
//! alone and in their order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use tracing::{Span, field};

use super::{Tool, ToolOutput, built_in};
use crate::agent::approvals::Approvals;
use crate::agent::ask::Asker;
use crate::agent::conversation::output;
use crate::agent::settings::Settings;
use crate::agent::stop::Stop;
use crate::agent::teller::Teller;
use crate::agent::terminals::Terminals;
use crate::clock::Clock;
use crate::config::Features;
use crate::exec::Spawner;
use crate::limits;
use crate::model::{Cancel, InputItem, ToolCall, ToolSpec};
use crate::obs::trace::Context;
use crate::patch::TurnDiff;
use crate::sync::lock;
use crate::sys::worker::Worker;

/// What tools work with.
#[derive(Clone)]
pub struct ToolContext {
    pub(crate) teller: Arc<Teller>,
    /// Cancelled when the turn is.
    pub(crate) cancel: Cancel,
    pub(crate) settings: Arc<Settings>,
    /// The place in a trace: the turn's, and within a call that of the call.
    pub(crate) trace: Context,
    /// Asks the clients.
    pub(crate) asker: Asker,
    pub(crate) approvals: Approvals,
    pub(crate) terminals: Arc<Terminals>,
    pub(crate) spawner: Spawner,
    /// What the turn's patches have changed.
    pub(crate) diff: Arc<Mutex<TurnDiff>>,
    pub(crate) clock: Clock,
}

/// The tools of a turn.
pub(in crate::agent) struct Toolbox {
    tools: Vec<(String, Arc<dyn Tool>)>,
}

/// What came of one call.
type Outcome = Result<ToolOutput, Stop>;

impl Toolbox {
    /// The tools of every turn, but for what is switched off, and `more`; of two with the same name the first
    /// counts. With what the model is told of them.
    pub(in crate::agent) fn new(features: Features, more: &[Arc<dyn Tool>]) -> (Self, Vec<ToolSpec>) {
        let mut toolbox = Self { tools: Vec::new() };
        let specs = toolbox.add(built_in(features).chain(more.iter().cloned()));
        (toolbox, specs)
    }

    /// More tools; those whose names are taken already are left out. Gives what the model is told of the new
    /// ones.
    pub(in crate::agent) fn add(&mut self, more: impl IntoIterator<Item = Arc<dyn Tool>>) -> Vec<ToolSpec> {
        let mut specs = Vec::new();
        for tool in more {
            let spec = tool.spec();
            if self.find(spec.name()).is_none() {
                self.tools.push((spec.name().to_owned(), tool));
                specs.push(spec);
            }
        }
        specs
    }

    /// Runs the calls and returns what the model is told of each, in their order.
    ///
    /// # Errors
    /// What ends the turn, with the outputs that there are.
    pub(in crate::agent) fn run_all(
        &self,
        calls: &[ToolCall],
        context: &Arc<ToolContext>,
    ) -> Result<Vec<InputItem>, (Vec<InputItem>, Stop)> {
        let mut outputs = Vec::with_capacity(calls.len());
        let mut stop = None;
        let mut rest = calls;
        while !rest.is_empty() && stop.is_none() && !context.cancel.is_cancelled() {
            let together = rest.iter().take_while(|call| self.is_parallel(call)).count().max(1);
            let (group, behind) = rest.split_at(together);
            rest = behind;
            for (call, outcome) in group.iter().zip(self.run_group(group, context)) {
                match outcome {
                    Some(Ok(ToolOutput { content, success })) => {
                        outputs.push(output(call, content, success));
                    }
                    Some(Err(why)) => stop = stop.or(Some(why)),
                    None => {}
                }
            }
        }
        match stop {
            None if context.cancel.is_cancelled() => Err((outputs, Stop::Interrupted)),
            None => Ok(outputs),
            Some(stop) => Err((outputs, stop)),
        }
    }

    fn find(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.tools.iter().find(|(known, _)| known == name).map(|(_, tool)| tool)
    }

    fn is_parallel(&self, call: &ToolCall) -> bool {
        self.find(&call.name).is_some_and(|tool| tool.is_parallel())
    }

    /// Runs calls side by side. The turn's own worker takes part, so that one call alone needs no other, and
    /// a system that gives no more workers only makes it slower.
    fn run_group(&self, calls: &[ToolCall], context: &Arc<ToolContext>) -> Vec<Option<Outcome>> {
        let jobs: Vec<Job> =
            calls.iter().map(|call| (call.clone(), self.find(&call.name).cloned())).collect();
        let group = Arc::new(Group {
            jobs,
            outcomes: Mutex::new(calls.iter().map(|_| None).collect()),
            next: Mutex::new(0),
        });
        let helpers = calls.len().min(limits::TURN_TOOLS_AT_ONCE) - 1;
        let workers: Vec<Worker> = (0..helpers)
            .map_while(|number| {
                let (group, context) = (Arc::clone(&group), Arc::clone(context));
                Worker::spawn(format!("tool-{number}"), limits::STACK_BYTES_WORK, move || {
                    group.work(&context)
                })
                .inspect_err(|error| tracing::warn!(%error, "tools run one after the other"))
                .ok()
            })
            .collect();
        group.work(context);
        // Waits for them.
        drop(workers);
        std::mem::take(&mut *lock(&group.outcomes))
    }
}

type Job = (ToolCall, Option<Arc<dyn Tool>>);

/// Calls that run side by side.
struct Group {
    jobs: Vec<Job>,
    outcomes: Mutex<Vec<Option<Outcome>>>,
    next: Mutex<usize>,
}

impl Group {
    /// Takes one call after the other until none is left.
    fn work(&self, context: &ToolContext) {
        while !context.cancel.is_cancelled() {
            let at = {
                let mut next = lock(&self.next);
                *next += 1;
                *next - 1
            };
            let Some((call, tool)) = self.jobs.get(at) else { return };
            let outcome = run_one(tool.as_deref(), call, context);
            if let Some(slot) = lock(&self.outcomes).get_mut(at) {
                *slot = Some(outcome);
            }
        }
    }
}

fn run_one(tool: Option<&dyn Tool>, call: &ToolCall, context: &ToolContext) -> Outcome {
    let Some(tool) = tool else { return Ok(ToolOutput::failed(format!("unsupported call: {}", call.name))) };
    let (context, span) = begin_call(call, context);
    let _within = span.enter();
    // A tool that panics has failed; the turn goes on.
    catch_unwind(AssertUnwindSafe(|| tool.run(call, &context))).unwrap_or_else(|_| {
        tracing::error!(tool = call.name, "a tool panicked");
        Ok(ToolOutput::failed(format!("{} stopped by an internal error of the server", call.name)))
    })
}

/// Each call is a span of its own, below the turn's; a command is one below it again.
fn begin_call(call: &ToolCall, context: &ToolContext) -> (ToolContext, Span) {
    let context = ToolContext { trace: context.trace.child(), ..context.clone() };
    let span = tracing::info_span!(
        target: "app_server::trace",
        "app_server.tool",
        otel.kind = "internal",
        otel.name = "tool call",
        tool.name = call.name,
        tool.call_id = call.call_id,
        trace_id = field::Empty,
        trace_flags = field::Empty,
        span_id = field::Empty,
        parent_span_id = field::Empty,
    );
    context.trace.record(&span);
    (context, span)
}
