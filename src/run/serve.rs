//! `app-server`: serves until the input ends, a signal comes or the listener's owner wants it to stop.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use crossbeam_channel::{Receiver, bounded};

use super::watchdog::Watchdog;
use super::{Assembly, Ended};
use crate::cli::ServeArgs;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::net::auth::AuthConfig;
use crate::config::net::{Endpoint, Listen, NetConfig};
use crate::error::{Exit, StartError};
use crate::limits;
use crate::net::stdio::{Stdio, StdioConfig};
use crate::net::{Hurry, Listener, Phase, Readiness, Wiring};
use crate::obs;
use crate::proto::SessionSource;
use crate::queue::{Closing, Outbox};
use crate::server::{Event, EventSender, Step, StopCause};
use crate::sys::notify::Supervisor;
use crate::sys::signals::{Signal, SignalWorker};
use crate::sys::{activation, futex, memory, rlimit};
use crate::timer::TimerHandle;

/// Serves as the command line asks, or on the socket that a supervisor passed.
///
/// # Errors
/// What kept the server from starting, or from serving on.
pub fn serve(args: &ServeArgs) -> Result<Exit, StartError> {
    // Before anything else opens a file: the passed socket is known by its number.
    let passed = activation::take()?;
    let config = Config::from_process_env(&args.config)?;
    for key in &config.unknown_keys {
        tracing::debug!(%key, "a configuration key means nothing here and is ignored");
    }
    for flag in &args.ignored {
        tracing::debug!(%flag, "a flag is accepted for compatibility and ignored");
    }
    // Checked on every transport: a flag that is misused should not wait for the day it matters.
    let auth = AuthConfig::from_flags(&args.auth)?;
    let door = match (passed, Listen::parse(&args.listen, &config.home)?) {
        (Some(socket), _) => Door::Passed(socket),
        (None, Listen::Socket(endpoint)) => Door::Endpoint(endpoint),
        (None, Listen::Stdio) => return serve_stdio(&config),
        (None, Listen::Off) => {
            return Err(StartError::Usage(
                "no transport configured: `--listen off` leaves nothing to serve; use stdio://, \
                 ws://IP:PORT or unix://PATH"
                    .to_owned(),
            ));
        }
    };
    let net = NetConfig {
        auth,
        require_auth: config.server.require_auth,
        unix_mode: args.unix_socket_mode.unwrap_or(limits::UNIX_SOCKET_MODE),
        connections_max: config.server.max_connections,
        message_bytes_max: config.server.message_bytes_max,
        outbox_messages: config.server.outbox_messages_max,
        outbox_bytes: config.server.outbox_bytes_max,
        ..NetConfig::new()
    };
    serve_network(&config, net, door)
}

/// Where network clients come in.
enum Door {
    /// A socket that a supervisor opened.
    Passed(OwnedFd),
    /// A socket to be opened here.
    Endpoint(Endpoint),
}

/// The process's working directory, which threads start in.
pub(super) fn working_directory() -> Result<String, StartError> {
    let cwd = std::env::current_dir()
        .map_err(|error| StartError::io("cannot tell the working directory", error))?;
    Ok(cwd.to_string_lossy().into_owned())
}

fn serve_stdio(config: &Config) -> Result<Exit, StartError> {
    raise_open_files("each running command needs four");
    let clock = Clock::real();
    let watchdog = Watchdog::new(&clock);
    let on_step = at_once(&watchdog);
    let assembly = Assembly::start(config, &working_directory()?, SessionSource::VsCode, &clock, on_step)?;
    let stop = StdioStop::default();
    let (signals, signalled) = watch_signals(&assembly, Clients::Stdio(stop.clone()), &watchdog)?;
    let stdio_config = StdioConfig {
        message_bytes_max: config.server.message_bytes_max,
        outbox_bytes: limits::OUTBOX_BYTES_STDIO,
    };
    let stdio = Stdio::start(
        own(std::io::stdin())?,
        own(std::io::stdout())?,
        stdio_config,
        &assembly.ids,
        &assembly.inbox,
    )?;
    stop.set(stdio.outbox());
    forget_the_start(&assembly.timer);
    let ended = assembly.wait();
    if ended.cause == StopCause::Done {
        // Everything that was asked for is answered in full, however long the client takes to read it.
        watchdog.relax();
        stdio.write_out(&signalled);
    }
    watchdog.bound(limits::END_DEADLINE);
    stdio.stop(limits::STDIO_STOP_DEADLINE);
    drop(signals);
    exit(ended)
}

/// Bounds the end from the moment on at which whoever stops the server counts on it to be gone.
pub(super) fn at_once(watchdog: &Watchdog) -> impl Fn(Step) + Send + use<> {
    let watchdog = watchdog.clone();
    move |step| match step {
        Step::Draining => {}
        Step::Stopping | Step::Ending => watchdog.bound(limits::END_DEADLINE),
        Step::StoppingAtOnce => watchdog.bound(limits::FORCED_END_DEADLINE),
    }
}

fn raise_open_files(what_for: &str) {
    if let Err(error) = rlimit::raise_open_files() {
        tracing::warn!(%error, "the limit of open files stays as it is; {what_for}");
    }
}

/// Gives back what only the start needed, when it is over.
fn forget_the_start(timer: &TimerHandle) {
    timer.arm_after(limits::START_SETTLES, memory::unmap_start_code);
}

