//! Time as an input: a monotonic and a wall clock, real or simulated.
//!
//! Everything that depends on time takes a [`Clock`]. The simulated one stands still until a test moves it,
//! and tells its waiters when it does; with it thirty minutes of idle time take no time.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::sync::lock;

/// Monotonic time since the clock was made, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// This moment plus a duration; a sub-millisecond rest is rounded up, so that a deadline is never early.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let ms = duration.as_micros().div_ceil(1000);
        Self(self.0.saturating_add(u64::try_from(ms).unwrap_or(u64::MAX)))
    }

    /// Time from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Why a wait on the clock ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait<T> {
    /// The channel had this.
    Got(T),
    /// The deadline passed.
    TimedOut,
    /// The channel is closed.
    Closed,
}

/// A clock; clones share the same time.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Real { start: Instant },
    Simulated(Mutex<Simulated>),
}

#[derive(Debug)]
struct Simulated {
    now_ms: u64,
    wall_start_ms: u64,
    /// One slot each: a waiter that sleeps on the simulated clock is woken to look again.
    waiters: Vec<Sender<()>>,
}

/// The real clock's reading of a moment is taken here and nowhere else.
#[allow(clippy::disallowed_methods)]
mod os {
    use super::{Instant, SystemTime};

    pub(super) fn instant() -> Instant {
        Instant::now()
    }

    pub(super) fn system() -> SystemTime {
        SystemTime::now()
    }
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn real() -> Self {
        Self(Arc::new(Kind::Real { start: os::instant() }))
    }

    /// A clock that stands at `wall_start_ms` (Unix time, milliseconds) until [`Clock::advance`].
    #[must_use]
    pub fn simulated(wall_start_ms: u64) -> Self {
        Self(Arc::new(Kind::Simulated(Mutex::new(Simulated {
            now_ms: 0,
            wall_start_ms,
            waiters: Vec::new(),
        }))))
    }

    /// Monotonic time since the clock was made.
    #[must_use]
    pub fn now(&self) -> Monotonic {
        match &*self.0 {
            Kind::Real { start } => Monotonic(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)),
            Kind::Simulated(simulated) => Monotonic(lock(simulated).now_ms),
        }
    }

    /// Time since the clock was made, as exactly as there is: to measure how long something takes.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        match &*self.0 {
            Kind::Real { start } => start.elapsed(),
            Kind::Simulated(simulated) => Duration::from_millis(lock(simulated).now_ms),
        }
    }

    /// Unix time in milliseconds.
    #[must_use]
    pub fn wall_ms(&self) -> i64 {
        let ms = match &*self.0 {
            Kind::Real { .. } => os::system()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            Kind::Simulated(simulated) => {
                let simulated = lock(simulated);
                simulated.wall_start_ms.saturating_add(simulated.now_ms)
            }
        };
        i64::try_from(ms).unwrap_or(i64::MAX)
    }

    /// The time of day as exactly as there is one.
    #[must_use]
    pub fn wall_time(&self) -> SystemTime {
        match &*self.0 {
            Kind::Real { .. } => os::system(),
            Kind::Simulated(_) => {
                UNIX_EPOCH + Duration::from_millis(u64::try_from(self.wall_ms()).unwrap_or_default())
            }
        }
    }

    /// Moves a simulated clock on and wakes everyone who waits on it. Does nothing to a real clock.
    pub fn advance(&self, by: Duration) {
        if let Kind::Simulated(simulated) = &*self.0 {
            let mut simulated = lock(simulated);
            simulated.now_ms =
                simulated.now_ms.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX));
            for waiter in simulated.waiters.drain(..) {
                // A full slot means that the waiter is being woken already.
                let _ = waiter.try_send(());
            }
        }
    }

    /// Waits for a message, or until `deadline` on this clock; without a deadline, until there is one.
    ///
    /// On a simulated clock the wait ends when a test has moved the clock to the deadline.
    pub fn recv_deadline<T>(&self, receiver: &Receiver<T>, deadline: Option<Monotonic>) -> Wait<T> {
        let Some(deadline) = deadline else {
            return receiver.recv().map_or(Wait::Closed, Wait::Got);
        };
        match &*self.0 {
            Kind::Real { start } => {
                let at = *start + Duration::from_millis(deadline.0);
                match receiver.recv_deadline(at) {
                    Ok(message) => Wait::Got(message),
                    Err(RecvTimeoutError::Timeout) => Wait::TimedOut,
                    Err(RecvTimeoutError::Disconnected) => Wait::Closed,
                }
            }
            Kind::Simulated(simulated) => recv_simulated(simulated, receiver, deadline),
        }
    }
}

fn recv_simulated<T>(simulated: &Mutex<Simulated>, receiver: &Receiver<T>, deadline: Monotonic) -> Wait<T> {
    loop {
        let moved = {
            let mut simulated = lock(simulated);
            if simulated.now_ms >= deadline.0 {
                return match receiver.try_recv() {
                    Ok(message) => Wait::Got(message),
                    Err(_) => Wait::TimedOut,
                };
            }
            let (sender, moved) = bounded(1);
            simulated.waiters.push(sender);
            moved
        };
        crossbeam_channel::select! {
            recv(receiver) -> message => return message.map_or(Wait::Closed, Wait::Got),
            recv(moved) -> _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_clock_stands_still_until_it_is_moved() {
        let clock = Clock::simulated(/*wall_start_ms*/ 1_000);
        assert_eq!((clock.now(), clock.wall_ms()), (Monotonic(0), 1_000));
        clock.advance(Duration::from_secs(2));
        assert_eq!((clock.now(), clock.wall_ms()), (Monotonic(2_000), 3_000));
    }

    #[test]
    fn a_deadline_is_never_early() {
        assert_eq!(Monotonic(5).after(Duration::from_micros(1)), Monotonic(6));
        assert_eq!(Monotonic(5).since(Monotonic(9)), Duration::ZERO);
    }

    #[test]
    fn a_wait_ends_when_the_simulated_clock_reaches_it() {
        let clock = Clock::simulated(/*wall_start_ms*/ 0);
        let (sender, receiver) = bounded::<u8>(1);
        let waiting = clock.clone();
        let (told, tell) = bounded(1);
        std::thread::scope(|scope| {
            scope.spawn(move || told.send(waiting.recv_deadline(&receiver, Some(Monotonic(1_000)))));
            clock.advance(Duration::from_millis(999));
            assert!(tell.try_recv().is_err());
            clock.advance(Duration::from_millis(1));
            assert_eq!(tell.recv(), Ok(Wait::TimedOut));
        });
        drop(sender);
    }

    #[test]
    fn a_message_beats_the_deadline_that_passed_with_it() {
        let clock = Clock::simulated(/*wall_start_ms*/ 0);
        let (sender, receiver) = bounded(1);
        sender.send(7).expect("there is room");
        assert_eq!(clock.recv_deadline(&receiver, Some(Monotonic(0))), Wait::Got(7));
    }
}
