//! Logs: one line an event on stderr, through a bounded lane and a worker of its own.
//!
//! No worker ever waits for stderr. A worker that logs makes its line and puts it into the lane; the `log`
//! worker, which starts with the first line, writes it. When the lane is full the line is dropped and
//! counted, and the count becomes a line as soon as the log moves again. Panics take the same way.

mod filter;
mod lane;
mod line;

use std::any::Any;
use std::fmt::Write as _;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::time::Duration;

use tracing::{Event, Level, Subscriber, subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry;

use crate::clock::Clock;
use crate::limits::{LOG_FLUSH_DEADLINE, LOG_LINES};
use filter::Filter;
use lane::Lane;
use line::Line;

pub use lane::OpenSink;

/// Target of the lines that the log says about itself.
const TARGET: &str = "app_server::obs::log";
/// Target of the lines about panics.
const TARGET_PANIC: &str = "app_server::panic";

/// Switches logging on for this process; `filter` is the value of `RUST_LOG`.
///
/// Installs the global subscriber and the panic hook, so it is called once, from `main`. If there already
/// is a global subscriber, that one stays.
#[must_use = "dropping the guard ends the log"]
pub fn init(filter: Option<&str>) -> LogGuard {
    let lane = Lane::new(LOG_LINES, lane::stderr(), Clock::real());
    let filter = Filter::parse(filter);
    // Garbage in RUST_LOG is told even if what is left of it says to be silent: its author is looking.
    for warning in &filter.warnings {
        lane.say(Level::WARN, TARGET, warning);
    }
    let _ = subscriber::set_global_default(subscriber(&lane, filter));
    let in_hook = Arc::clone(&lane);
    std::panic::set_hook(Box::new(move |info| log_panic(&in_hook, info)));
    LogGuard { lane }
}

/// Keeps the log going. Dropping it writes what is queued, for a short time, and ends the log.
#[derive(Debug)]
pub struct LogGuard {
    lane: Arc<Lane>,
}

impl LogGuard {
    /// Waits until everything that was logged so far is on stderr, at most `deadline`. True if it is.
    #[must_use = "false says that lines may be missing"]
    pub fn flush(&self, deadline: Duration) -> bool {
        self.lane.flush(deadline)
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.lane.end(LOG_FLUSH_DEADLINE);
    }
}

/// What turns events into lines of the lane.
fn subscriber(lane: &Arc<Lane>, filter: Filter) -> impl Subscriber + Send + Sync + use<> {
    registry().with(ToLane(Arc::clone(lane)).with_filter(filter.targets))
}

struct ToLane(Arc<Lane>);

impl<S: Subscriber> Layer<S> for ToLane {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Line::begin(self.0.wall_ms(), metadata.level(), metadata.target());
        event.record(&mut line.fields());
        self.0.offer(line.end());
    }
}

/// One line with the worker (it is in every line), the place and the message. The hook replaces the one of
/// the standard library, so nothing is printed twice.
fn log_panic(lane: &Lane, info: &PanicHookInfo<'_>) {
    let mut line = Line::begin(lane.wall_ms(), &Level::ERROR, TARGET_PANIC);
    // A line takes what it is given.
    let _ = write!(line, "panicked");
    if let Some(place) = info.location() {
        let _ = write!(line, " at {place}");
    }
    let _ = write!(line, ": {}", panic_message(info.payload()));
    lane.offer(line.end());
}

/// The text of a panic.
fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(a value that is no text)")
}

#[cfg(test)]
mod tests;
