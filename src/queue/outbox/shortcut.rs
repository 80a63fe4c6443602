//! A way to the client that needs no writer to be woken.
//!
//! A writer that has nothing to do waits; to wake it, let it write and wait again takes several times as
//! long as the writing. So somebody else may write for it meanwhile, without waiting for the client. The
//! outbox sees to it that the two never write at once, and what the client does not take is the writer's to
//! go on with.

use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard, Weak};
use std::{fmt, io};

use bytes::Bytes;

use super::{Load, Outbox, Queued, Shared, State};
use crate::sync::lock;

/// A way to the client beside the writer, for when the writer has nothing to do.
pub trait Shortcut: fmt::Debug + Send + Sync {
    /// Writes whole messages, `size` bytes in all, without waiting. What is left of them comes back, for the
    /// writer to go on with.
    ///
    /// # Errors
    /// Nothing at all was written.
    fn write(&self, messages: &mut dyn ExactSizeIterator<Item = &[u8]>, size: usize) -> io::Result<Bytes>;
}

impl Outbox {
    /// From now on there is a way beside the writer.
    pub fn set_shortcut(&self, shortcut: Weak<dyn Shortcut>) {
        lock(&self.0.state).shortcut = Some(shortcut);
    }

    /// Like [`Self::read_on`], and writes what there is if the writer has nothing to do and there are at most
    /// `bytes_max` bytes of it: to wake the writer for it would take several times as long.
    pub(in crate::queue) fn read_on_and_write(&self, bytes_max: usize) {
        let mut state = lock(&self.0.state);
        self.0.read_on(&mut state);
        self.0.write_or_wake(state, bytes_max);
    }
}

impl Shared {
    /// Writes what is queued in place of a writer that waits, if there are at most `bytes_max` bytes of it;
    /// else wakes the writer.
    pub(super) fn write_or_wake<'a>(&'a self, mut state: MutexGuard<'a, State>, bytes_max: usize) {
        if let Some((shortcut, bytes)) = state.shortcut_for(bytes_max) {
            // Nobody wakes the writer until this is taken back.
            state.is_lent = true;
            let mut queued = std::mem::take(&mut state.data);
            drop(state);
            let written = shortcut.write(&mut queued.iter().map(|queued| &*queued.message), bytes);
            state = lock(&self.state);
            state.note_written(&mut queued, written);
            if state.data.is_empty() {
                // With the room that it has.
                state.data = queued;
            }
            state.is_lent = false;
        }
        // It still waits, and may have something to do by now.
        self.wake(state);
    }
}

impl State {
    /// The way beside the writer, if it may be taken for what is queued, and how much that is.
    fn shortcut_for(&self, bytes_max: usize) -> Option<(Arc<dyn Shortcut>, usize)> {
        let is_plain = self.control.is_empty() && self.rest.is_none() && self.closing.is_none();
        if bytes_max == 0 || !self.is_wake_due() || !is_plain {
            return None;
        }
        let bytes: usize = self.data.iter().map(|queued| queued.message.len()).sum();
        let shortcut = self.shortcut.as_ref().filter(|_| bytes <= bytes_max)?;
        Some((shortcut.upgrade()?, bytes))
    }

    /// The shortcut has written these; what it has not is put back.
    pub(super) fn note_written(&mut self, queued: &mut VecDeque<Queued>, written: io::Result<Bytes>) {
        match written {
            Ok(rest) => {
                let bytes = queued.iter().map(|queued| queued.charged).sum();
                let load = Load { messages: queued.len(), bytes };
                queued.clear();
                if rest.is_empty() {
                    self.load.take(load);
                } else {
                    self.rest = Some((rest, load));
                }
            }
            // Also when the connection was cut meanwhile: then they come before the goodbye.
            Err(_) => queued.drain(..).rev().for_each(|queued| self.data.push_front(queued)),
        }
    }
}
