//! Numbered notifications (an extension, `capabilities.eventReplay`): what is said of a loaded thread has a
//! number each, and a client that lost its connection gets again what it missed.
//!
//! Runs in the processor. Every notification is encoded once; the number is put to its end only if a
//! subscriber wants it, once for all of them. What was said lately is kept, sharing the encoded bytes, once a
//! subscriber wanted numbers, and no longer than the thread is loaded. The upper half of a number is how
//! often the thread was loaded, so a number is never given twice.

use std::cell::OnceCell;
use std::collections::VecDeque;

use super::processor::Processor;
use super::session::Session;
use crate::agent::{Encoded, ThreadId};
use crate::limits;
use crate::net::ConnectionId;
use crate::proto::Notification;

/// Whom a notification about a thread is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// Its subscribers.
    Subscribers,
    /// Its subscribers but one, who knows.
    SubscribersBut(ConnectionId),
    /// Those of them that have the experimental capability.
    Experimental,
    /// Every client.
    Everybody,
}

impl Audience {
    /// True if a subscriber belongs to it.
    fn has(self, subscriber: &Session) -> bool {
        match self {
            Self::Subscribers | Self::Everybody => true,
            Self::SubscribersBut(one) => subscriber.id != one,
            Self::Experimental => subscriber.is_experimental(),
        }
    }
}

/// The numbers of one loaded thread, and what was said lately.
#[derive(Debug)]
pub(super) struct Replay {
    /// The last number.
    seq: u64,
    /// What was said last, newest last, if anybody wants it.
    kept: Option<VecDeque<(Encoded, Audience)>>,
    bytes: usize,
}

impl Replay {
    /// For a thread that is loaded for the `epoch`th time.
    pub(super) fn new(epoch: i64) -> Self {
        let epoch = u64::try_from(epoch).unwrap_or(0);
        Self { seq: epoch << 32, kept: None, bytes: 0 }
    }

    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn keep(&mut self) {
        self.kept.get_or_insert_default();
    }

    /// Numbers a notification, and keeps it within `bytes_max`.
    fn number(&mut self, encoded: &Encoded, audience: Audience, bytes_max: usize) -> u64 {
        self.seq += 1;
        if let Some(kept) = &mut self.kept {
            kept.push_back((encoded.clone(), audience));
            self.bytes += cost(encoded);
            while self.bytes > bytes_max
                && let Some((oldest, _)) = kept.pop_front()
            {
                self.bytes -= cost(&oldest);
            }
        }
        self.seq
    }

    /// What was said after `seq`, with its numbers; none if that is not known any more, or never was.
    fn after(&self, seq: u64) -> Option<impl Iterator<Item = (u64, &Encoded, Audience)>> {
        let kept = self.kept.as_ref()?;
        let first = self.seq + 1 - kept.len() as u64;
        if seq > self.seq || seq + 1 < first {
            return None;
        }
        let skipped = usize::try_from(seq + 1 - first).ok()?;
        let numbered = (first..).zip(kept).skip(skipped);
        Some(numbered.map(|(seq, (encoded, audience))| (seq, encoded, *audience)))
    }
}

/// How much a thread may keep that keeps `own` bytes now, when all threads together keep `all`.
fn bytes_max(own: usize, all: usize) -> usize {
    let room = limits::REPLAY_BYTES_ALL.saturating_sub(all);
    limits::REPLAY_BYTES.min(own + room)
}

/// What keeping a notification costs: its bytes, and the place in the queue.
fn cost(encoded: &Encoded) -> usize {
    encoded.message.len() + size_of::<(Encoded, Audience)>()
}

impl Processor {
    /// Tells clients something about a thread. A thread that is not loaded has no subscribers and no numbers.
    pub(super) fn tell(&mut self, id: ThreadId, encoded: &Encoded, audience: Audience) {
        let all = self.threads.replay_bytes;
        let Some(thread) = self.threads.get_mut(id) else {
            if audience == Audience::Everybody {
                self.sessions.broadcast(encoded);
            }
            return;
        };
        let before = thread.replay.bytes();
        let seq = thread.replay.number(encoded, audience, bytes_max(before, all));
        let after = thread.replay.bytes();
        // Made once, and only if somebody wants it.
        let numbered = OnceCell::new();
        let tell = |session: &Session, counts: bool| {
            if counts && session.wants_seq() {
                session.notify(numbered.get_or_init(|| encoded.with_seq(seq)));
            } else {
                session.notify(encoded);
            }
        };
        if audience == Audience::Everybody {
            self.sessions.broadcast_beside(&thread.subscribers, encoded, |session| tell(session, true));
        } else {
            let subscribers = thread.subscribers.iter().filter_map(|id| self.sessions.get(*id));
            for session in subscribers.filter(|session| audience.has(session)) {
                tell(session, /*counts*/ true);
            }
        }
        self.threads.replay_bytes = self.threads.replay_bytes + after - before;
    }

    /// Sends a notification about a thread to every initialized client.
    pub(super) fn broadcast_of<N: Notification>(&mut self, id: ThreadId, notification: &N) {
        if let Some(encoded) = self.encode(notification) {
            self.tell(id, &encoded, Audience::Everybody);
        }
    }

