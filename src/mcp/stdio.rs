//! A server behind pipes: one message a line. What it says is taken on the executor's worker, which serves
//! all servers; calls wait on the OS threads of those who make them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Sender, bounded};
use memchr::memchr;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::CallError;
use super::channel::Ask;
use super::host::{self, ELICIT, Told};
use super::wire::{self, Incoming, PROGRESS, TOOLS_CHANGED};
use crate::clock::{Clock, Wait};
use crate::exec::{CommandSpec, Ending, OutputSink, Running, Spawner, StdinError, Stream, Written};
use crate::limits::{MCP_CALL_NEWS, MCP_CALLS_MAX, MCP_MESSAGE_BYTES_MAX, MCP_STDERR_LINE_BYTES_MAX};
use crate::proto::SandboxPolicy;
use crate::sync::lock;

/// Variables of this process that a server gets without being named. Others may hold keys that are none of
/// its business.
const USUAL_VARIABLES: [&str; 14] = [
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "NODE_EXTRA_CA_CERTS",
    "PATH",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
];

/// What to start.
pub(super) struct Program<'a> {
    pub(super) name: &'a str,
    pub(super) command: &'a str,
    pub(super) args: &'a [String],
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) env_vars: &'a [String],
    pub(super) cwd: &'a Path,
}

/// A running server; its drop ends it with all that it started.
pub(super) struct Pipe {
    link: Arc<Link>,
    clock: Clock,
}

type Outcome = Result<Value, CallError>;

/// What a call hears.
enum Heard {
    Outcome(Outcome),
    /// Before its outcome; a question has the id that the answer goes under.
    Told(Told, Option<Box<RawValue>>),
}

/// A call that waits.
struct Waiting {
    heard: Sender<Heard>,
    /// Somebody stands behind it.
    hosted: bool,
}

/// What the pipe's owner and its reader share.
struct Link {
    name: String,
    /// None before the start and after the end.
    running: Mutex<Option<Running>>,
    calls: Mutex<Calls>,
    /// It said that its list of tools changed.
    tools_changed: AtomicBool,
}

#[derive(Default)]
struct Calls {
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
    /// Why nothing is answered any more.
    gone: Option<String>,
}

impl Pipe {
    /// Starts a server.
    pub(super) fn start(program: &Program<'_>, spawner: &Spawner, clock: &Clock) -> Result<Pipe, String> {
        let mut spec = CommandSpec::new(program.command, program.cwd, SandboxPolicy::DangerFullAccess);
        spec.args = program.args.iter().map(OsString::from).collect();
        spec.env = variables(program);
        spec.stdin = true;
        let link = Arc::new(Link {
            name: program.name.to_owned(),
            running: Mutex::default(),
            calls: Mutex::default(),
            tools_changed: AtomicBool::new(false),
        });
        let reader = Reader { link: Arc::clone(&link), line: Vec::new(), note: Vec::new() };
        let running = spawner.start(spec, Box::new(reader)).map_err(|refusal| refusal.to_string())?;
        *lock(&link.running) = Some(running);
        Ok(Pipe { link, clock: clock.clone() })
    }

