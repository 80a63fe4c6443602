//! Cancelling a blocked model call from another worker.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use crate::clock::{Clock, Wait};
use crate::sync::lock;

/// The side that cancels; clones cancel the same. Its drop cancels nothing, so that a lost handle does not
/// end a turn.
#[derive(Debug, Clone)]
pub struct Canceller(Arc<Mutex<Option<Sender<Infallible>>>>);

/// The side that is cancelled.
#[derive(Debug)]
pub struct Cancel {
    /// Closed by [`Canceller::cancel`]; nothing is ever sent.
    cancelled: Receiver<Infallible>,
    /// Keeps the channel open until then.
    _open: Canceller,
    clock: Clock,
}

/// The two sides of one cancellation; waits of the second go by `clock`.
#[must_use]
pub fn cancellation(clock: Clock) -> (Canceller, Cancel) {
    let (sender, cancelled) = bounded(0);
    let canceller = Canceller(Arc::new(Mutex::new(Some(sender))));
    (canceller.clone(), Cancel { cancelled, _open: canceller, clock })
}

impl Canceller {
    /// Cancels, once and for all.
    pub fn cancel(&self) {
        lock(&self.0).take();
    }
}

impl Cancel {
    /// True once it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Waits for `duration`. False if it was cancelled before that.
    #[must_use]
    pub fn wait(&self, duration: Duration) -> bool {
        let deadline = self.clock.now().after(duration);
        match self.clock.recv_deadline(&self.cancelled, Some(deadline)) {
            Wait::TimedOut => true,
            Wait::Closed => false,
            Wait::Got(never) => match never {},
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_at_its_time_or_when_cancelled() {
        let clock = Clock::simulated(/*wall_start_ms*/ 0);
        let (canceller, cancel) = cancellation(clock.clone());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| (cancel.wait(Duration::ZERO), cancel.wait(Duration::from_secs(60))));
            canceller.cancel();
            assert!(!waits.join().expect("no panic").1);
        });
        assert!(cancel.is_cancelled());
    }

    #[test]
    fn a_dropped_canceller_cancels_nothing() {
        let (canceller, cancel) = cancellation(Clock::simulated(/*wall_start_ms*/ 0));
        drop(canceller);
        assert!(!cancel.is_cancelled());
        assert!(cancel.wait(Duration::ZERO));
    }
}