/// A copy of a standard stream that is ours to read, write and close.
fn own(stream: impl AsFd) -> Result<OwnedFd, StartError> {
    stream
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| StartError::io("cannot use stdin and stdout; are they closed?", error))
}

fn serve_network(config: &Config, net: NetConfig, door: Door) -> Result<Exit, StartError> {
    raise_open_files("each connection needs two");
    // Each connection's writer waits.
    if !futex::make_room(config.server.max_connections) {
        tracing::debug!("the kernel's table of waiting OS threads stays as it is");
    }
    let clock = Clock::real();
    let (readiness, supervisor) = (Readiness::default(), Supervisor::from_env());
    let (draining, told) = (readiness.clone(), supervisor.clone());
    let watchdog = Watchdog::new(&clock);
    let bound = at_once(&watchdog);
    let assembly =
        Assembly::start(config, &working_directory()?, SessionSource::VsCode, &clock, move |step| {
            if step == Step::Draining {
                draining.set(Phase::Draining);
                told.stopping();
            }
            bound(step);
        })?;
    let hurry = Arc::default();
    let (signals, _signalled) = watch_signals(&assembly, Clients::Network(Arc::clone(&hurry)), &watchdog)?;
    let wiring = Wiring {
        inbox: assembly.inbox.clone(),
        ids: assembly.ids.clone(),
        timer: assembly.timer.clone(),
        readiness: readiness.clone(),
        scrape: assembly.scrape.clone(),
    };
    let listener = match door {
        Door::Passed(socket) => {
            let path = activation::unix_path(&socket);
            let listener = Listener::adopt(net, socket, wiring)?;
            path.iter().for_each(|path| assembly.sandbox.hide(path));
            listener
        }
        Door::Endpoint(endpoint) => {
            let listener = Listener::start(net, &endpoint, wiring)?;
            if let Endpoint::Unix(path) = &endpoint {
                assembly.sandbox.hide(path);
            }
            listener
        }
    };
    let _ = hurry.set(listener.hurry());
    readiness.set(Phase::Ready);
    // Who starts us reads the address from here; a closed stderr is no reason not to serve.
    let _ = std::io::stderr().write_all(obs::log::for_people(&listener.banner()).as_bytes());
    supervisor.ready();
    forget_the_start(&assembly.timer);
    let ended = assembly.wait();
    watchdog.bound(limits::END_DEADLINE);
    listener.close(limits::DELIVERY_DEADLINE);
    drop(signals);
    exit(ended)
}

/// Takes the rest of the server apart and says what its end is worth.
fn exit(ended: Ended) -> Result<Exit, StartError> {
    match ended.cause.clone() {
        StopCause::Done | StopCause::Forced => Ok(Exit::Done),
        StopCause::Store(error) => Err(StartError::Other(format!("cannot open the store: {error}"))),
        StopCause::Panicked => {
            Err(StartError::Other("the processor stopped by an internal error; see the log".to_owned()))
        }
    }
}

/// Gives up the output of a stdio client that does not read, so that the processor is free to stop.
#[derive(Clone, Default)]
pub(super) struct StdioStop(Arc<OnceLock<Outbox>>);

impl StdioStop {
    pub(super) fn set(&self, outbox: &Outbox) {
        let _ = self.0.set(outbox.clone());
    }

    fn arm(&self, timer: &TimerHandle) {
        let outbox = Arc::clone(&self.0);
        timer.arm_after(limits::STDIO_STOP_DEADLINE, move || {
            if let Some(outbox) = outbox.get() {
                outbox.cut(Closing { code: 1001, reason: "stopped by a signal".to_owned() });
            }
        });
    }
}

/// Whom a forced end does not wait for.
pub(super) enum Clients {
    Stdio(StdioStop),
    /// Filled once the listener is there.
    Network(Arc<OnceLock<Hurry>>),
}

/// Hands signals to the processor, ahead of everything else. The receiver hears of the first one. The worker
/// bounds the end by itself where a signal wants it at once: the processor may be what hangs.
pub(super) fn watch_signals(
    assembly: &Assembly,
    clients: Clients,
    watchdog: &Watchdog,
) -> Result<(SignalWorker, Receiver<()>), StartError> {
    let (tell, signalled) = bounded(1);
    let events: EventSender = assembly.events.clone();
    let timer = assembly.timer.clone();
    let watchdog = watchdog.clone();
    let mut is_first = true;
    let worker = SignalWorker::start(move |signal: Signal| {
        let was_first = std::mem::take(&mut is_first);
        if signal == Signal::Hangup && !was_first {
            // A lost terminal is no order to hurry. Not even told, so that no flood of it has the processor
            // miss another signal.
            return;
        }
        match &clients {
            Clients::Network(_) if was_first => {}
            Clients::Network(hurry) => {
                watchdog.bound(limits::FORCED_END_DEADLINE);
                hurry.get().into_iter().for_each(Hurry::up);
            }
            Clients::Stdio(stdio) => {
                watchdog.bound(limits::FORCED_END_DEADLINE);
                stdio.arm(&timer);
            }
        }
        events.tell_first(Event::Signal(signal));
        let _ = tell.try_send(());
    })
    .map_err(|error| StartError::io("cannot listen for signals", error))?;
    Ok((worker, signalled))
}
