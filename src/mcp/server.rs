//! One configured server over its lives: not started, starting, ready, failed. Whoever needs it first has it
//! started on a worker of its own; all others wait for the same start.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError, select};
use serde_json::Value;

use super::channel::{Ask, Channel};
use super::host::CallHost;
use super::http::Http;
use super::session::{ServerTool, Session};
use super::stdio::{Pipe, Program};
use super::{CallError, McpError, Shared};
use crate::clock::Monotonic;
use crate::config::{McpServerConfig, McpTransport};
use crate::limits::{MCP_RESTART_PAUSE, MCP_RESTART_PAUSE_MAX, MCP_STABLE_AFTER, STACK_BYTES_WORK};
use crate::model::{Cancel, Canceller, cancellation};
use crate::sync::lock;
use crate::sys::worker::Worker;

/// A server's start goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartStatus {
    /// The server.
    pub server: String,
    /// How far it is.
    pub state: StartState,
    /// Why it failed.
    pub error: Option<String>,
}

/// How far a server's start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartState {
    /// It begins.
    Starting,
    /// The server can be used.
    Ready,
    /// It cannot.
    Failed,
    /// It was let go before that.
    Cancelled,
}

/// What is known of a server.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Its name in the configuration.
    pub name: String,
    /// How it is reached.
    pub http_url: Option<String>,
    /// A token is sent to it.
    pub has_token: bool,
    /// The configuration switches it on.
    pub enabled: bool,
    /// What it said of itself: `serverInfo`, `capabilities`.
    pub hello: Option<Value>,
    /// Its tools that the configuration allows.
    pub tools: Vec<ServerTool>,
    /// Its resources.
    pub resources: Vec<Value>,
    /// Its templates of resources.
    pub resource_templates: Vec<Value>,
    /// Why it cannot be used.
    pub error: Option<String>,
}

pub(super) struct Server {
    pub(super) name: String,
    pub(super) config: McpServerConfig,
    shared: Weak<Shared>,
    life: Mutex<Life>,
    /// Kept apart: the worker changes `life`, and whoever drops a worker waits for it.
    starter: Mutex<Option<Worker>>,
}

struct Life {
    phase: Phase,
    /// Failures in a row.
    failures: u32,
}

enum Phase {
    Idle,
    Starting { ended: Receiver<Infallible>, stop: Canceller },
    Ready(Arc<Session>),
    Failed { why: String, again_at: Monotonic },
    Closed,
}

/// What somebody who needs the server finds.
enum Found {
    Session(Arc<Session>),
    Starts(Receiver<Infallible>),
    Error(McpError),
}

impl Server {
    pub(super) fn new(name: String, config: McpServerConfig, shared: Weak<Shared>) -> Self {
        let life = Life { phase: Phase::Idle, failures: 0 };
        Self { name, config, shared, life: Mutex::new(life), starter: Mutex::default() }
    }

    /// Begins a start if the server is needed and may be started now; waits for nothing.
    pub(super) fn begin(self: &Arc<Self>) {
        let _ = self.find();
    }

    /// Ends it, for good.
    pub(super) fn close(&self) {
        let phase = std::mem::replace(&mut lock(&self.life).phase, Phase::Closed);
        match phase {
            Phase::Starting { stop, .. } => stop.cancel(),
            Phase::Ready(session) => session.close("it was let go"),
            Phase::Idle | Phase::Failed { .. } | Phase::Closed => {}
        }
        drop(lock(&self.starter).take());
    }

    /// Its tools that the configuration allows, for a turn. A server that failed before is started again in
    /// the background: it has cost turns enough.
    pub(super) fn tools(self: &Arc<Self>, cancel: &Cancel) -> Result<Vec<ServerTool>, McpError> {
        let has_failed = lock(&self.life).failures > 0;
        match self.find() {
            Found::Starts(_) if has_failed => {
                Err(self.not_started("it failed before and is being started again"))
            }
            _ => Ok(self.allowed(&*self.session(cancel)?, cancel)),
        }
    }

