//! The timer worker: sleeps until the wheel's next deadline and runs what is due.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::wheel::{Key, Wheel};
use crate::clock::{Clock, Monotonic, Wait};
use crate::limits;
use crate::sync::lock;
use crate::sys::worker::Worker;

/// Runs on the timer worker; must not wait for anything.
type Action = Box<dyn FnOnce() + Send>;

/// Arms and cancels timers; clones share the same wheel.
#[derive(Clone)]
pub struct TimerHandle {
    shared: Arc<Shared>,
    wake: Sender<()>,
}

struct Shared {
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    wheel: Wheel<Action>,
    /// Until when the worker sleeps; it has to be woken only for something earlier.
    sleeps_until: Option<Monotonic>,
    asleep: bool,
    stopped: bool,
}

/// The worker. Dropping it stops it, also if handles are still around: armed actions may hold some. What is
/// armed then never runs.
#[derive(Debug)]
pub struct TimerWorker {
    handle: TimerHandle,
    // After the handle in the drop below, which tells the worker to end.
    _worker: Worker,
}

impl TimerWorker {
    /// Starts the worker.
    ///
    /// # Errors
    /// The operating system's refusal to start it.
    pub fn start(clock: Clock) -> io::Result<(Self, TimerHandle)> {
        let wheel = Wheel::new(limits::TIMER_TICK, limits::TIMER_SLOTS);
        let state = Mutex::new(State { wheel, sleeps_until: None, asleep: false, stopped: false });
        let shared = Arc::new(Shared { clock, state });
        let (wake, woken) = bounded(1);
        let worker = Worker::spawn("timer", limits::STACK_BYTES_IO, {
            let shared = Arc::clone(&shared);
            move || run(&shared, &woken)
        })?;
        let handle = TimerHandle { shared, wake };
        Ok((Self { handle: handle.clone(), _worker: worker }, handle))
    }
}

impl Drop for TimerWorker {
    fn drop(&mut self) {
        lock(&self.handle.shared.state).stopped = true;
        // A full slot means that the worker is being woken already.
        let _ = self.handle.wake.try_send(());
    }
}

impl TimerHandle {
    /// The clock of the deadlines.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Runs `action` on the timer worker once `deadline` has passed, at most one tick late.
    pub fn arm(&self, deadline: Monotonic, action: impl FnOnce() + Send + 'static) -> Key {
        let (key, earlier) = {
            let mut state = lock(&self.shared.state);
            let key = state.wheel.arm(deadline, Box::new(action));
            let earlier = state.asleep && state.sleeps_until.is_none_or(|until| deadline < until);
            if earlier {
                state.asleep = false;
            }
            (key, earlier)
        };
        if earlier {
            // A full slot means that the worker is being woken already.
            let _ = self.wake.try_send(());
        }
        key
    }

    /// Runs `action` after `duration`.
    pub fn arm_after(&self, duration: std::time::Duration, action: impl FnOnce() + Send + 'static) -> Key {
        self.arm(self.clock().now().after(duration), action)
    }

    /// Takes back a timer. False if it has run, is running or was taken back before.
    pub fn cancel(&self, key: Key) -> bool {
        // The action is dropped outside of the lock: its drop may do anything.
        let action = lock(&self.shared.state).wheel.cancel(key);
        action.is_some()
    }

    /// How many timers are armed.
    #[must_use]
    pub fn armed(&self) -> usize {
        lock(&self.shared.state).wheel.len()
    }
}

impl fmt::Debug for TimerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerHandle").field("armed", &self.armed()).finish_non_exhaustive()
    }
}

fn run(shared: &Shared, woken: &Receiver<()>) {
    let mut due = Vec::new();
    loop {
        let until = {
            let mut state = lock(&shared.state);
            if state.stopped {
                return;
            }
            state.wheel.expire(shared.clock.now(), &mut due);
            let until = state.wheel.next_deadline();
            state.sleeps_until = until;
            state.asleep = due.is_empty();
            until
        };
        if !due.is_empty() {
            for action in due.drain(..) {
                run_guarded(action);
            }
            continue;
        }
        match shared.clock.recv_deadline(woken, until) {
            Wait::Got(()) | Wait::TimedOut => {}
            Wait::Closed => return,
        }
    }
}

fn run_guarded(action: Action) {
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(action)).is_err() {
        tracing::error!("a timer's action panicked; the other timers go on");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn arm(timer: &TimerHandle, after_ms: u64, name: &'static str) -> (Key, Receiver<&'static str>) {
        let (sender, receiver) = bounded(1);
        let key = timer.arm_after(Duration::from_millis(after_ms), move || {
            let _ = sender.try_send(name);
        });
        (key, receiver)
    }

    #[test]
    fn a_timer_runs_when_the_clock_gets_there() {
        let clock = Clock::simulated(/*wall_start_ms*/ 0);
        let (worker, timer) = TimerWorker::start(clock.clone()).expect("it starts");
        let (_, late) = arm(&timer, /*after_ms*/ 1_000, "late");
        let (_, soon) = arm(&timer, /*after_ms*/ 20, "soon");
        clock.advance(Duration::from_millis(20));
        assert_eq!(soon.recv(), Ok("soon"));
        assert!(late.try_recv().is_err());
        clock.advance(Duration::from_millis(980));
        assert_eq!(late.recv(), Ok("late"));
        drop((timer, worker));
    }

    #[test]
    fn a_cancelled_timer_does_not_run_and_a_panicking_one_stops_nobody() {
        let clock = Clock::simulated(/*wall_start_ms*/ 0);
        let (worker, timer) = TimerWorker::start(clock.clone()).expect("it starts");
        let (key, cancelled) = arm(&timer, /*after_ms*/ 10, "cancelled");
        assert!(timer.cancel(key) && !timer.cancel(key));
        timer.arm_after(Duration::from_millis(10), || panic!("on purpose"));
        let (_, next) = arm(&timer, /*after_ms*/ 20, "next");
        clock.advance(Duration::from_millis(30));
        assert_eq!(next.recv(), Ok("next"));
        assert!(cancelled.try_recv().is_err());
        drop((timer, worker));
    }

    #[test]
    fn the_worker_stops_although_an_armed_action_holds_a_handle() {
        let (worker, timer) = TimerWorker::start(Clock::real()).expect("it starts");
        let held = timer.clone();
        timer.arm_after(Duration::from_secs(3_600), move || {
            let _ = held.armed();
        });
        drop(worker);
        assert_eq!(timer.armed(), 1);
    }

    #[test]
    fn a_new_timer_wakes_a_worker_that_sleeps_for_ever() {
        let (worker, timer) = TimerWorker::start(Clock::real()).expect("it starts");
        for _ in 0..20 {
            let (_, fired) = arm(&timer, /*after_ms*/ 0, "now");
            assert_eq!(fired.recv_timeout(Duration::from_secs(10)), Ok("now"));
        }
        assert_eq!(timer.armed(), 0);
        drop((timer, worker));
    }
}
