//! The processor: takes one event after the other and changes the server's state accordingly.

use std::sync::Arc;

use crossbeam_channel::Select;

use super::asks::Asks;
use super::commands::Commands;
use super::dispatch::store_refusal;
use super::ending::Ending;
use super::event::{Event, EventSender, Events, StopCause};
use super::files::Files;
use super::replay::Audience;
use super::session::Sessions;
use super::threads::Threads;
use super::{Configuration, Facts};
use crate::agent::{CommandRules, Encoded, ThreadId};
use crate::clock::Clock;
use crate::exec::Spawner;
use crate::limits;
use crate::mcp::McpOwner;
use crate::net::{ConnectionId, InputEnd, NetEvent, Scrape};
use crate::obs::metrics::values::MESSAGES_IN;
use crate::proto::{Notification, ThreadStatus, ThreadStatusChanged};
use crate::queue::{Entry, Wakes};
use crate::rpc::{Incoming, Reply, Undecodable, error_response};
use crate::sandbox::SharedSandbox;
use crate::store::{Database, StoreError, StoreHandle};
use crate::timer::TimerHandle;

/// What the processor works with.
pub struct Services {
    /// Threads, turns, items.
    pub store: StoreHandle,
    /// Deadlines.
    pub timer: TimerHandle,
    /// The time.
    pub clock: Clock,
    /// The way back into the processor, for workers.
    pub events: EventSender,
    /// Reads the configuration again.
    pub configuration: Arc<Configuration>,
    /// Runs commands.
    pub spawner: Spawner,
    /// Commands that the user has allowed for good.
    pub rules: Arc<CommandRules>,
    /// What commands are confined by.
    pub sandbox: SharedSandbox,
    /// MCP servers. They end with the processor.
    pub mcp: McpOwner,
    /// All numbers of the process, for `server/diagnostics`.
    pub scrape: Scrape,
    /// Called at each step towards the end, once for each.
    pub on_step: Box<dyn Fn(Step) + Send>,
}

/// How far the end of the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// No new work is taken.
    Draining,
    /// Running turns are interrupted because the time for them is over.
    Stopping,
    /// The same, and whoever wants it counts on the process to be gone at once.
    StoppingAtOnce,
    /// All turns have ended, and the parts are taken down.
    Ending,
}

/// The owner of all server state.
pub struct Processor {
    pub(super) facts: Facts,
    pub(super) services: Services,
    pub(super) sessions: Sessions,
    pub(super) threads: Threads,
    /// What clients are asked.
    pub(super) asks: Asks,
    pub(super) commands: Commands,
    pub(super) ending: Ending,
    pub(super) files: Files,
    /// Whether a client signed in with an API key.
    pub(super) signed_in: bool,
    /// Who wants to know about the sandbox before it has been tried out.
    pub(super) awaiting_sandbox: Vec<Reply>,
    /// Shared with each request that waits for MCP servers: they are counted by it.
    pub(super) mcp_requests: Arc<()>,
    /// Workers of turns that have ended or are about to; kept until they have.
    pub(super) leaving: Vec<crate::sys::worker::Worker>,
}

impl Processor {
    /// A processor without connections and threads.
    #[must_use]
    pub fn new(facts: Facts, services: Services, drain_timeout: Option<std::time::Duration>) -> Self {
        let signed_in = facts.current.models.stored_key().read().is_some();
        Self {
            facts,
            services,
            sessions: Sessions::default(),
            threads: Threads::default(),
            asks: Asks::default(),
            commands: Commands::default(),
            ending: Ending::new(drain_timeout),
            files: Files::default(),
            signed_in,
            awaiting_sandbox: Vec::new(),
            mcp_requests: Arc::new(()),
            leaving: Vec::new(),
        }
    }

    /// Runs until the server has to stop. Connections are still open then, with everything queued for them.
    pub fn run(mut self, events: Events) -> StopCause {
        let cause = self.serve(&events);
        (self.services.on_step)(Step::Ending);
        self.commands.give_up();
        for session in self.sessions.iter() {
            session.finish(super::ending::goodbye());
        }
        for thread in self.threads.iter() {
            if let Some(turn) = &thread.turn {
                turn.handle.interrupter.interrupt();
            }
        }
        // From here on transports and turns find nobody and stop by themselves; dropping the threads waits
        // for the turns' workers.
        drop(events);
        cause
    }