    fn allowed(&self, session: &Session, cancel: &Cancel) -> Vec<ServerTool> {
        let tools = session.tools(self.config.startup_timeout, cancel);
        tools.into_iter().filter(|tool| self.config.allows(&tool.name)).collect()
    }

    /// Asks it, starting it if needed; once more if it has forgotten who asks.
    pub(super) fn request(
        self: &Arc<Self>,
        method: &str,
        params: &Value,
        host: Option<&dyn CallHost>,
        cancel: &Cancel,
    ) -> Result<Value, McpError> {
        let ask = Ask { method, params, within: self.config.tool_timeout, host, cancel };
        // Each time the connection is let go before the next is looked for.
        let once = || Ok(self.session(cancel)?.request(ask));
        let outcome = match once()? {
            Err(CallError::SessionOver) => once()?,
            outcome => outcome,
        };
        outcome.map_err(|error| self.failed(error))
    }

    pub(super) fn report(self: &Arc<Self>, with_resources: bool, cancel: &Cancel) -> Report {
        let (http_url, has_token) = match &self.config.transport {
            McpTransport::Stdio { .. } => (None, false),
            McpTransport::Http { url, bearer_token_env_var, .. } => {
                (Some(url.clone()), bearer_token_env_var.is_some())
            }
        };
        let mut report = Report {
            name: self.name.clone(),
            http_url,
            has_token,
            enabled: self.config.enabled,
            hello: None,
            tools: Vec::new(),
            resources: Vec::new(),
            resource_templates: Vec::new(),
            error: None,
        };
        if !self.config.enabled {
            return report;
        }
        match self.session(cancel) {
            Ok(session) => {
                report.hello = Some(session.hello.clone());
                report.tools = self.allowed(&session, cancel);
                if with_resources {
                    (report.resources, report.resource_templates) =
                        session.resources(self.config.tool_timeout, cancel);
                }
            }
            Err(error) => report.error = Some(error.to_string()),
        }
        report
    }

    fn failed(&self, error: CallError) -> McpError {
        McpError::Call { server: self.name.clone(), error }
    }

    fn not_started(&self, why: impl Into<String>) -> McpError {
        McpError::NotStarted { server: self.name.clone(), why: why.into() }
    }

    /// The connection; waits for its start.
    fn session(self: &Arc<Self>, cancel: &Cancel) -> Result<Arc<Session>, McpError> {
        // Twice: a start that somebody else began may have failed just before.
        for _ in 0..2 {
            match self.find() {
                Found::Session(session) => return Ok(session),
                Found::Error(error) => return Err(error),
                Found::Starts(ended) => select! {
                    recv(ended) -> _ => {},
                    recv(cancel.cancelled()) -> _ => {
                        return Err(self.failed(CallError::Cancelled));
                    },
                },
            }
        }
        match self.find() {
            Found::Session(session) => Ok(session),
            Found::Error(error) => Err(error),
            Found::Starts(_) => Err(self.not_started("it ends as soon as it is started")),
        }
    }

    /// Takes note of a connection that has ended, and gives what is left of it.
    fn notice_end(&self, now: Monotonic) -> Option<Phase> {
        let mut life = lock(&self.life);
        let Phase::Ready(session) = &life.phase else { return None };
        let why = session.gone()?;
        let was_stable = now.since(session.ready_at) >= MCP_STABLE_AFTER;
        life.failures = if was_stable { 0 } else { life.failures + 1 };
        tracing::info!(server = self.name, why, "an MCP server is gone");
        let after = match life.failures {
            0 | 1 => Phase::Idle,
            failures => Phase::Failed { why, again_at: now.after(pause(failures - 1)) },
        };
        Some(std::mem::replace(&mut life.phase, after))
    }

