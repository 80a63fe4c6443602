//! The commands that clients run beside any thread: which ones each connection has, and their ends.
//!
//! Owned by the processor. A name is taken before the command starts and free again just before the client
//! is told of the end; a connection that goes away takes its commands with it.

mod credit;
mod delta;
mod sink;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::value::RawValue;

pub(super) use credit::OutputCredit;
use sink::{ClientSink, Output};

use super::event::Event;
use super::processor::Processor;
use crate::agent::Encoded;
use crate::exec::{CommandSpec, Refusal, ResizeError, Running, StdinError, TerminalSize, Written};
use crate::net::ConnectionId;
use crate::proto::EmptyResponse;
use crate::rpc::{Reason, Reply, RpcError, code};
use crate::sync::lock;

/// The two families of methods, which do the same with other words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Family {
    /// `command/exec…`: the answer comes at the end.
    Exec,
    /// `process/…`: the answer comes at the start, a notification at the end.
    Process,
}

/// What a connection calls one of its commands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Name {
    /// As the client said.
    Given(Family, Arc<str>),
    /// It said nothing; the command cannot be steered.
    Unnamed(u64),
}

/// One running command.
#[derive(Debug)]
struct Entry {
    running: Running,
    /// Who waits for its end.
    reply: Option<Reply>,
    takes_input: bool,
    has_timeout: bool,
}

/// All running commands of clients.
#[derive(Debug, Default)]
pub(super) struct Commands {
    of: HashMap<ConnectionId, HashMap<Name, Entry>>,
    unnamed: u64,
    /// Answers that wait for a command to read its input.
    writing: Arc<AtomicUsize>,
    /// Bytes of output that are kept for answers.
    kept: Arc<AtomicUsize>,
}

/// A command that is to be run for a client.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) connection: ConnectionId,
    pub(super) family: Family,
    /// What the client calls it.
    pub(super) id: Option<String>,
    pub(super) spec: CommandSpec,
    /// Bytes wanted of each stream; none is all.
    pub(super) cap: Option<usize>,
    /// Output goes to the client as it comes.
    pub(super) is_streamed: bool,
}

/// What the end of a command means to its client.
enum Told {
    Answer(Result<Box<RawValue>, RpcError>),
    Exited(Option<Encoded>),
    /// `process/spawn` is not answered yet, and this is the answer.
    NotSpawned(Reply, RpcError),
}

impl Family {
    fn refuse(text: String) -> RpcError {
        RpcError::invalid_request(text).with(Reason::InvalidParams)
    }

    fn duplicate(self, id: &str) -> RpcError {
        let id = Quoted(id);
        Self::refuse(match self {
            Self::Exec => format!("duplicate active command/exec process id: {id}"),
            Self::Process => format!("duplicate active process handle: {id}"),
        })
    }

    fn unknown(self, id: &str) -> RpcError {
        let id = Quoted(id);
        Self::refuse(match self {
            Self::Exec => format!("no active command/exec for process id {id}"),
            Self::Process => format!("no active process for process handle {id}"),
        })
    }

    fn over(self, id: &str) -> RpcError {
        let id = Quoted(id);
        Self::refuse(match self {
            Self::Exec => format!("command/exec {id} is no longer running"),
            Self::Process => format!("process {id} is no longer running"),
        })
    }

    fn input_refused(self, id: &str, error: StdinError) -> RpcError {
        match (error, self) {
            (StdinError::NotPiped, Self::Exec) => {
                Self::refuse("stdin streaming is not enabled for this command/exec".to_owned())
            }
            (StdinError::NotPiped, Self::Process) => {
                Self::refuse("stdin streaming is not enabled for this process".to_owned())
            }
            (StdinError::Closed, _) => Self::refuse("stdin is already closed".to_owned()),
            (StdinError::Full, _) => {
                RpcError::limit(format!("{error}; wait for the answers to earlier writes and retry"))
            }
            (StdinError::Ended, _) => self.over(id),
        }
    }

    fn not_spawned(self, error: &dyn fmt::Display) -> RpcError {
        let what = match self {
            Self::Exec => "command",
            Self::Process => "process",
        };
        RpcError::new(code::INTERNAL_ERROR, format!("failed to spawn {what}: {error}"))
    }
}

/// A client's text as it stands in JSON.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self.0).map_err(|_| fmt::Error)?)
    }
}

impl Commands {
    fn get(&self, connection: ConnectionId, family: Family, id: &str) -> Result<&Entry, RpcError> {
        let name = Name::Given(family, id.into());
        let entry = self.of.get(&connection).and_then(|commands| commands.get(&name));
        entry.ok_or_else(|| family.unknown(id))
    }

    /// Takes a command out: its name is free.
    fn take(&mut self, connection: ConnectionId, name: &Name) -> Option<Entry> {
        let commands = self.of.get_mut(&connection)?;
        let entry = commands.remove(name);
        if commands.is_empty() {
            self.of.remove(&connection);
        }
        entry
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.of.values().flat_map(HashMap::values)
    }

    /// True if no command runs.
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Requests that wait for nothing but a command.
    pub(super) fn open_requests(&self) -> usize {
        let ends = self.entries().filter(|entry| entry.reply.is_some()).count();
        ends + self.writing.load(Ordering::SeqCst)
    }

    /// The connection is gone, and its commands with it.
    pub(super) fn close(&mut self, connection: ConnectionId) {
        self.of.remove(&connection);
    }

    /// No more input comes from the one client there is: its commands get none any more either, and processes
    /// that nothing would end, now that nobody can, are ended.
    pub(super) fn end_input(&self) {
        for entry in self.entries() {
            if entry.takes_input {
                entry.running.write_stdin(Vec::new(), /*close*/ true, Written::nobody());
            }
            if entry.reply.is_none() && !entry.has_timeout {
                entry.running.kill();
            }
        }
    }

