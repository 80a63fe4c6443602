//! Cancelling a blocked model call from another worker.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use crate::clock::{Clock, Wait};
use crate::sync::lock;

/// The side that cancels; clones cancel the same. Its drop cancels nothing, so that a lost handle does not
/// end a turn.
#[derive(Debug, Clone)]
pub struct Canceller(Arc<Mutex<State>>);

/// The side that is cancelled; clones are cancelled together.
#[derive(Debug, Clone)]
pub struct Cancel {
    /// Closed by [`Canceller::cancel`]; nothing is ever sent.
    cancelled: Receiver<Infallible>,
    /// Keeps the channel open until then.
    canceller: Canceller,
    clock: Clock,
}

type Action = Box<dyn FnOnce() + Send>;

struct State {
    /// None once it was cancelled.
    open: Option<Sender<Infallible>>,
    actions: BTreeMap<u64, Action>,
    next: u64,
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cancelled = self.open.is_none();
        formatter.debug_struct("State").field("cancelled", &cancelled).finish_non_exhaustive()
    }
}

/// An action that waits for the cancellation; its drop takes it back.
#[derive(Debug)]
#[must_use = "the action is taken back when this is dropped"]
pub struct OnCancel {
    canceller: Canceller,
    key: u64,
}

/// The two sides of one cancellation; waits of the second go by `clock`.
#[must_use]
pub fn cancellation(clock: Clock) -> (Canceller, Cancel) {
    let (sender, cancelled) = bounded(0);
    let state = State { open: Some(sender), actions: BTreeMap::new(), next: 0 };
    let canceller = Canceller(Arc::new(Mutex::new(state)));
    (canceller.clone(), Cancel { cancelled, canceller, clock })
}

impl Canceller {
    /// Cancels, once and for all, and runs the actions that wait for it.
    pub fn cancel(&self) {
        let mut state = lock(&self.0);
        state.open.take();
        // Run with the lock held: once an [`OnCancel`] is dropped, its action runs no more, so what the
        // action reaches can be used for something else.
        for action in std::mem::take(&mut state.actions).into_values() {
            action();
        }
    }
}

impl Cancel {
    /// True once it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// The clock that its waits go by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Closed once it was cancelled; nothing is ever sent. For waiting on it and something else.
    #[must_use]
    pub fn cancelled(&self) -> &Receiver<Infallible> {
        &self.cancelled
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

    /// Has `action` run when it is cancelled, at once if it is already: the way to wake what blocks in a
    /// system call. It runs on the worker that cancels, so it must be short, must not block, and must not
    /// touch this cancellation.
    pub fn on_cancel(&self, action: impl FnOnce() + Send + 'static) -> OnCancel {
        let mut state = lock(&self.canceller.0);
        let key = state.next;
        state.next += 1;
        if state.open.is_some() {
            state.actions.insert(key, Box::new(action));
        } else {
            drop(state);
            action();
        }
        OnCancel { canceller: self.canceller.clone(), key }
    }
}

impl Drop for OnCancel {
    fn drop(&mut self) {
        lock(&self.canceller.0).actions.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

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

    #[test]
    fn an_action_runs_once_and_not_after_it_was_taken_back() {
        let (canceller, cancel) = cancellation(Clock::simulated(/*wall_start_ms*/ 0));
        let ran = Arc::new(AtomicU32::new(0));
        let action = |weight: u32| {
            let ran = Arc::clone(&ran);
            move || {
                ran.fetch_add(weight, Ordering::Relaxed);
            }
        };
        let kept = cancel.on_cancel(action(1));
        drop(cancel.on_cancel(action(10)));
        assert_eq!(ran.load(Ordering::Relaxed), 0);
        canceller.cancel();
        canceller.cancel();
        assert_eq!(ran.load(Ordering::Relaxed), 1);
        let late = cancel.clone().on_cancel(action(100));
        assert_eq!(ran.load(Ordering::Relaxed), 101);
        drop((kept, late));
    }
}