    /// Asks, and waits for the answer. What the host takes to answer a question counts for nothing in the
    /// timeout.
    pub(super) fn request(&self, ask: Ask<'_>) -> Result<Value, CallError> {
        let Ask { method, within, host, cancel, .. } = ask;
        let mut deadline = self.clock.now().after(within);
        // News fill half of it at most, so that the end always has room.
        let (heard, news) = bounded(2 * MCP_CALL_NEWS);
        let id = self.link.open(Waiting { heard: heard.clone(), hosted: host.is_some() })?;
        let refused = heard.clone();
        let written = Written::to(move |written| {
            // An input that is closed is explained by the end that follows.
            if let Err(error @ StdinError::Full) = written {
                let gone = CallError::Gone(format!("it does not take what it is asked: {error}"));
                let _ = refused.try_send(Heard::Outcome(Err(gone)));
            }
        });
        self.link.write(ask.message(id), written);
        let _woken =
            cancel.on_cancel(move || drop(heard.try_send(Heard::Outcome(Err(CallError::Cancelled)))));
        let outcome = loop {
            match self.clock.recv_deadline(&news, Some(deadline)) {
                Wait::Got(Heard::Outcome(outcome)) => break outcome,
                Wait::Got(Heard::Told(Told::Progress(message), _)) => {
                    host.into_iter().for_each(|host| host.progress(message.clone()));
                }
                Wait::Got(Heard::Told(Told::Asked(params), question)) => {
                    let since = self.clock.now();
                    let answer = host::answer(host, params);
                    deadline = deadline.after(self.clock.now().since(since));
                    if let Some(question) = question {
                        self.link.write(wire::result(&question, &answer), Written::nobody());
                    }
                }
                Wait::TimedOut => break Err(CallError::TimedOut { method: method.to_owned(), within }),
                Wait::Closed => break Err(CallError::Gone("the connection ended".to_owned())),
            }
        };
        let was_waiting = lock(&self.link.calls).waiting.remove(&id).is_some();
        // `initialize` cannot be taken back.
        if was_waiting && method != "initialize" {
            self.notify("notifications/cancelled", Some(&json!({ "requestId": id })));
        }
        outcome
    }

    /// Tells.
    pub(super) fn notify(&self, method: &str, params: Option<&Value>) {
        self.link.write(wire::message(/*id*/ None, method, params), Written::nobody());
    }

    /// Why it can no longer be asked, if so.
    pub(super) fn gone(&self) -> Option<String> {
        lock(&self.link.calls).gone.clone()
    }

    /// True, once, if it said that its tools changed.
    pub(super) fn take_tools_changed(&self) -> bool {
        self.link.tools_changed.swap(false, Ordering::AcqRel)
    }

    /// Ends it; calls that wait fail.
    pub(super) fn close(&self, why: &str) {
        self.link.close(why);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.close("it was let go");
    }
}

fn variables(program: &Program<'_>) -> Vec<(OsString, Option<OsString>)> {
    let is_passed = |name: &OsString| {
        let name = name.to_str();
        name.is_some_and(|name| {
            USUAL_VARIABLES.contains(&name) || program.env_vars.iter().any(|var| var == name)
        })
    };
    let hidden = std::env::vars_os().map(|(name, _)| name).filter(|name| !is_passed(name));
    let hidden = hidden.map(|name| (name, None));
    let set = program.env.iter().map(|(name, value)| (name.into(), Some(value.into())));
    hidden.chain(set).collect()
}

impl Link {
    /// A number for a call that waits.
    fn open(&self, call: Waiting) -> Result<u64, CallError> {
        let mut calls = lock(&self.calls);
        if let Some(why) = &calls.gone {
            return Err(CallError::Gone(why.clone()));
        }
        if calls.waiting.len() >= MCP_CALLS_MAX {
            return Err(CallError::TooMany(MCP_CALLS_MAX));
        }
        calls.next += 1;
        let id = calls.next;
        calls.waiting.insert(id, call);
        Ok(id)
    }

    fn write(&self, mut message: Vec<u8>, written: Written) {
        message.push(b'\n');
        if let Some(running) = &*lock(&self.running) {
            running.write_stdin(message, /*close*/ false, written);
        }
    }

    fn close(&self, why: &str) {
        let waiting = {
            let mut calls = lock(&self.calls);
            calls.gone.get_or_insert_with(|| why.to_owned());
            std::mem::take(&mut calls.waiting)
        };
        for call in waiting.into_values() {
            let _ = call.heard.try_send(Heard::Outcome(Err(CallError::Gone(why.to_owned()))));
        }
        // Dropped outside of the lock, and killed by that.
        let running = lock(&self.running).take();
        drop(running);
    }

