//! The long-lived worker that starts commands, and the owner of both workers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};
use rustix::process::Pid;

use super::command::{Command, CommandId, CommandRef, Phase};
use super::confine;
use super::end::KillReason;
use super::io_worker::{self, Post};
use super::live::Live;
use super::{CommandSpec, Ending, OutputSink, Running, SinkWaker, SpawnError};
use crate::limits;
use crate::obs::metrics::values::{COMMANDS_RUNNING, COMMANDS_STARTED};
use crate::sandbox::{SandboxError, SharedSandbox};
use crate::sync::lock;
use crate::sys::child::{self, Child};
use crate::sys::guard::Guard;
use crate::sys::lineage::Lineage;
use crate::sys::orphans;
use crate::sys::poller::{PollWaker, Poller};
use crate::sys::worker::Worker;
use crate::timer::TimerHandle;

/// Starts commands; clones reach the same workers, which are started with the first command.
#[derive(Debug, Clone)]
pub struct Spawner(Arc<Shared>);

/// The owner of the workers. Its drop kills every command and waits until all are reaped.
#[derive(Debug)]
pub struct Executor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    running_max: usize,
    timer: TimerHandle,
    sandbox: SharedSandbox,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// No command was asked for yet.
    Idle,
    Working(Workers),
    /// The owner has let go.
    Ended,
}

#[derive(Debug)]
struct Workers {
    hub: Arc<Hub>,
    jobs: Sender<Job>,
    /// Its drop ends the spawning worker.
    stop: Sender<Infallible>,
    spawn_worker: Worker,
    io_worker: Worker,
}

/// Why a command was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// So many commands run, the maximum.
    #[error("{0} commands are running, the limit of this server; retry when one has ended")]
    TooMany(usize),
    /// The server is about to end.
    #[error("the server is shutting down")]
    Ending,
    /// The operating system refused the workers that serve commands; the text is its own.
    #[error("commands cannot be served now: {0}; retry later")]
    NoWorkers(String),
    /// Its sandbox cannot be enforced here; the text says what to do.
    #[error("{0}")]
    Sandbox(#[from] SandboxError),
}

/// What all parts of this module know.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) timer: TimerHandle,
    sandbox: SharedSandbox,
    waker: PollWaker,
    /// What the io worker has to do. At most two entries a command wait here: it is put under watch once, and
    /// looked for once at a time.
    posts: Mutex<Vec<Post>>,
    commands: Mutex<HashMap<CommandId, CommandRef>>,
    running: AtomicUsize,
    next_id: AtomicU64,
    is_ending: AtomicBool,
    /// What all commands, and what they start, are known by.
    lineage: Lineage,
    /// Groups that had members when their command was reaped.
    dying: Mutex<Vec<Pid>>,
    /// Somebody will look soon for what was left behind.
    is_sweep_due: AtomicBool,
    /// Kills what is left when the server is killed; none if it could not be started, or at the end.
    guard: Mutex<Option<Guard>>,
}

struct Job {
    command: CommandRef,
    spec: CommandSpec,
    sink: Box<dyn OutputSink>,
}

impl Executor {
    /// Room for `running_max` commands at once. Nothing is started yet.
    #[must_use]
    pub fn new(running_max: usize, timer: TimerHandle, sandbox: SharedSandbox) -> (Self, Spawner) {
        let shared = Arc::new(Shared { running_max, timer, sandbox, state: Mutex::new(State::Idle) });
        (Self(Arc::clone(&shared)), Spawner(shared))
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        let state = std::mem::replace(&mut *lock(&self.0.state), State::Ended);
        let State::Working(Workers { hub, jobs, stop, spawn_worker, io_worker }) = state else { return };
        hub.is_ending.store(true, Ordering::SeqCst);
        for command in hub.all() {
            command.kill_now();
            command.look();
        }
        drop((jobs, stop));
        // In this order: no command is started any more once the last is reaped.
        drop(spawn_worker);
        hub.post(Post::Stop);
        drop(io_worker);
        // It ends what has gone so far that the commands' end has not ended it.
        drop(lock(&hub.guard).take());
        hub.lineage.sweep(/*is_spared*/ |_, _| false);
    }
}

