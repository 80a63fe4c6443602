//! The parts of a running server, started in their order and stopped in the reverse one.

use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};

use super::StartError;
use crate::agent::{CommandRules, Defaults};
use crate::clock::Clock;
use crate::config::{ApprovalPolicy, CommandLimits, Config, PROVIDER_OFFLINE, SandboxMode};
use crate::exec::{Executor, ResourceLimits, Spawner};
use crate::limits;
use crate::mcp::{McpOwner, McpParts};
use crate::model::{OFFLINE_MODEL, Providers};
use crate::net::{ConnectionIds, NetInbox, Scrape};
use crate::proto::{self, AskForApproval, SandboxPolicy, SessionSource};
use crate::sandbox::{self, SharedSandbox};
use crate::server::{
    Event, EventSender, Events, Facts, Processor, ProviderFacts, Services, Step, StopCause, add_metrics,
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
        let services = Services {
            store: store_handle,
            timer: timer.clone(),
            clock: clock.clone(),
            events: events.clone(),
            models: Providers::new(config, &|name| std::env::var(name).ok()),
            rules: Arc::new(CommandRules::below(&config.data_dir)),
            sandbox: sandbox.clone(),
            mcp: mcp(config, cwd, clock, &spawner, &events),
            spawner,
            scrape: scrape.clone(),
            on_step: Box::new(on_step),
        };
        let facts = facts(config, cwd, source);
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
    let known = config.clone();
    McpOwner::new(
        config.mcp_servers.clone(),
        McpParts {
            cwd: cwd.into(),
            clock: clock.clone(),
            spawner: spawner.clone(),
            told: Box::new(move |start| events.tell(Event::McpStart(start))),
            reload: Box::new(move || match known.reloaded() {
                Ok(config) => Ok(config.mcp_servers),
                Err(error) => Err(error.to_string()),
            }),
        },
    )
}

fn facts(config: &Config, cwd: &str, source: SessionSource) -> Facts {
    let provider = config.model_provider.clone().unwrap_or_else(|| PROVIDER_OFFLINE.to_owned());
    let providers = config.model_providers.iter().map(|(id, provider)| ProviderFacts {
        id: id.clone(),
        name: provider.name.clone(),
        base_url: provider.base_url.as_deref().map(crate::config::without_user_info),
    });
    Facts {
        home: config.home.to_string_lossy().into_owned(),
        context_window: config.model_context_window,
        compact_at_tokens: config.model_auto_compact_token_limit,
        defaults: Defaults {
            model: config.model.clone().unwrap_or_else(|| OFFLINE_MODEL.to_owned()),
            model_provider: provider,
            cwd: cwd.to_owned(),
            approval_policy: approval_policy(config),
            sandbox_mode: sandbox_mode(config.sandbox_mode),
            workspace_write: workspace_write(config),
            reasoning_effort: config.model_reasoning_effort.as_deref().map(proto::ReasoningEffort::from),
            developer_instructions: config.developer_instructions.clone(),
        },
        source,
        sources: Arc::new(config.clone()),
        providers: providers.collect(),
        unload_delay: config.thread_unload_delay,
        approval_deadline: config.server.approval_deadline,
        loaded_bytes_max: config.server.loaded_threads_bytes_max,
        commands_per_connection_max: config.server.commands_per_connection_max,
        command_limits: command_limits(config.server.command_limits),
        system: system(),
    }
}

fn approval_policy(config: &Config) -> AskForApproval {
    match &config.approval_policy {
        None | Some(ApprovalPolicy::OnRequest) => AskForApproval::OnRequest,
        Some(ApprovalPolicy::Untrusted) => AskForApproval::UnlessTrusted,
        Some(ApprovalPolicy::Never) => AskForApproval::Never,
        // The protocol has no word for these two any more; asking on request is the nearest that is safe.
        Some(ApprovalPolicy::OnFailure | ApprovalPolicy::Granular(_)) => AskForApproval::OnRequest,
    }
}

/// What a user who configured nothing gets: reading only.
fn sandbox_mode(configured: Option<SandboxMode>) -> proto::SandboxMode {
    match configured {
        None | Some(SandboxMode::ReadOnly) => proto::SandboxMode::ReadOnly,
        Some(SandboxMode::WorkspaceWrite) => proto::SandboxMode::WorkspaceWrite,
        Some(SandboxMode::DangerFullAccess) => proto::SandboxMode::DangerFullAccess,
    }
}

fn workspace_write(config: &Config) -> SandboxPolicy {
    let configured = &config.sandbox_workspace_write;
    SandboxPolicy::WorkspaceWrite {
        writable_roots: configured
            .writable_roots
            .iter()
            .map(|root| root.to_string_lossy().into_owned())
            .collect(),
        network_access: configured.network_access,
        exclude_tmpdir_env_var: configured.exclude_tmpdir_env_var,
        exclude_slash_tmp: configured.exclude_slash_tmp,
    }
}

fn sandbox_settings(config: &Config) -> sandbox::Settings {
    sandbox::Settings {
        home: config.home.clone(),
        temp_dir: std::env::var_os("TMPDIR").map(Into::into),
        best_effort: config.server.sandbox_best_effort,
    }
}

fn command_limits(configured: CommandLimits) -> ResourceLimits {
    ResourceLimits {
        cpu_secs: configured.cpu_secs,
        address_space_bytes: configured.address_space_bytes,
        open_files: configured.open_files,
        processes: configured.processes,
    }
}

/// The operating system as the user agent names it.
fn system() -> String {
    let name = rustix::system::uname();
    format!(
        "{} {}; {}",
        name.sysname().to_string_lossy(),
        name.release().to_string_lossy(),
        name.machine().to_string_lossy()
    )
}
