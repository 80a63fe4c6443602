//! A way to the client that needs no writer to be woken.
//!
//! A writer that has nothing to do waits; to wake it, let it write and wait again takes several times as
//! long as the writing. So somebody else may write for it meanwhile, without waiting for the client. The
//! outbox sees to it that the two never write at once, and what the client does not take is the writer's to
//! go on with.

use std::sync::Weak;
use std::{fmt, io};

use bytes::Bytes;

use super::{Load, Outbox, Queued, State};
use crate::sync::lock;

/// A way to the client beside the writer, for when the writer has nothing to do.
pub trait Shortcut: fmt::Debug + Send + Sync {
    /// Writes whole messages without waiting. What is left of them comes back, for the writer to go on with.
    ///
    /// # Errors
    /// Nothing at all was written.
    fn write(&self, messages: &[Bytes]) -> io::Result<Bytes>;
}

impl Outbox {
    /// From now on there is a way beside the writer.
    pub fn set_shortcut(&self, shortcut: Weak<dyn Shortcut>) {
        lock(&self.0.state).shortcut = Some(shortcut);
    }

    /// Like [`Self::read_on`], and writes what that brings if the writer has nothing to do and there are at
    /// most `bytes_max` bytes of it: to wake the writer for it would take several times as long.
    pub(in crate::queue) fn read_on_and_write(&self, bytes_max: usize) {
        let shared = &*self.0;
        let mut state = lock(&shared.state);
        let has_nothing_else = state.writer_waits && !state.has_work();
        let shortcut = state.shortcut.as_ref().filter(|_| has_nothing_else).and_then(Weak::upgrade);
        let Some(shortcut) = shortcut else {
            return shared.change_locked(state, |state| shared.read_on(state));
        };
        shared.read_on(&mut state);
        let bytes: usize = state.data.iter().map(|queued| queued.message.len()).sum();
        if bytes > 0 && bytes <= bytes_max {
            // Nobody wakes the writer until this is taken back.
            state.is_lent = true;
            let queued: Vec<Queued> = state.data.drain(..).collect();
            drop(state);
            let messages: Vec<Bytes> = queued.iter().map(|queued| queued.message.clone()).collect();
            let written = shortcut.write(&messages);
            state = lock(&shared.state);
            state.note_written(queued, written);
            state.is_lent = false;
        }
        // It still waits, and may have something to do by now.
        shared.change_locked(state, |_| ());
    }
}

impl State {
    /// The shortcut has written these.
    pub(super) fn note_written(&mut self, queued: Vec<Queued>, written: io::Result<Bytes>) {
        match written {
            Ok(rest) => {
                let bytes = queued.iter().map(|queued| queued.charged).sum();
                let load = Load { messages: queued.len(), bytes };
                if rest.is_empty() {
                    self.load.take(load);
                } else {
                    self.rest = Some((rest, load));
                }
            }
            // Also when the connection was cut meanwhile: then they come before the goodbye.
            Err(_) => queued.into_iter().rev().for_each(|queued| self.data.push_front(queued)),
        }
    }
}
