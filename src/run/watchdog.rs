//! The watchdog: ends the process when its end takes too long, and names in the log who holds it up.
//!
//! Everything has its own deadline at the end; this is for what nobody thought of, a database that another
//! process holds, a file system that hangs. Its worker, `watchdog`, starts with the first deadline, so a
//! server that runs has none. It knows nothing of what it waits for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::clock::{Clock, Monotonic, Wait};
use crate::error::Exit;
use crate::limits;
use crate::obs;
use crate::sync::lock;
use crate::sys::worker::{Worker, awaited, running};

/// Bounds the end of the process; clones are the same watchdog.
#[derive(Debug, Clone)]
pub(super) struct Watchdog(Arc<Owner>);

#[derive(Debug)]
struct Owner {
    clock: Clock,
    until: Arc<Mutex<Option<Monotonic>>>,
    worker: Mutex<Option<Bell>>,
}

/// Dropped in this order: without a bell the worker ends.
#[derive(Debug)]
struct Bell {
    bell: Sender<()>,
    _worker: Worker,
}

impl Watchdog {
    pub(super) fn new(clock: &Clock) -> Self {
        Self(Arc::new(Owner { clock: clock.clone(), until: Arc::default(), worker: Mutex::default() }))
    }

    /// The process has to be gone within this from now; of several such words the strictest counts.
    pub(super) fn bound(&self, within: Duration) {
        let until = self.0.clock.now().after(within);
        {
            let mut set = lock(&self.0.until);
            if set.is_some_and(|earlier| earlier <= until) {
                return;
            }
            *set = Some(until);
        }
        self.ring();
    }

    /// There is time again: what follows takes as long as a client takes.
    pub(super) fn relax(&self) {
        if lock(&self.0.until).take().is_some() {
            self.ring();
        }
    }

    fn ring(&self) {
        let mut worker = lock(&self.0.worker);
        match &*worker {
            // A full slot means that it is about to look anyway.
            Some(Bell { bell, .. }) => drop(bell.try_send(())),
            None => {
                let (bell, rung) = bounded(1);
                let (clock, until) = (self.0.clock.clone(), Arc::clone(&self.0.until));
                let watch = move || watch(&clock, &until, &rung);
                match Worker::spawn("watchdog", limits::STACK_BYTES_IO, watch) {
                    Ok(started) => *worker = Some(Bell { bell, _worker: started }),
                    Err(error) => tracing::warn!(%error, "nothing bounds the end of the process"),
                }
            }
        }
    }
}

fn watch(clock: &Clock, until: &Mutex<Option<Monotonic>>, rung: &Receiver<()>) {
    loop {
        let deadline = *lock(until);
        match clock.recv_deadline(rung, deadline) {
            Wait::Got(()) => {}
            Wait::Closed => return,
            // The deadline may have been taken back at the last moment.
            Wait::TimedOut if lock(until).is_none_or(|until| until > clock.now()) => {}
            Wait::TimedOut => leave(),
        }
    }
}

/// The commands die with the process (their guard sees to that), and turns that could not write their end are
/// shown as interrupted from the next start on.
fn leave() -> ! {
    tracing::error!(
        late = awaited().join(", "),
        running = running().join(", "),
        "the end takes too long and is cut short; turns that run may miss their last words"
    );
    obs::log::flush(limits::LOG_LAST_WORDS_DEADLINE);
    std::process::exit(Exit::Failed.code().into())
}
