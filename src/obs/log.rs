//! Logs: one line an event on stderr or in a file, through a bounded lane and a worker of its own.
//!
//! No worker ever waits for stderr. A worker that logs makes its line and puts it into the lane; the `log`
//! worker, which starts with the first line, writes it. When the lane is full the line is dropped and
//! counted, and the count becomes a line as soon as the log moves again. Panics take the same way.

mod file;
mod filter;
mod format;
mod json;
mod lane;
mod line;
#[cfg(feature = "otlp")]
mod otlp;
mod spans;

use std::any::Any;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber, subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{self, LookupSpan};

use crate::clock::{Clock, Monotonic};
use crate::limits::{LOG_FLUSH_DEADLINE, LOG_LINES};
use filter::Filter;
use format::Format;
use lane::Lane;
use spans::OpenSpan;

pub use file::LogFile;
pub use lane::OpenSink;

/// Target of the lines that the log says about itself.
const TARGET: &str = "app_server::obs::log";
/// Target of the lines about panics.
const TARGET_PANIC: &str = "app_server::panic";
/// Target of the lines that are for people, when they have to be JSON.
const TARGET_PEOPLE: &str = "app_server";

/// True if lines are JSON objects; set once, by [`init`].
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// The lane of the process's log; set once, by [`init`].
static LANE: OnceLock<Arc<Lane>> = OnceLock::new();

/// Waits until what was logged so far is written, at most `deadline`: for who ends the process at once.
pub fn flush(deadline: Duration) {
    if let Some(lane) = LANE.get() {
        lane.flush(deadline);
    }
}

/// What the environment says about the log.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// `RUST_LOG`: which events.
    pub filter: Option<String>,
    /// `LOG_FORMAT`: `json`, or anything else for text.
    pub format: Option<String>,
    /// Where lines go instead of stderr.
    pub file: Option<LogFile>,
}

impl Wanted {
    /// Reads `RUST_LOG`, `LOG_FORMAT`, `LOG_FILE`, `LOG_FILE_BYTES_MAX` and `LOG_FILES_MAX`.
    #[must_use]
    pub fn of_environment() -> Self {
        let text = |name| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
        Self { filter: text("RUST_LOG"), format: text("LOG_FORMAT"), file: LogFile::of_environment(text) }
    }
}

/// Switches logging on for this process.
///
/// Installs the global subscriber and the panic hook, so it is called once, from `main`. If there already
/// is a global subscriber, that one stays.
#[must_use = "dropping the guard ends the log"]
pub fn init(wanted: &Wanted) -> LogGuard {
    let format = Format::parse(wanted.format.as_deref());
    IS_JSON.store(format == Format::Json, Ordering::Relaxed);
    let open = wanted.file.clone().map_or_else(lane::stderr, LogFile::into_sink);
    let lane = Lane::new(LOG_LINES, format, open, Clock::real());
    let filter = Filter::parse(wanted.filter.as_deref());
    // Garbage in RUST_LOG is told even if what is left of it says to be silent: its author is looking.
    for warning in &filter.warnings {
        lane.say(Level::WARN, TARGET, warning);
    }
    #[cfg(feature = "otlp")]
    let exporter = otlp::ToCollector::of_environment(Clock::real()).unwrap_or_else(|error| {
        lane.say(Level::WARN, TARGET, &error);
        None
    });
    let subscriber = subscriber(&lane, filter);
    #[cfg(feature = "otlp")]
    let subscriber =
        subscriber.with(exporter.clone().map(|exporter| exporter.with_filter(otlp::ToCollector::filter())));
    let _ = subscriber::set_global_default(subscriber);
    let in_hook = Arc::clone(&lane);
    let _ = LANE.set(Arc::clone(&lane));
    std::panic::set_hook(Box::new(move |info| log_panic(&in_hook, info)));
    LogGuard {
        lane,
        #[cfg(feature = "otlp")]
        exporter,
    }
}

