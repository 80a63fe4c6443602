//! A value that one OS thread changes while another waits for it to become something.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A value with a bell.
#[derive(Debug, Default)]
pub(crate) struct Watched<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    /// A look at the value as it is now.
    pub(crate) fn now(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the value and rings the bell.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.now());
        self.changed.notify_all();
        result
    }

    /// Looks at the value after each change until `look` finds something, at most for `deadline`.
    pub(crate) fn wait<R>(&self, deadline: Duration, mut look: impl FnMut(&mut T) -> Option<R>) -> Option<R> {
        let mut found = None;
        let waited = self.changed.wait_timeout_while(self.now(), deadline, |value| {
            found = look(value);
            found.is_none()
        });
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        found
    }
}
