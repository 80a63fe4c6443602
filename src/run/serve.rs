//! `app-server`: serves until the input ends, a signal comes or the listener's owner wants it to stop.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use crossbeam_channel::{Receiver, bounded};

use super::{Assembly, Ended};
use crate::cli::ServeArgs;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::net::{Endpoint, Listen, NetConfig};
use crate::error::{Exit, StartError};
use crate::limits;
use crate::net::stdio::{Stdio, StdioConfig};
use crate::net::{Listener, Phase, Readiness};
use crate::proto::SessionSource;
use crate::queue::{Closing, Outbox};
use crate::server::{Event, EventSender, StopCause};
use crate::sys::signals::{Signal, SignalWorker};
use crate::timer::TimerHandle;

/// Serves as the command line asks.
///
/// # Errors
/// What kept the server from starting, or from serving on.
pub fn serve(args: &ServeArgs) -> Result<Exit, StartError> {
    let config = Config::from_process_env(&args.config)?;
    for key in &config.unknown_keys {
        tracing::debug!(%key, "a configuration key means nothing here and is ignored");
    }
    for flag in &args.ignored {
        tracing::debug!(%flag, "a flag is accepted for compatibility and ignored");
    }
    match Listen::parse(&args.listen, &config.home)? {
        Listen::Stdio => serve_stdio(&config),
        Listen::Socket(endpoint) => serve_network(&config, &endpoint),
        Listen::Off => Err(StartError::Usage(
            "no transport configured: `--listen off` leaves nothing to serve; use stdio://, ws://IP:PORT or \
             unix://PATH"
                .to_owned(),
        )),
    }
}

/// The process's working directory, which threads start in.
pub(super) fn working_directory() -> Result<String, StartError> {
    let cwd = std::env::current_dir()
        .map_err(|error| StartError::io("cannot tell the working directory", error))?;
    Ok(cwd.to_string_lossy().into_owned())
}

fn serve_stdio(config: &Config) -> Result<Exit, StartError> {
    let clock = Clock::real();
    let assembly = Assembly::start(config, &working_directory()?, SessionSource::VsCode, &clock, || {})?;
    let stop = StdioStop::default();
    let (signals, signalled) = watch_signals(&assembly, Some(&stop))?;
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
    wait_or_leave(&assembly, &signalled);
    let ended = assembly.wait();
    if ended.cause == StopCause::Done {
        // Everything that was asked for is answered in full, however long the client takes to read it.
        stdio.write_out(&signalled);
    }
    stdio.stop(limits::STDIO_STOP_DEADLINE);
    drop(signals);
    exit(&ended)
}

/// A copy of a standard stream that is ours to read, write and close.
fn own(stream: impl AsFd) -> Result<OwnedFd, StartError> {
    stream
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| StartError::io("cannot use stdin and stdout; are they closed?", error))
}

fn serve_network(config: &Config, endpoint: &Endpoint) -> Result<Exit, StartError> {
    let clock = Clock::real();
    let readiness = Readiness::default();
    let draining = readiness.clone();
    let assembly =
        Assembly::start(config, &working_directory()?, SessionSource::VsCode, &clock, move || {
            draining.set(Phase::Draining);
        })?;
    let (signals, _signalled) = watch_signals(&assembly, None)?;
    let net = NetConfig {
        connections_max: config.server.max_connections,
        message_bytes_max: config.server.message_bytes_max,
        outbox_messages: config.server.outbox_messages_max,
        outbox_bytes: config.server.outbox_bytes_max,
        ..NetConfig::new()
    };
    let listener = Listener::start(
        net,
        endpoint,
        assembly.inbox.clone(),
        assembly.ids.clone(),
        assembly.timer.clone(),
        readiness.clone(),
    )?;
    readiness.set(Phase::Ready);
    // Who starts us reads the address from here; a closed stderr is no reason not to serve.
    let _ = std::io::stderr().write_all(listener.banner().as_bytes());
    let ended = assembly.wait();
    drop(listener);
    drop(signals);
    exit(&ended)
}

fn exit(ended: &Ended) -> Result<Exit, StartError> {
    match &ended.cause {
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

/// Hands signals to the processor, ahead of everything else. The receiver hears of the first one.
pub(super) fn watch_signals(
    assembly: &Assembly,
    stdio: Option<&StdioStop>,
) -> Result<(SignalWorker, Receiver<()>), StartError> {
    let (tell, signalled) = bounded(1);
    let events: EventSender = assembly.events.clone();
    let timer = assembly.timer.clone();
    let stdio = stdio.cloned();
    let worker = SignalWorker::start(move |signal: Signal| {
        events.tell_first(Event::Signal(signal));
        if let Some(stdio) = &stdio {
            stdio.arm(&timer);
        }
        let _ = tell.try_send(());
    })
    .map_err(|error| StartError::io("cannot listen for signals", error))?;
    Ok((worker, signalled))
}

/// Waits for the processor's end; after a signal for a bounded time only. A stdio client that sends a signal
/// counts on the process to be gone soon, whatever holds it up.
fn wait_or_leave(assembly: &Assembly, signalled: &Receiver<()>) {
    let mut select = crossbeam_channel::Select::new();
    select.recv(assembly.ended());
    select.recv(signalled);
    select.ready();
    if signalled.try_recv().is_ok() {
        let mut ended = crossbeam_channel::Select::new();
        ended.recv(assembly.ended());
        if ended.ready_timeout(limits::WORKER_STOP_DEADLINE).is_err() {
            tracing::error!(
                "the server did not stop in time after a signal and is left; turns may be cut off"
            );
            std::process::exit(Exit::Failed.code().into());
        }
    }
}
