//! `app-server status URL`: what a running server says of itself, as a small table for people.
//!
//! A client like any other: it asks `server/diagnostics`. With `--watch` it asks again each second on the
//! same connection, until Ctrl-C, the end of the server or that of its reader. Runs on the main worker alone.

use std::fmt::Write as _;
use std::io::{ErrorKind, IsTerminal as _};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::protocol::WebSocket;
use tungstenite::{Error, Message};

use super::proxy::{Io, shake_hands};
use super::{reach, tell};
use crate::cli::StatusArgs;
use crate::clock::Clock;
use crate::error::{Exit, StartError};
use crate::limits;

/// Clears a terminal and goes to its beginning (ECMA-48: CUP, ED).
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Carries out `app-server status`.
///
/// # Errors
/// The server cannot be reached, refuses, does not answer in time, or ends while it is watched.
pub(super) fn status(args: &StatusArgs) -> Result<Exit, StartError> {
    let config = reach(&args.url, args.token_env.as_deref(), &args.config)?;
    let mut asker = Asker { socket: shake_hands(&config)?, clock: Clock::real(), next_id: 0 };
    let info = json!({ "name": "app-server-status", "version": crate::server::VERSION });
    let capabilities = json!({ "experimentalApi": true });
    asker.ask("initialize", &json!({ "clientInfo": info, "capabilities": capabilities }))?;
    let is_terminal = std::io::stdout().is_terminal();
    loop {
        let said = asker.ask("server/diagnostics", &json!({}))?;
        let before = if args.watch && is_terminal { CLEAR } else { "" };
        let after = if args.watch && !is_terminal { "\n" } else { "" };
        let is_read = tell(&format!("{before}{}{after}", table(&args.url, &said)))?;
        if !is_read || !args.watch {
            return Ok(Exit::Done);
        }
        asker.listen(limits::STATUS_INTERVAL)?;
    }
}

/// A connection on which one question after the other is asked.
struct Asker {
    socket: WebSocket<Io>,
    clock: Clock,
    next_id: u64,
}

impl Asker {
    fn ask(&mut self, method: &str, params: &Value) -> Result<Value, StartError> {
        self.next_id += 1;
        let id = self.next_id;
        let request = json!({ "id": id, "method": method, "params": params }).to_string();
        self.socket.send(Message::text(request)).map_err(|error| lost(&error))?;
        match self.read(limits::STATUS_DEADLINE, Some(id))? {
            Some(mut answer) if answer["error"].is_null() => Ok(answer["result"].take()),
            Some(answer) => {
                let why = answer["error"]["message"].as_str().unwrap_or("it does not say why").to_owned();
                Err(StartError::Other(format!("the server refused {method}: {why}")))
            }
            None => Err(StartError::Other("the server does not answer in time".to_owned())),
        }
    }

    /// Lets time pass, and notices when the server ends. Pings are answered meanwhile.
    fn listen(&mut self, patience: Duration) -> Result<(), StartError> {
        self.read(patience, /*wanted*/ None).map(|_| ())
    }

    /// Reads until the answer to the request `wanted` comes, at most for `patience`.
    fn read(&mut self, patience: Duration, wanted: Option<u64>) -> Result<Option<Value>, StartError> {
        let until = self.clock.now().after(patience);
        loop {
            let now = self.clock.now();
            if now >= until {
                return Ok(None);
            }
            let timeout = Some(until.since(now));
            let set = self.socket.get_ref().socket.set_read_timeout(timeout);
            set.map_err(|error| StartError::io("cannot wait for the server", error))?;
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let message: Value = serde_json::from_str(&text).unwrap_or_default();
                    let is_answer =
                        message["method"].is_null() && wanted.is_some_and(|id| message["id"] == id);
                    if is_answer {
                        return Ok(Some(message));
                    }
                }
                Ok(_) => {}
                Err(Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(lost(&error)),
            }
        }
    }
}

fn lost(error: &Error) -> StartError {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => {
            StartError::Other("the server has ended".to_owned())
        }
        error => StartError::Other(format!("the connection to the server is lost: {error}")),
    }
}

/// How a number is written.
#[derive(Clone, Copy)]
enum As {
    Count,
    Bytes,
}