/// Keeps the log going. Dropping it writes what is queued, for a short time, and ends the log.
#[derive(Debug)]
pub struct LogGuard {
    lane: Arc<Lane>,
    #[cfg(feature = "otlp")]
    exporter: Option<otlp::ToCollector>,
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
        #[cfg(feature = "otlp")]
        self.exporter.iter().for_each(|exporter| exporter.end(crate::limits::OTLP_FLUSH_DEADLINE));
        self.lane.end(LOG_FLUSH_DEADLINE);
    }
}

/// What goes to stderr beside the log: a banner, the error that ends the process. In JSON each of its lines
/// is an object, so that whoever reads stderr finds nothing else there.
#[must_use]
pub fn for_people(text: &str) -> String {
    let format = if IS_JSON.load(Ordering::Relaxed) { Format::Json } else { Format::Text };
    for_people_as(format, text, &Clock::real())
}

fn for_people_as(format: Format, text: &str, clock: &Clock) -> String {
    if format == Format::Text {
        return text.to_owned();
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| format.say(clock.wall_ms(), Level::INFO, TARGET_PEOPLE, &line)).collect()
}

/// What turns events into lines of the lane.
fn subscriber(
    lane: &Arc<Lane>,
    filter: Filter,
) -> impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync + use<> {
    tracing_subscriber::registry().with(ToLane(Arc::clone(lane)).with_filter(filter.targets))
}

struct ToLane(Arc<Lane>);

impl ToLane {
    /// Calls `write` with the open spans around, outermost first.
    fn within<'a, S>(
        scope: Option<registry::Scope<'a, S>>,
        write: impl FnOnce(&[&OpenSpan]) -> String,
    ) -> String
    where
        S: Subscriber + for<'b> LookupSpan<'b> + 'a,
    {
        let spans: Vec<_> = scope.into_iter().flat_map(registry::Scope::from_root).collect();
        let extensions: Vec<_> = spans.iter().map(registry::SpanRef::extensions).collect();
        let open: Vec<&OpenSpan> = extensions.iter().filter_map(|extensions| extensions.get()).collect();
        write(&open)
    }

    fn tell_span<S: Subscriber + for<'a> LookupSpan<'a>>(
        &self,
        id: &Id,
        context: &Context<'_, S>,
        what: &'static str,
    ) {
        let Some(span) = context.span(id) else { return };
        let metadata = span.metadata();
        let line = Self::within(context.span_scope(id), |spans| {
            let (level, target) = (metadata.level(), metadata.target());
            self.0.format().span(self.0.clock().wall_ms(), level, target, spans, what)
        });
        self.0.offer(line);
    }

    fn change<S: Subscriber + for<'a> LookupSpan<'a>>(
        &self,
        id: &Id,
        context: &Context<'_, S>,
        change: impl FnOnce(&mut OpenSpan, Monotonic),
    ) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<OpenSpan>() {
            change(open, self.0.clock().now());
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ToLane {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        span.extensions_mut().insert(OpenSpan::new(attributes, self.0.clock().now()));
        self.tell_span(id, &context, "new");
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.change(id, &context, |span, _| values.record(span));
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.change(id, &context, OpenSpan::enter);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.change(id, &context, OpenSpan::leave);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.change(&id, &context, OpenSpan::close);
        self.tell_span(&id, &context, "close");
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let wall_ms = self.0.clock().wall_ms();
        let line =
            Self::within(context.event_scope(event), |spans| self.0.format().event(wall_ms, event, spans));
        self.0.offer(line);
    }
}

/// One line with the worker (it is in every line), the place and the message. The hook replaces the one of
/// the standard library, so nothing is printed twice.
fn log_panic(lane: &Lane, info: &PanicHookInfo<'_>) {
    let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
    let text = format!("panicked{place}: {}", panic_message(info.payload()));
    lane.say(Level::ERROR, TARGET_PANIC, &text);
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
