//! Signals of the process, read by one worker so that none is missed while others are busy.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::limits;
use crate::sys::worker::Worker;

/// A signal that the server acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `SIGINT`, Ctrl-C.
    Interrupt,
    /// `SIGTERM`, what supervisors send.
    Terminate,
    /// `SIGHUP`, the terminal went away.
    Hangup,
}

/// The worker that hears signals; dropping it stops it and leaves the handlers in place.
#[derive(Debug)]
pub struct SignalWorker {
    handle: Handle,
    // After `handle`, whose closing lets the worker end.
    _worker: Worker,
}

impl SignalWorker {
    /// Takes over the signals and calls `on_signal` for each, in the order of arrival.
    ///
    /// # Errors
    /// The operating system's refusal to install a handler or to start a worker.
    pub fn start(mut on_signal: impl FnMut(Signal) + Send + 'static) -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let worker = Worker::spawn("signals", limits::STACK_BYTES_IO, move || {
            for number in signals.forever() {
                match number {
                    SIGINT => on_signal(Signal::Interrupt),
                    SIGTERM => on_signal(Signal::Terminate),
                    SIGHUP => on_signal(Signal::Hangup),
                    _ => {}
                }
            }
        })?;
        Ok(Self { handle, _worker: worker })
    }
}

impl Drop for SignalWorker {
    fn drop(&mut self) {
        self.handle.close();
    }
}
