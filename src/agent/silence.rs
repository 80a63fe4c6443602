//! The watchdog: an answer in which the model says nothing for too long is cut.
//!
//! Everything that the model says counts. Tools are not watched here: each has a deadline of its own, or
//! waits for a person.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::control::{Control, Cut};
use crate::clock::Monotonic;
use crate::limits;
use crate::timer::TimerHandle;

/// Watches one answer; dropping it ends that.
pub(super) struct SilenceWatch(Arc<Watched>);

struct Watched {
    timer: TimerHandle,
    control: Arc<Control>,
    heard_at_ms: AtomicU64,
    over: AtomicBool,
}

impl SilenceWatch {
    pub(super) fn start(timer: &TimerHandle, control: Arc<Control>) -> Self {
        let now = timer.clock().now();
        let watched = Arc::new(Watched {
            timer: timer.clone(),
            control,
            heard_at_ms: AtomicU64::new(now.0),
            over: AtomicBool::new(false),
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
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// One timer at a time: it looks when the silence may have been long enough, not at every word. It holds the
/// watch weakly, so that what is left in the wheel after the answer is small.
fn arm(watched: &Arc<Watched>, deadline: Monotonic) {
    let weak = Arc::downgrade(watched);
    watched.timer.arm(deadline, move || {
        let Some(watched) = weak.upgrade() else { return };
        if watched.over.load(Ordering::Relaxed) {
            return;
        }
        let heard_at = Monotonic(watched.heard_at_ms.load(Ordering::Relaxed));
        let due = heard_at.after(limits::TURN_SILENCE_MAX);
        if due <= watched.timer.clock().now() {
            watched.control.cut(Cut::Silent);
        } else {
            arm(&watched, due);
        }
    });
}
