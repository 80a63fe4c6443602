//! How much streamed output may be on its way to one client: what its writer has not yet written.
//!
//! The credit goes with the message itself and comes back when the last owner of the message lets go: the
//! writer that has written it, or an outbox that was closed. So it is tied to what the client really takes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::exec::SinkWaker;
use crate::sync::lock;

/// The allowance of one connection, shared by its commands.
#[derive(Debug)]
pub(in crate::server) struct OutputCredit {
    max: usize,
    used: AtomicUsize,
    /// Commands that wait for room.
    waiting: Mutex<Vec<SinkWaker>>,
}

/// A message with the credit that it took.
struct Charged {
    message: Bytes,
    credit: Arc<OutputCredit>,
}

impl OutputCredit {
    pub(in crate::server) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, used: AtomicUsize::new(0), waiting: Mutex::default() })
    }

    /// Bytes for which there is room now. If it is zero, the waker is used as soon as there is some.
    pub(super) fn room(&self, waker: Option<&SinkWaker>) -> usize {
        let room = self.free();
        let (0, Some(waker)) = (room, waker) else { return room };
        lock(&self.waiting).push(waker.clone());
        // Room that came before the line above was told to nobody.
        self.free()
    }

    /// The message, as one that counts until it is written.
    pub(super) fn charge(self: &Arc<Self>, message: Bytes) -> Bytes {
        self.used.fetch_add(message.len(), Ordering::SeqCst);
        Bytes::from_owner(Charged { message, credit: Arc::clone(self) })
    }

    fn free(&self) -> usize {
        self.max.saturating_sub(self.used.load(Ordering::SeqCst))
    }

    fn give(&self, amount: usize) {
        let before = self.used.fetch_sub(amount, Ordering::SeqCst);
        // Not for each message: who waits gets half of the credit at once.
        if before - amount <= self.max / 2 {
            for waker in std::mem::take(&mut *lock(&self.waiting)) {
                waker.wake();
            }
        }
    }
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        self.credit.give(self.message.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_until_its_last_owner_lets_go() {
        let credit = OutputCredit::new(/*max*/ 10);
        let message = credit.charge(Bytes::from_static(b"seven  "));
        let shared = message.clone();
        assert_eq!((credit.room(/*waker*/ None), &message[..]), (3, &b"seven  "[..]));
        drop(message);
        assert_eq!(credit.room(/*waker*/ None), 3);
        drop(shared);
        assert_eq!(credit.room(/*waker*/ None), 10);
    }
}