    /// Keeps what is said of a thread from now on, if this connection wants numbers.
    pub(super) fn keep_for_replay(&mut self, connection: ConnectionId, id: ThreadId) {
        let wanted = self.sessions.get(connection).is_some_and(Session::wants_seq);
        if wanted && let Some(thread) = self.threads.get_mut(id) {
            thread.replay.keep();
        }
    }

    /// The last number of a loaded thread, for a connection that wants numbers.
    pub(super) fn seq_for(&self, connection: ConnectionId, id: ThreadId) -> Option<u64> {
        let session = self.sessions.get(connection)?;
        let thread = self.threads.get(id)?;
        session.wants_seq().then(|| thread.replay.seq())
    }

    /// True if what this connection missed after `seq` can be said again.
    pub(super) fn can_replay(&self, connection: ConnectionId, id: ThreadId, seq: u64) -> bool {
        self.seq_for(connection, id).is_some()
            && self.threads.get(id).is_some_and(|thread| thread.replay.after(seq).is_some())
    }

    /// Says again what a connection missed after `seq`, as it was said.
    pub(super) fn replay_to(&self, connection: ConnectionId, id: ThreadId, seq: u64) {
        let (Some(session), Some(thread)) = (self.sessions.get(connection), self.threads.get(id)) else {
            return;
        };
        for (seq, encoded, audience) in thread.replay.after(seq).into_iter().flatten() {
            if audience.has(session) {
                session.notify(&encoded.with_seq(seq));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn said(replay: &mut Replay, text: &'static str, bytes_max: usize) -> u64 {
        let encoded = Encoded { method: "m", message: Bytes::from_static(text.as_bytes()) };
        replay.number(&encoded, Audience::Subscribers, bytes_max)
    }

    fn after(replay: &Replay, seq: u64) -> Option<Vec<u64>> {
        replay.after(seq).map(|missed| missed.map(|(seq, ..)| seq).collect())
    }

    #[test]
    fn nothing_is_kept_until_somebody_wants_it() {
        let mut replay = Replay::new(/*epoch*/ 2);
        let first = said(&mut replay, "{}", /*bytes_max*/ 1000);
        assert_eq!(first, (2 << 32) + 1);
        assert_eq!((after(&replay, first), replay.bytes()), (None, 0));
        replay.keep();
        assert_eq!(after(&replay, first), Some(vec![]), "nothing was missed");
        assert_eq!(after(&replay, first - 1), None, "it was not kept");
    }

    #[test]
    fn the_oldest_goes_first_and_what_is_gone_is_known() {
        let mut replay = Replay::new(/*epoch*/ 0);
        replay.keep();
        let encoded = Encoded { method: "m", message: Bytes::from_static(b"{}") };
        let room = 3 * cost(&encoded);
        for seq in 1..=5 {
            assert_eq!(said(&mut replay, "{}", room), seq);
        }
        assert_eq!(replay.bytes(), room);
        assert_eq!(after(&replay, /*seq*/ 5), Some(vec![]));
        assert_eq!(after(&replay, /*seq*/ 2), Some(vec![3, 4, 5]));
        assert_eq!(after(&replay, /*seq*/ 1), None);
        assert_eq!(after(&replay, /*seq*/ 6), None, "it was never said");
        assert_eq!(after(&replay, /*seq*/ u64::MAX), None);
        said(&mut replay, "{}", /*bytes_max*/ 0);
        assert_eq!((after(&replay, /*seq*/ 5), after(&replay, /*seq*/ 6)), (None, Some(vec![])));
        assert_eq!(replay.bytes(), 0);
    }

    #[test]
    fn a_thread_keeps_so_much_and_all_together_so_much() {
        assert_eq!(bytes_max(/*own*/ 0, /*all*/ 0), limits::REPLAY_BYTES);
        assert_eq!(bytes_max(limits::REPLAY_BYTES, limits::REPLAY_BYTES), limits::REPLAY_BYTES);
        let mut replay = Replay::new(/*epoch*/ 0);
        replay.keep();
        let one = cost(&Encoded { method: "m", message: Bytes::from_static(b"{}") });
        // The other threads leave room for two.
        let others = limits::REPLAY_BYTES_ALL - 2 * one;
        for (said_so_far, kept) in [(1, 1), (2, 2), (3, 2), (4, 2)] {
            let room = bytes_max(replay.bytes(), others + replay.bytes());
            assert_eq!(said(&mut replay, "{}", room), said_so_far);
            assert_eq!(replay.bytes(), kept * one, "after {said_so_far}");
        }
        assert_eq!((after(&replay, /*seq*/ 1), after(&replay, /*seq*/ 2)), (None, Some(vec![3, 4])));
        // No room at all: it keeps no more than it does, and what it can say again is still right.
        let room = bytes_max(replay.bytes(), limits::REPLAY_BYTES_ALL + one);
        said(&mut replay, "{}", room);
        assert_eq!((replay.bytes(), after(&replay, /*seq*/ 3)), (2 * one, Some(vec![4, 5])));
    }
}