impl Workers {
    fn start(shared: &Shared) -> io::Result<Self> {
        child::see_ends();
        let poller = Poller::new()?;
        let hub = Arc::new(Hub {
            timer: shared.timer.clone(),
            sandbox: shared.sandbox.clone(),
            waker: poller.waker(),
            posts: Mutex::default(),
            commands: Mutex::default(),
            running: AtomicUsize::new(0),
            next_id: AtomicU64::new(0),
            is_ending: AtomicBool::new(false),
            lineage: Lineage::new(),
            dying: Mutex::default(),
            is_sweep_due: AtomicBool::new(false),
            guard: Mutex::default(),
        });
        // One place for each command that may run: it never is full.
        let (jobs, taken) = bounded(shared.running_max);
        let (stop, stopped) = bounded(0);
        let spawn_hub = Arc::clone(&hub);
        let spawn_worker = Worker::spawn("exec-spawn", limits::STACK_BYTES_IO, move || {
            run(&taken, &stopped, &spawn_hub);
        })?;
        let io_hub = Arc::clone(&hub);
        let io_worker =
            Worker::spawn("exec-io", limits::STACK_BYTES_IO, move || io_worker::run(poller, &io_hub))?;
        Ok(Self { hub, jobs, stop, spawn_worker, io_worker })
    }

    fn take(
        &self,
        running_max: usize,
        spec: CommandSpec,
        sink: Box<dyn OutputSink>,
    ) -> Result<Running, Refusal> {
        if self.hub.running.fetch_add(1, Ordering::SeqCst) >= running_max {
            self.hub.running.fetch_sub(1, Ordering::SeqCst);
            return Err(Refusal::TooMany(running_max));
        }
        // As many as a mark can tell apart.
        let id = self.hub.next_id.fetch_add(1, Ordering::Relaxed) & CommandId::from(u32::MAX);
        let command = Command::new(id, Arc::clone(&self.hub), &spec);
        lock(&self.hub.commands).insert(id, Arc::clone(&command));
        COMMANDS_STARTED.add_one();
        COMMANDS_RUNNING.add(/*difference*/ 1);
        let job = Job { command: Arc::clone(&command), spec, sink };
        if self.jobs.try_send(job).is_err() {
            self.hub.forget(&command);
            return Err(Refusal::TooMany(running_max));
        }
        Ok(Running(command))
    }
}

impl Spawner {
    /// Starts a command. What becomes of it is told to `sink`, also if it cannot be started.
    ///
    /// # Errors
    /// The command was not taken, and `sink` hears nothing.
    pub fn start(&self, spec: CommandSpec, sink: Box<dyn OutputSink>) -> Result<Running, Refusal> {
        confine::check(&spec, &self.0.sandbox)?;
        let mut state = lock(&self.0.state);
        if let State::Idle = *state {
            let workers = Workers::start(&self.0);
            *state = State::Working(workers.map_err(|error| Refusal::NoWorkers(error.to_string()))?);
        }
        match &*state {
            State::Working(workers) => workers.take(self.0.running_max, spec, sink),
            State::Idle | State::Ended => Err(Refusal::Ending),
        }
    }

    /// How many commands run or are about to.
    #[must_use]
    pub fn running(&self) -> usize {
        match &*lock(&self.0.state) {
            State::Working(workers) => workers.hub.running.load(Ordering::SeqCst),
            State::Idle | State::Ended => 0,
        }
    }
}

impl Hub {
    pub(super) fn look(&self, command: CommandRef) {
        self.post(Post::Look(command));
    }

    pub(super) fn post(&self, post: Post) {
        lock(&self.posts).push(post);
        self.waker.wake();
    }