/// One line of the table: its name, and metrics with the words behind them.
type Line = (&'static str, &'static [(&'static str, As, &'static str)]);

const LINES: &[Line] = &[
    (
        "connections",
        &[
            ("app_server_connections", As::Count, "open"),
            ("app_server_connections_refused_total", As::Count, "refused"),
            ("app_server_clients_cut_off_total", As::Count, "cut off"),
        ],
    ),
    (
        "threads",
        &[
            ("app_server_threads_loaded", As::Count, "loaded"),
            ("app_server_thread_unloads_total", As::Count, "unloaded"),
        ],
    ),
    (
        "turns",
        &[
            ("app_server_turns_running", As::Count, "running"),
            ("app_server_turns_started_total", As::Count, "started"),
            ("app_server_turns_failed_total", As::Count, "failed"),
        ],
    ),
    (
        "commands",
        &[
            ("app_server_commands_running", As::Count, "running"),
            ("app_server_commands_started_total", As::Count, "started"),
        ],
    ),
    ("model", &[("app_server_model_retries_total", As::Count, "retries")]),
    (
        "queues",
        &[
            ("app_server_inbox_messages", As::Count, "from clients"),
            ("app_server_worker_events", As::Count, "from workers"),
            ("app_server_store_jobs", As::Count, "for the store"),
            ("app_server_outbox_bytes", As::Bytes, "to clients"),
        ],
    ),
    (
        "dropped",
        &[
            ("app_server_requests_overloaded_total", As::Count, "requests refused"),
            ("app_server_log_lines_dropped_total", As::Count, "log lines"),
        ],
    ),
    (
        "process",
        &[
            ("process_resident_memory_bytes", As::Bytes, "resident"),
            ("process_os_threads", As::Count, "OS threads"),
            ("process_open_fds", As::Count, "descriptors"),
        ],
    ),
];

/// The answer to `server/diagnostics` as a table. A server without our metrics has the protocol's gauges.
fn table(url: &str, said: &Value) -> String {
    let mut out = match said["version"].as_str() {
        Some(version) => format!("app-server {version} at {url}, process {}\n", said["process"]["id"]),
        None => format!("a server at {url}, process {}\n", said["process"]["id"]),
    };
    let width = LINES.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, numbers) in LINES {
        let known = numbers.iter().filter_map(|(metric, form, words)| {
            let value = said["metrics"][*metric].as_f64()?;
            Some(format!("{} {words}", written(value, *form)))
        });
        let known: Vec<String> = known.collect();
        if !known.is_empty() {
            // Writing to memory does not fail.
            let _ = writeln!(out, "  {name:width$}  {}", known.join(", "));
        }
    }
    if said["metrics"].is_null() {
        for gauge in said["gauges"].as_array().map_or(&[][..], Vec::as_slice) {
            let _ = writeln!(out, "  {}  {}", gauge["name"].as_str().unwrap_or("?"), gauge["value"]);
        }
    }
    out
}

fn written(value: f64, form: As) -> String {
    const KIB: f64 = limits::KIB as f64;
    match form {
        As::Bytes if value >= KIB * KIB => format!("{:.1} MiB", value / KIB / KIB),
        As::Bytes if value >= KIB => format!("{:.1} KiB", value / KIB),
        As::Bytes => format!("{value} B"),
        As::Count => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_what_the_server_says_and_leaves_out_the_rest() {
        let metrics = json!({
            "app_server_connections": 3, "app_server_turns_running": 1, "app_server_turns_started_total": 20,
            "app_server_outbox_bytes": 1536, "process_resident_memory_bytes": 11_534_336,
        });
        let said = json!({ "version": "1.2", "process": { "id": 7 }, "metrics": metrics });
        assert_eq!(
            table("ws://h:1", &said),
            "app-server 1.2 at ws://h:1, process 7\n\
             \x20 connections  3 open\n\
             \x20 turns        1 running, 20 started\n\
             \x20 queues       1.5 KiB to clients\n\
             \x20 process      11.0 MiB resident\n"
        );
        let other =
            json!({ "process": { "id": 7 }, "gauges": [{ "name": "core.turns.active", "value": 2 }] });
        assert_eq!(table("ws://h:1", &other), "a server at ws://h:1, process 7\n  core.turns.active  2\n");
    }
}