    /// The server asks; a question goes to the call that it was most probably asked for: the last of those
    /// that somebody stands behind.
    fn asked(&self, id: Box<RawValue>, method: &str, params: Value) {
        if method != ELICIT {
            return self.write(wire::answer(&id, method), Written::nobody());
        }
        let question = Some(id.clone());
        if !self.tell(/*call*/ None, Told::Asked(params), question) {
            let declined = host::answer(/*host*/ None, Value::Null);
            self.write(wire::result(&id, &declined), Written::nobody());
        }
    }

    /// Tells a call, by default the last; false if it cannot hear it.
    fn tell(&self, call: Option<u64>, told: Told, question: Option<Box<RawValue>>) -> bool {
        let calls = lock(&self.calls);
        let waiting = match call {
            Some(call) => calls.waiting.get(&call),
            None => calls.waiting.values().rev().find(|call| call.hosted),
        };
        waiting.is_some_and(|call| {
            let has_room = call.hosted && call.heard.len() < MCP_CALL_NEWS;
            has_room && call.heard.try_send(Heard::Told(told, question)).is_ok()
        })
    }

    fn take(&self, line: &[u8]) {
        match wire::read(line) {
            Some(Incoming::Answer(id, outcome)) => {
                let call = lock(&self.calls).waiting.remove(&id);
                if let Some(call) = call {
                    let _ = call.heard.try_send(Heard::Outcome(outcome));
                }
            }
            Some(Incoming::Request { id, method, params }) => self.asked(id, &method, params),
            Some(Incoming::Notification { method, .. }) if method == TOOLS_CHANGED => {
                self.tools_changed.store(true, Ordering::Release);
            }
            Some(Incoming::Notification { method, params }) if method == PROGRESS => {
                if let Some((call, message)) = host::progress(&params) {
                    self.tell(Some(call), Told::Progress(message), /*question*/ None);
                }
            }
            Some(Incoming::Notification { .. }) => {}
            // Some print a greeting, or the output of what they start.
            None if line.trim_ascii().is_empty() => {}
            None => tracing::debug!(
                server = self.name,
                bytes = line.len(),
                "a line that is no message is ignored"
            ),
        }
    }
}

/// Takes what a server says.
struct Reader {
    link: Arc<Link>,
    /// The unfinished message.
    line: Vec<u8>,
    /// The unfinished line of stderr, as far as it is kept.
    note: Vec<u8>,
}

impl OutputSink for Reader {
    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stdout => self.messages(bytes),
            Stream::Stderr => self.notes(bytes),
        }
    }

    fn ended(self: Box<Self>, ending: Ending) {
        let why = match ending {
            Ending::Exited(outcome) => format!("it ended with exit code {}", outcome.code),
            Ending::NotStarted(error) => format!("it cannot be started: {error}"),
        };
        self.link.close(&why);
    }
}

impl Reader {
    fn messages(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let piece = &rest[..end];
            rest = &rest[end + 1..];
            if self.line.is_empty() {
                // It came in one piece, as nearly all do.
                self.link.take(piece);
                continue;
            }
            // Given back afterwards: a large message is rare, and its room would stay for the server's life.
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(piece);
            if line.len() <= MCP_MESSAGE_BYTES_MAX {
                self.link.take(&line);
            }
        }
        self.line.extend_from_slice(rest);
        if self.line.len() > MCP_MESSAGE_BYTES_MAX {
            self.line = Vec::new();
            self.link.close(&format!("it sent a message of more than {MCP_MESSAGE_BYTES_MAX} bytes"));
        }
    }

    fn notes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => {
                    let note = String::from_utf8_lossy(&self.note);
                    tracing::debug!(server = self.link.name, stderr = note.trim_end(), "an MCP server says");
                    self.note.clear();
                }
                byte if self.note.len() < MCP_STDERR_LINE_BYTES_MAX => self.note.push(*byte),
                _ => {}
            }
        }
    }
}