    /// The server ends: commands are killed, and who waits for them is told.
    pub(super) fn give_up(&mut self) {
        for entry in self.of.drain().flat_map(|(_, commands)| commands.into_values()) {
            entry.running.kill_now();
            if let Some(reply) = entry.reply {
                let text = "the server is shutting down; the command was killed";
                let error = RpcError::new(code::INTERNAL_ERROR, text);
                reply.refuse(error.with(Reason::ServerShuttingDown));
            }
        }
    }

    fn of_connection(&self, connection: ConnectionId) -> usize {
        self.of.get(&connection).map_or(0, HashMap::len)
    }
}

impl Processor {
    /// Runs a command. The answer comes when it has ended, or for a process when it has started.
    pub(super) fn launch(&mut self, launch: Launch, reply: Reply) {
        let Launch { connection, family, id, spec, cap, is_streamed } = launch;
        let Some(session) = self.sessions.get(connection) else { return };
        let name = match &id {
            Some(id) if self.commands.get(connection, family, id).is_ok() => {
                return reply.refuse(family.duplicate(id));
            }
            Some(id) => Name::Given(family, id.as_str().into()),
            None => {
                self.commands.unnamed += 1;
                Name::Unnamed(self.commands.unnamed)
            }
        };
        let most = self.facts.commands_per_connection_max;
        if self.commands.of_connection(connection) >= most {
            return reply.refuse(RpcError::limit(format!(
                "{most} commands of this connection are running, the limit; retry when one has ended"
            )));
        }
        let (takes_input, has_timeout) = (spec.stdin || spec.terminal.is_some(), spec.timeout.is_some());
        let output = match is_streamed {
            true => Output::streamed(session, family, id.as_deref().unwrap_or_default()),
            false => Output::kept(&self.commands.kept),
        };
        // A process is answered when it has started, before its first output: so by its sink.
        let reply = Arc::new(Mutex::new(Some(reply)));
        let at_start = (family == Family::Process).then(|| Arc::clone(&reply));
        let sink = ClientSink::new(connection, name.clone(), &self.services, at_start, output, cap);
        let started = self.services.spawner.start(spec, Box::new(sink));
        let reply = match (family, &started) {
            (Family::Process, Ok(_)) => None,
            _ => lock(&reply).take(),
        };
        match (started, reply) {
            (Ok(running), reply) => {
                let entry = Entry { running, reply, takes_input, has_timeout };
                self.commands.of.entry(connection).or_default().insert(name, entry);
            }
            (Err(error), Some(reply)) => reply.refuse(refusal(&error)),
            (Err(_), None) => {}
        }
    }

    /// A command has ended: its name is free, then its client is told.
    fn on_command_end(&mut self, connection: ConnectionId, name: &Name, told: Told) {
        let Some(entry) = self.commands.take(connection, name) else { return };
        match (told, entry.reply) {
            (Told::Answer(outcome), Some(reply)) => reply.send(outcome),
            (Told::NotSpawned(reply, error), _) => reply.refuse(error),
            (Told::Exited(Some(notification)), _) => {
                if let Some(session) = self.sessions.get(connection) {
                    session.notify(&notification);
                }
            }
            (Told::Answer(_), None) | (Told::Exited(None), _) => {}
        }
    }

    /// Puts bytes into a command's input and answers when the command has them.
    pub(super) fn write_to_command(
        &self,
        connection: ConnectionId,
        family: Family,
        id: &str,
        (bytes, close): (Vec<u8>, bool),
        reply: Reply,
    ) {
        let entry = match self.commands.get(connection, family, id) {
            Ok(entry) => entry,
            Err(error) => return reply.refuse(error),
        };
        let (writing, events) = (Arc::clone(&self.commands.writing), self.services.events.clone());
        let id = id.to_owned();
        writing.fetch_add(1, Ordering::SeqCst);
        let done = Written::to(move |outcome| {
            // In this order, so that an open request is never missed; and a processor that waits for the last
            // answer has to look again. If it has no room for being told, it is about to look anyway.
            writing.fetch_sub(1, Ordering::SeqCst);
            let refused = |error| family.input_refused(&id, error);
            reply.send(outcome.map(|()| EmptyResponse {}).map_err(refused));
            let _ = events.try_tell(Event::Then(Box::new(|_| {})));
        });
        entry.running.write_stdin(bytes, close, done);
    }

    /// Changes the size of a command's terminal.
    pub(super) fn resize_command(
        &self,
        connection: ConnectionId,
        family: Family,
        id: &str,
        size: TerminalSize,
    ) -> Result<EmptyResponse, RpcError> {
        let entry = self.commands.get(connection, family, id)?;
        match entry.running.resize(size) {
            Ok(()) => Ok(EmptyResponse {}),
            Err(ResizeError::Ended) => Err(family.over(id)),
            Err(error) => Err(Family::refuse(format!("failed to resize PTY: {error}"))),
        }
    }

    /// Tells a command to end; its end is told when it has come.
    pub(super) fn kill_command(
        &self,
        connection: ConnectionId,
        family: Family,
        id: &str,
    ) -> Result<EmptyResponse, RpcError> {
        self.commands.get(connection, family, id)?.running.kill();
        Ok(EmptyResponse {})
    }
}

/// What a client is told when a command is not taken.
fn refusal(error: &Refusal) -> RpcError {
    match error {
        Refusal::TooMany(_) | Refusal::NoWorkers(_) => RpcError::limit(error.to_string()),
        Refusal::Ending => RpcError::invalid_request(error.to_string()).with(Reason::ServerShuttingDown),
        Refusal::Sandbox(why) => Family::refuse(format!("invalid sandbox policy: {why}")),
    }
}