    fn serve(&mut self, events: &Events) -> StopCause {
        let wakes = Wakes::gather();
        let mut select = Select::new();
        select.recv(&events.control);
        select.recv(&events.workers);
        select.recv(events.net.receiver());
        loop {
            let mut busy = false;
            for event in events.control.try_iter().take(limits::PROCESSOR_BATCH) {
                busy = true;
                self.on_event(event);
            }
            for event in events.workers.try_iter().take(limits::PROCESSOR_BATCH) {
                busy = true;
                self.on_event(event);
            }
            for Entry { item, charges } in events.net.receiver().try_iter().take(limits::PROCESSOR_BATCH) {
                busy = true;
                // Its place is free: the connection may send the next one.
                drop(charges);
                self.on_net(item);
            }
            self.publish_gauges();
            if events.is_empty() {
                wakes.release_or_write(limits::ANSWER_WRITTEN_BYTES);
            } else {
                wakes.release();
            }
            if let Some(cause) = self.stop_cause() {
                return cause;
            }
            if !busy {
                self.leaving.retain(|worker| !worker.has_ended());
                select.ready();
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Turn(event) => self.on_turn_event(event),
            Event::Answer(answer) => answer.send(),
            Event::Then(then) => then(self),
            Event::McpStart(start) => self.on_mcp_start(&start),
            Event::StoreOpened(outcome) => self.ending.store_opened(outcome),
            Event::SandboxKnown => self.on_sandbox_known(),
            Event::Signal(signal) => self.on_signal(signal),
            Event::UnloadDue(thread) => self.on_unload_due(thread),
            Event::AskDue(thread, request) => self.on_ask_due(thread, request),
            Event::DrainOver => self.on_drain_over(),
            Event::Stop => self.drain("the owner stops the server"),
        }
    }

    fn on_net(&mut self, event: NetEvent) {
        match event {
            NetEvent::Opened(opened) => {
                tracing::info!(
                    connection = opened.id.0,
                    transport = opened.transport.as_str(),
                    peer = %opened.peer,
                    "connection opened"
                );
                self.sessions.open(opened);
            }
            NetEvent::Message(connection, message) => {
                MESSAGES_IN.add_one();
                self.on_message(connection, message);
            }
            NetEvent::Closed(_, InputEnd::EndOfInput) => self.on_input_end(),
            NetEvent::Closed(connection, InputEnd::Gone) => self.close(connection),
        }
    }

    fn on_message(&mut self, connection: ConnectionId, message: Result<Incoming, Undecodable>) {
        match message {
            Ok(Incoming::Request(request)) => self.dispatch(connection, request),
            Ok(Incoming::Notification { method, .. }) => {
                if &*method != "initialized" {
                    tracing::debug!(connection = connection.0, %method, "an unknown notification is ignored");
                }
            }
            Ok(Incoming::Answer { id, outcome }) => self.on_answer(connection, &id, outcome),
            Err(Undecodable { id, error }) => {
                if let Some(session) = self.sessions.get(connection) {
                    session.send(error_response(id.as_ref(), &error));
                }
            }
        }
    }

    /// Forgets a connection, exactly as if it had unsubscribed from everything.
    fn close(&mut self, connection: ConnectionId) {
        let Some(session) = self.sessions.remove(connection) else { return };
        tracing::info!(
            connection = connection.0,
            open_requests = session.open_requests(),
            "connection closed"
        );
        self.commands.close(connection);
        for thread in &session.subscriptions {
            self.unsubscribe(connection, *thread);
        }
        self.release_files(connection);
        self.on_connection_gone(session.transport);
    }

    /// Runs `work` on the store's worker and `then` with its outcome in the processor, together with the
    /// duty to answer. A full queue is told to the client at once.
    pub(super) fn write_then<T: Send + 'static>(
        &self,
        store: &StoreHandle,
        reply: Reply,
        work: impl FnOnce(&mut Database) -> Result<T, StoreError> + Send + 'static,
        then: impl FnOnce(&mut Processor, Reply, T) + Send + 'static,
    ) {
        let told = self.continuation(reply.queueing(), then);
        let _ = store.write(work, told);
    }

    /// Like [`Self::write_then`] for work that only reads.
    pub(super) fn read_then<T: Send + 'static>(
        &self,
        store: &StoreHandle,
        reply: Reply,
        work: impl FnOnce(&Database) -> Result<T, StoreError> + Send + 'static,
        then: impl FnOnce(&mut Processor, Reply, T) + Send + 'static,
    ) {
        let told = self.continuation(reply.queueing(), then);
        let _ = store.read(work, told);
    }

    fn continuation<T: Send + 'static>(
        &self,
        reply: Reply,
        then: impl FnOnce(&mut Processor, Reply, T) + Send + 'static,
    ) -> impl FnOnce(Result<T, StoreError>) + Send + 'static {
        let events = self.services.events.clone();
        move |outcome| {
            let reply = reply.arrived();
            events.tell(Event::Then(Box::new(move |processor| match outcome {
                Ok(value) => then(processor, reply, value),
                Err(error) => reply.refuse(store_refusal(&error)),
            })));
        }
    }

    /// Encodes a notification of the processor's own.
    pub(super) fn encode<N: Notification>(&self, notification: &N) -> Option<Encoded> {
        Encoded::new(notification, self.services.clock.wall_ms())
    }

    /// Sends a notification to a thread's subscribers.
    pub(super) fn notify_subscribers(&mut self, thread: ThreadId, notification: &Encoded) {
        self.tell(thread, notification, Audience::Subscribers);
    }

    /// Tells everybody what a thread is doing now.
    pub(super) fn broadcast_status(&mut self, thread: ThreadId, status: &ThreadStatus) {
        self.broadcast_of(thread, &ThreadStatusChanged { thread_id: &thread.to_string(), status });
    }
}
