//! The watchdog: an answer in which the model says nothing for too long is cut.
//!
//! Everything that the model says counts. Tools are not watched here: each has a deadline of its own, or
//! waits for a person.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::control::{Control, Cut};
use crate::clock::Monotonic;
use crate::limits;
use crate::sync::lock;
use crate::timer::{Key, TimerHandle};

/// Watches one answer; dropping it ends that.
pub(super) struct SilenceWatch(Arc<Watched>);

struct Watched {
    timer: TimerHandle,
    control: Arc<Control>,
    heard_at_ms: AtomicU64,
    alarm: Mutex<Alarm>,
}

/// The one timer of a watch.
enum Alarm {
    None,
    Set(Key),
    /// The answer is over; none is set any more.
    Over,
}

impl SilenceWatch {
    pub(super) fn start(timer: &TimerHandle, control: Arc<Control>) -> Self {
        let now = timer.clock().now();
        let watched = Arc::new(Watched {
            timer: timer.clone(),
            control,
            heard_at_ms: AtomicU64::new(now.0),
            alarm: Mutex::new(Alarm::None),
        });
        arm(&watched, now.after(limits::TURN_SILENCE_MAX));
        Self(watched)
    }

    /// The model said something.
    pub(super) fn heard(&self) {
        self.0.heard_at_ms.store(self.0.timer.clock().now().0, Ordering::Relaxed);
    }
}

impl Drop for SilenceWatch {
    fn drop(&mut self) {
        let alarm = std::mem::replace(&mut *lock(&self.0.alarm), Alarm::Over);
        if let Alarm::Set(key) = alarm {
            self.0.timer.cancel(key);
        }
    }
}

/// One timer at a time: it looks when the silence may have been long enough, not at every word.
fn arm(watched: &Arc<Watched>, deadline: Monotonic) {
    let weak = Arc::downgrade(watched);
    let mut alarm = lock(&watched.alarm);
    if matches!(*alarm, Alarm::Over) {
        return;
    }
    *alarm = Alarm::Set(watched.timer.arm(deadline, move || {
        let Some(watched) = weak.upgrade() else { return };
        let heard_at = Monotonic(watched.heard_at_ms.load(Ordering::Relaxed));
        let due = heard_at.after(limits::TURN_SILENCE_MAX);
        if due > watched.timer.clock().now() {
            arm(&watched, due);
        } else if !matches!(*lock(&watched.alarm), Alarm::Over) {
            watched.control.cut(Cut::Silent);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::timer::TimerWorker;

    #[test]
    fn nothing_is_left_in_the_wheel_after_the_answer() {
        let clock = Clock::simulated(/*wall_start_ms*/ 0);
        let (_worker, timer) = TimerWorker::start(clock.clone()).expect("a worker");
        for _ in 0..3 {
            let (control, _cancel) = Control::new(clock.clone());
            let watch = SilenceWatch::start(&timer, Arc::new(control));
            assert_eq!(timer.armed(), 1);
            drop(watch);
            assert_eq!(timer.armed(), 0);
        }
    }
}
