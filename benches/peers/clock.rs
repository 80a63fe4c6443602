//! The one place of the bench that reads the clock and starts workers.

use std::time::{Duration, Instant};

/// Now.
#[allow(clippy::disallowed_methods)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Lets real time pass, where what happens in it is the thing measured.
pub(crate) fn let_pass(duration: Duration) {
    let (_keep, never) = crossbeam_channel::bounded::<()>(0);
    let _ = never.recv_timeout(duration);
}

/// In milliseconds.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// In microseconds.
pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// Runs `work` beside the rest until it ends by itself or with the process.
#[allow(clippy::disallowed_methods)]
pub(crate) fn in_background(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(work);
}