    pub(super) fn take_posts(&self, posts: &mut Vec<Post>) {
        std::mem::swap(&mut *lock(&self.posts), posts);
    }

    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::SeqCst)
    }

    /// The command is over: its place is free.
    pub(super) fn forget(&self, command: &Command) {
        if lock(&self.commands).remove(&command.id).is_some() {
            self.running.fetch_sub(1, Ordering::SeqCst);
            COMMANDS_RUNNING.add(/*difference*/ -1);
        }
    }

    /// Kills what commands that are over have left behind outside of their groups, and what that leaves while
    /// it dies: so again after a pause, if something is dying. `over` is one that has ended, but is not
    /// reaped.
    pub(super) fn sweep(self: &Arc<Self>, over: Option<(CommandId, Pid)>, pause: Duration) {
        self.reap_orphans();
        let left = self.lineage.sweep(|id, pid| match over {
            Some((over, own)) if over == CommandId::from(id) => pid == own,
            _ => lock(&self.commands).contains_key(&CommandId::from(id)),
        });
        let is_dying = {
            let mut dying = lock(&self.dying);
            if pause > limits::COMMAND_SWEEP_PAUSE_MAX {
                tracing::warn!(left, groups = dying.len(), "what ended commands have started does not die");
                return dying.clear();
            }
            dying.retain(|group| child::has_members(*group));
            left > 0 || !dying.is_empty()
        };
        if is_dying && !self.is_sweep_due.swap(true, Ordering::SeqCst) {
            let hub = Arc::clone(self);
            self.timer.arm_after(pause, move || {
                hub.is_sweep_due.store(false, Ordering::SeqCst);
                hub.post(Post::Sweep(pause * 2));
            });
        }
    }

    /// Reaps what has died of what commands have left behind, also of those that still run. Not at the end:
    /// once `exec-spawn` is gone, the commands themselves are inherited, and their own ends are waited for.
    pub(super) fn reap_orphans(&self) {
        orphans::reap(/*may*/ || !self.is_ending());
    }

    /// The command is reaped. Who of its group is still dying may leave children behind.
    pub(super) fn sweep_after(self: &Arc<Self>, group: Pid) {
        lock(&self.dying).push(group);
        self.sweep(/*over*/ None, limits::COMMAND_SWEEP_PAUSE);
    }

    fn guard(&self, then: impl FnOnce(&Guard)) {
        if let Some(guard) = &*lock(&self.guard) {
            then(guard);
        }
    }

    /// The command is about to be reaped: its number may be another's then.
    pub(super) fn leave(&self, group: Pid) {
        self.guard(|guard| guard.forget(group));
    }

    fn all(&self) -> Vec<CommandRef> {
        lock(&self.commands).values().cloned().collect()
    }
}

fn guard(lineage: Lineage) -> Option<Guard> {
    let guard = Guard::start(lineage);
    if let Err(error) = &guard {
        tracing::warn!(%error, "no guard: a kill -9 may leave processes of commands behind");
    }
    guard.ok()
}

/// The worker `exec-spawn`. Children die with it, so it lives as long as the executor.
fn run(jobs: &Receiver<Job>, stopped: &Receiver<Infallible>, hub: &Arc<Hub>) {
    *lock(&hub.guard) = guard(hub.lineage);
    loop {
        select! {
            recv(jobs) -> job => match job {
                Ok(job) => job.run(hub),
                Err(_) => return,
            },
            recv(stopped) -> _ => break,
        }
    }
    for job in jobs.try_iter() {
        job.fail(SpawnError::Killed);
    }
}

impl Job {
    fn run(self, hub: &Arc<Hub>) {
        if self.command.lock().kill.is_some() || hub.is_ending() {
            return self.fail(SpawnError::Killed);
        }
        match self.spawn() {
            Ok(child) => self.adopt(child, hub),
            Err(error) => self.fail(error),
        }
    }

    fn spawn(&self) -> Result<Child, SpawnError> {
        if self.spec.program.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the program's name is empty").into());
        }
        let size = self.command.lock().size;
        let hub = &self.command.hub;
        let mark = hub.lineage.mark(self.command.id as u32);
        confine::start(&self.spec, size, mark, &hub.sandbox)
    }

    /// The command runs: from here on the io worker has it.
    fn adopt(mut self, child: Child, hub: &Arc<Hub>) {
        let command = &self.command;
        hub.guard(|guard| guard.watch(child.pid));
        {
            let mut state = command.lock();
            state.phase = Phase::Alive(child.pid);
            if let Some(size) = state.size {
                // It may have been resized meanwhile.
                let _ = child::resize(child.stdout.as_fd(), size.rows, size.columns);
                state.terminal = child.stdout.try_clone().ok();
            }
            if state.kill.is_some() {
                command.begin_kill(&mut state, child.pid);
            } else if let Some(timeout) = self.spec.timeout {
                let late = Arc::clone(command);
                let timeout = timeout.max(limits::COMMAND_TIMEOUT_MIN);
                let key = hub.timer.arm_after(timeout, move || late.kill(KillReason::TimedOut));
                state.timers.push(key);
            }
        }
        // The executor's end kills who runs by then; who begins to run after that is killed here.
        if hub.is_ending() {
            command.kill_now();
        }
        self.sink.started(SinkWaker(Arc::clone(command)));
        let live = Live::new(self.command, child, self.sink, self.spec.limits);
        hub.post(Post::Adopt(Box::new(live)));
    }

    fn fail(self, error: SpawnError) {
        self.command.close();
        self.sink.ended(Ending::NotStarted(error));
    }
}
