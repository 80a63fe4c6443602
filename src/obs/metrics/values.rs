//! The numbers that are counted where things happen, whichever part that is.
//!
//! They are of the whole process. A part that has its number in a structure anyway is read when somebody
//! asks, and has no place here.

use super::{Counter, Gauge, Histogram, Page};

/// Connections that were refused because there were too many.
pub static CONNECTIONS_REFUSED: Counter = Counter::new();
/// Clients that were cut off because they did not read.
pub static CLIENTS_CUT_OFF: Counter = Counter::new();
/// Messages that clients sent.
pub static MESSAGES_IN: Counter = Counter::new();
/// Requests refused with -32001: a queue was full, or a limit was reached.
pub static OVERLOADED: Counter = Counter::new();
/// Open sessions.
pub static SESSIONS: Gauge = Gauge::new();
/// Threads in memory.
pub static THREADS_LOADED: Gauge = Gauge::new();
/// Threads that were unloaded.
pub static THREAD_UNLOADS: Counter = Counter::new();
/// Turns that run.
pub static TURNS_RUNNING: Gauge = Gauge::new();
/// Turns that were started.
pub static TURNS_STARTED: Counter = Counter::new();
/// Turns that failed.
pub static TURNS_FAILED: Counter = Counter::new();
/// How long turns took.
pub static TURN_SECONDS: Histogram = Histogram::new();
/// Model requests that were sent again.
pub static MODEL_RETRIES: Counter = Counter::new();
/// Commands that run.
pub static COMMANDS_RUNNING: Gauge = Gauge::new();
/// Commands that were started.
pub static COMMANDS_STARTED: Counter = Counter::new();
/// How long the store's commits took.
pub static STORE_COMMIT_SECONDS: Histogram = Histogram::new();
/// Log lines that were dropped.
pub static LOG_DROPPED: Counter = Counter::new();

/// Name of the bytes that wait for clients; counted by whoever knows the clients.
pub const OUTBOX_BYTES: &str = "app_server_outbox_bytes";
/// What it means.
pub const OUTBOX_BYTES_HELP: &str = "Bytes that wait for clients to take them.";

/// Adds them all, and what the operating system says of the process.
pub fn add(page: &mut Page) {
    page.gauge("app_server_connections", "Open connections.", SESSIONS.get() as f64);
    page.counter(
        "app_server_connections_refused_total",
        "Connections refused because there were too many.",
        CONNECTIONS_REFUSED.get(),
    );
    page.counter(
        "app_server_clients_cut_off_total",
        "Clients cut off because too much waited for them.",
        CLIENTS_CUT_OFF.get(),
    );
    page.counter("app_server_messages_received_total", "Messages of clients.", MESSAGES_IN.get());
    page.counter(
        "app_server_requests_overloaded_total",
        "Requests refused with -32001: a queue was full, or a limit was reached.",
        OVERLOADED.get(),
    );
    page.gauge("app_server_threads_loaded", "Threads in memory.", THREADS_LOADED.get() as f64);
    page.counter("app_server_thread_unloads_total", "Threads unloaded.", THREAD_UNLOADS.get());
    page.gauge("app_server_turns_running", "Turns that run.", TURNS_RUNNING.get() as f64);
    page.counter("app_server_turns_started_total", "Turns started.", TURNS_STARTED.get());
    page.counter("app_server_turns_failed_total", "Turns that failed.", TURNS_FAILED.get());
    page.histogram("app_server_turn_duration_seconds", "How long turns took.", TURN_SECONDS.get());
    page.counter(
        "app_server_model_retries_total",
        "Model requests that were sent again.",
        MODEL_RETRIES.get(),
    );
    page.gauge("app_server_commands_running", "Commands that run.", COMMANDS_RUNNING.get() as f64);
    page.counter("app_server_commands_started_total", "Commands started.", COMMANDS_STARTED.get());
    page.histogram(
        "app_server_store_commit_duration_seconds",
        "How long the store's commits took.",
        STORE_COMMIT_SECONDS.get(),
    );
    page.counter("app_server_log_lines_dropped_total", "Log lines dropped.", LOG_DROPPED.get());
    super::process::add(page);
}
