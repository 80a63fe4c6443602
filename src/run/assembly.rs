//! The parts of a running server, started in their order and stopped in the reverse one.

use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};

use super::StartError;
use crate::agent::CommandRules;
use crate::clock::Clock;
use crate::config::Config;
use crate::exec::{Executor, Spawner};
use crate::limits;
use crate::mcp::{McpOwner, McpParts};
use crate::net::{ConnectionIds, NetInbox, Scrape};
use crate::proto::SessionSource;
use crate::sandbox::{self, SharedSandbox};
use crate::server::{
    Configuration, Current, Event, EventSender, Events, Facts, Processor, Services, Step, StopCause,
    add_metrics,
};
use crate::store::StoreWorker;
use crate::sys::worker::{Worker, await_end_of};
use crate::timer::{TimerHandle, TimerWorker};

/// A server without transports: processor, store and timers run. Dropping it stops them.
#[derive(Debug)]
pub struct Assembly {
    // First of all: a processor that nobody stops would be waited for in vain, for example when the listener
    // could not be started.
    _stop: StopOnDrop,
    /// Where transports put their messages.
    pub inbox: NetInbox,
    /// How signals and deadlines reach the processor.
    pub events: EventSender,
    /// Ids for connections.
    pub ids: ConnectionIds,
    /// What commands are confined by.
    pub sandbox: SharedSandbox,
    /// All numbers of the process.
    pub scrape: Scrape,
    /// Deadlines for transports.
    pub timer: TimerHandle,
    ended: Receiver<StopCause>,
    // Dropped in this order: the processor has ended by then, commands are killed, the store finishes what is
    // queued, timers last.
    processor: Worker,
    executor: Executor,
    sandbox_worker: Worker,
    store: StoreWorker,
    timer_worker: TimerWorker,
}

/// A server whose processor has ended. Its connections still have to be written out; then it is dropped.
#[derive(Debug)]
pub struct Ended {
    /// Why it ended.
    pub cause: StopCause,
    _parts: (Worker, Executor, Worker, StoreWorker, TimerWorker),
}

/// Tells the processor to stop when it is dropped; does nothing once the processor has ended.
#[derive(Debug)]
struct StopOnDrop(EventSender);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.tell_first(Event::Stop);
    }
}

impl Assembly {
    /// Starts the parts. The store opens its database meanwhile; if that fails, the processor ends.
    ///
    /// # Errors
    /// The operating system's refusal to start a worker.
    pub fn start(
        config: &Config,
        cwd: &str,
        source: SessionSource,
        clock: &Clock,
        on_step: impl Fn(Step) + Send + 'static,
    ) -> Result<Self, StartError> {
        let started = |error| StartError::io("cannot start the server", error);
        let (inbox, events, receivers) = Events::new();
        let (timer_worker, timer) = TimerWorker::start(clock.clone()).map_err(started)?;
        let opened = events.clone();
        let (store, store_handle) = StoreWorker::start(config.data_dir.clone(), move |outcome| {
            opened.tell(Event::StoreOpened(outcome))
        })
        .map_err(started)?;
        let sandbox = SharedSandbox::new(sandbox_settings(config));
        let (tried, known) = (sandbox.clone(), events.clone());
        let sandbox_worker = Worker::spawn("sandbox", limits::STACK_BYTES_IO, move || {
            let _ = tried.wait();
            known.tell(Event::SandboxKnown);
        })
        .map_err(started)?;
        let (executor, spawner) = Executor::new(config.server.commands_max, timer.clone(), sandbox.clone());
        let scrape = {
            let (store, events, inbox) = (store_handle.clone(), events.clone(), inbox.clone());
            Scrape::new(move |page| {
                add_metrics(page);
                let waiting = "Messages of clients that wait for the processor.";
                page.gauge("app_server_inbox_messages", waiting, inbox.waiting() as f64);
                let waiting = "What workers have told and the processor has not heard.";
                page.gauge("app_server_worker_events", waiting, events.waiting() as f64);
                page.gauge("app_server_store_jobs", "Jobs that wait for the store.", store.queued() as f64);
            })
        };
        let (current, mcp) = (Current::new(config.clone()), mcp(config, cwd, clock, &spawner, &events));
        let services = Services {
            store: store_handle,
            timer: timer.clone(),
            clock: clock.clone(),
            events: events.clone(),
            configuration: Arc::new(Configuration::new(Arc::clone(&current), mcp.servers().clone())),
            rules: Arc::new(CommandRules::below(&config.data_dir)),
            sandbox: sandbox.clone(),
            mcp,
            spawner,
            scrape: scrape.clone(),
            on_step: Box::new(on_step),
        };
        let facts = Facts::new(current, cwd, source);
        let drain_timeout = config.server.drain_timeout;
        let (tell, ended) = bounded(1);
        let processor = Worker::spawn("proc", limits::STACK_BYTES_WORK, move || {
            let cause = Processor::new(facts, services, drain_timeout).run(receivers);
            let _ = tell.send(cause);
        })
        .map_err(started)?;
        Ok(Self {
            _stop: StopOnDrop(events.clone()),
            inbox,
            events,
            ids: ConnectionIds::default(),
            sandbox,
            scrape,
            timer,
            ended,
            processor,
            executor,
            sandbox_worker,
            store,
            timer_worker,
        })
    }

    /// Waits for the processor's end.
    #[must_use]
    pub fn wait(self) -> Ended {
        let cause = {
            let _awaited = await_end_of(self.processor.name());
            self.ended.recv().unwrap_or(StopCause::Panicked)
        };
        Ended {
            cause,
            _parts: (self.processor, self.executor, self.sandbox_worker, self.store, self.timer_worker),
        }
    }
}

fn mcp(config: &Config, cwd: &str, clock: &Clock, spawner: &Spawner, events: &EventSender) -> McpOwner {
    let events = events.clone();
    McpOwner::new(
        config.mcp_servers.clone(),
        McpParts {
            cwd: cwd.into(),
            clock: clock.clone(),
            spawner: spawner.clone(),
            told: Box::new(move |start| events.tell(Event::McpStart(start))),
        },
    )
}

fn sandbox_settings(config: &Config) -> sandbox::Settings {
    sandbox::Settings {
        home: config.home.clone(),
        temp_dir: std::env::var_os("TMPDIR").map(Into::into),
        best_effort: config.server.sandbox_best_effort,
    }
}