    fn find(self: &Arc<Self>) -> Found {
        if !self.config.enabled {
            return Found::Error(McpError::Disabled(self.name.clone()));
        }
        let Some(shared) = self.shared.upgrade() else {
            return Found::Error(self.not_started("it was let go"));
        };
        let now = shared.parts.clock.now();
        // Outside of the lock: an end takes time.
        drop(self.notice_end(now));
        let mut life = lock(&self.life);
        let broke_down = match &life.phase {
            Phase::Starting { ended, .. } => ended.try_recv() == Err(TryRecvError::Disconnected),
            _ => false,
        };
        if broke_down {
            // It sets the phase before it ends, so it did not get that far: it panicked.
            life.failures += 1;
            let again_at = now.after(pause(life.failures));
            life.phase = Phase::Failed { why: "its start broke down".to_owned(), again_at };
        }
        match &life.phase {
            Phase::Ready(session) => return Found::Session(Arc::clone(session)),
            Phase::Starting { ended, .. } => return Found::Starts(ended.clone()),
            Phase::Closed => return Found::Error(self.not_started("it was let go")),
            Phase::Failed { why, again_at } if now < *again_at => {
                let rest = again_at.since(now).as_secs_f64();
                let why = format!("{why}; it is tried again in {rest:.1} seconds at the earliest");
                return Found::Error(self.not_started(why));
            }
            Phase::Failed { .. } | Phase::Idle => {}
        }
        let (stop, stopped) = cancellation(shared.parts.clock.clone());
        let server = Arc::clone(self);
        let worker = Worker::spawn("mcp-start", STACK_BYTES_WORK, move || server.start(&stopped));
        match worker {
            Ok(worker) => {
                let ended = worker.ended().clone();
                life.phase = Phase::Starting { ended: ended.clone(), stop };
                drop(life);
                // The one before has ended: it is what set the phase.
                let before = lock(&self.starter).replace(worker);
                drop(before);
                Found::Starts(ended)
            }
            Err(error) => Found::Error(self.not_started(format!("no worker could be started: {error}"))),
        }
    }

    /// Runs on the worker `mcp-start`.
    fn start(&self, stopped: &Cancel) {
        let Some(shared) = self.shared.upgrade() else { return };
        self.tell(&shared, StartState::Starting, /*error*/ None);
        let outcome = self.connect(&shared, stopped);
        let now = shared.parts.clock.now();
        let (state, error) = {
            let mut life = lock(&self.life);
            match outcome {
                _ if matches!(life.phase, Phase::Closed) => (StartState::Cancelled, None),
                Ok(session) => {
                    life.phase = Phase::Ready(Arc::new(session));
                    (StartState::Ready, None)
                }
                Err(why) => {
                    life.failures += 1;
                    let again_at = now.after(pause(life.failures));
                    life.phase = Phase::Failed { why: why.clone(), again_at };
                    (StartState::Failed, Some(why))
                }
            }
        };
        self.tell(&shared, state, error);
    }

    fn connect(&self, shared: &Shared, stopped: &Cancel) -> Result<Session, String> {
        let within = self.config.startup_timeout;
        let clock = &shared.parts.clock;
        let channel = match &self.config.transport {
            McpTransport::Stdio { command, args, env, env_vars, cwd } => {
                let cwd = match cwd {
                    Some(cwd) => shared.parts.cwd.join(cwd),
                    None => shared.parts.cwd.clone(),
                };
                let program = Program { name: &self.name, command, args, env, env_vars, cwd: &cwd };
                Channel::Pipe(Pipe::start(&program, &shared.spawner()?, clock)?)
            }
            http @ McpTransport::Http { .. } => Channel::Http(Http::new(&self.name, http, clock)?),
        };
        Session::open(channel, within, || clock.now(), stopped).map_err(|error| error.to_string())
    }

    fn tell(&self, shared: &Shared, state: StartState, error: Option<String>) {
        (shared.parts.told)(StartStatus { server: self.name.clone(), state, error });
    }
}

/// The pause after so many failures in a row.
fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    MCP_RESTART_PAUSE.saturating_mul(1 << doublings).min(MCP_RESTART_PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_maximum() {
        let seconds = [1, 2, 3, 7, 30].map(|failures| pause(failures).as_secs());
        assert_eq!(seconds, [1, 2, 4, 60, 60]);
    }
}
