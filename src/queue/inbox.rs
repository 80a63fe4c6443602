//! The inbound queue: all readers fill it, the processor drains it.
//!
//! It is bounded in messages and bytes, as a whole and per connection. A connection that reached its own
//! share waits in its reader, so that its client's socket pushes back; when the whole is full, a request can
//! be handed back to be refused ([`InboxPort::offer`]), and anything else waits ([`InboxPort::send`]).

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::credit::{Charge, Credit};

/// The filling side, from which each connection gets its port.
#[derive(Debug)]
pub struct Inbox<T> {
    sender: Sender<Entry<T>>,
    bytes: Arc<Credit>,
    messages_per_port: usize,
}

/// The draining side, owned by the processor. Its drop turns away everyone who waits.
#[derive(Debug)]
pub struct InboxDrain<T> {
    receiver: Receiver<Entry<T>>,
    bytes: Arc<Credit>,
}

/// One queued message. Its place in the budgets is free again when the entry is dropped or taken apart.
#[derive(Debug)]
pub struct Entry<T> {
    /// What was sent.
    pub item: T,
    /// Held for its drop.
    pub charges: (Charge, Charge),
}

/// One connection's way into the inbox.
#[derive(Debug)]
pub struct InboxPort<T> {
    sender: Sender<Entry<T>>,
    bytes: Arc<Credit>,
    messages: Arc<Credit>,
}

/// Why the inbox did not take a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused<T> {
    /// The whole inbox is full; here is the message.
    Full(T),
    /// The processor has ended.
    Ended,
}

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            bytes: Arc::clone(&self.bytes),
            messages_per_port: self.messages_per_port,
        }
    }
}

impl<T> Inbox<T> {
    /// An inbox of `messages` messages and `bytes` bytes, of which one connection may hold
    /// `messages_per_port` messages.
    #[must_use]
    pub fn new(messages: usize, bytes: usize, messages_per_port: usize) -> (Self, InboxDrain<T>) {
        let (sender, receiver) = bounded(messages);
        let bytes = Credit::new(bytes);
        let drain = InboxDrain { receiver, bytes: Arc::clone(&bytes) };
        (Self { sender, bytes, messages_per_port }, drain)
    }

    /// Messages that wait, of all connections.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.sender.len()
    }

    /// A way in for one more connection.
    #[must_use]
    pub fn port(&self) -> InboxPort<T> {
        InboxPort {
            sender: self.sender.clone(),
            bytes: Arc::clone(&self.bytes),
            messages: Credit::new(self.messages_per_port),
        }
    }
}

impl<T> InboxDrain<T> {
    /// The channel to select on and to receive from.
    #[must_use]
    pub fn receiver(&self) -> &Receiver<Entry<T>> {
        &self.receiver
    }
}

impl<T> Drop for InboxDrain<T> {
    fn drop(&mut self) {
        // First the sign, then the emptying: a sender that slips in between sees the sign at its next
        // message, and one that sleeps is woken by its messages' charges or by the closed byte budget.
        self.bytes.close();
        while self.receiver.try_recv().is_ok() {}
    }
}

impl<T> InboxPort<T> {
    /// Queues `item` of `bytes` bytes, waiting as long as it takes.
    ///
    /// # Errors
    /// [`Refused::Ended`] if the processor has ended.
    pub fn send(&self, item: T, bytes: usize) -> Result<(), Refused<T>> {
        if self.bytes.is_closed() {
            return Err(Refused::Ended);
        }
        let charges = (self.messages.take(/*amount*/ 1), self.bytes.take(bytes));
        // The end may be what made room: then the message would only be thrown away.
        if self.bytes.is_closed() {
            return Err(Refused::Ended);
        }
        self.sender.send(Entry { item, charges }).map_err(|_| Refused::Ended)
    }

    /// Queues `item` of `bytes` bytes if the whole inbox has room, else hands it back. Waits for this
    /// connection's own share.
    ///
    /// # Errors
    /// [`Refused::Full`] with the message, or [`Refused::Ended`].
    pub fn offer(&self, item: T, bytes: usize) -> Result<(), Refused<T>> {
        if self.bytes.is_closed() {
            return Err(Refused::Ended);
        }
        let own = self.messages.take(/*amount*/ 1);
        let Some(shared) = self.bytes.try_take(bytes) else { return Err(Refused::Full(item)) };
        if self.bytes.is_closed() {
            return Err(Refused::Ended);
        }
        match self.sender.try_send(Entry { item, charges: (own, shared) }) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(entry)) => Err(Refused::Full(entry.item)),
            Err(TrySendError::Disconnected(_)) => Err(Refused::Ended),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_inbox_hands_a_request_back_and_loses_nothing() {
        let (inbox, drain) =
            Inbox::new(/*messages*/ 2, /*bytes*/ 1_000, /*messages_per_port*/ 2);
        let (one, two) = (inbox.port(), inbox.port());
        assert_eq!(one.offer("a", /*bytes*/ 1), Ok(()));
        assert_eq!(one.offer("b", /*bytes*/ 1), Ok(()));
        assert_eq!(two.offer("c", /*bytes*/ 1), Err(Refused::Full("c")));
        assert_eq!(drain.receiver().recv().map(|entry| entry.item), Ok("a"));
        assert_eq!(two.offer("c", /*bytes*/ 1), Ok(()));
    }

    #[test]
    fn the_byte_budget_refuses_and_recovers() {
        let (inbox, drain) =
            Inbox::new(/*messages*/ 8, /*bytes*/ 100, /*messages_per_port*/ 8);
        let port = inbox.port();
        assert_eq!(port.offer("large", /*bytes*/ 90), Ok(()));
        assert_eq!(port.offer("next", /*bytes*/ 20), Err(Refused::Full("next")));
        drop(drain.receiver().recv());
        assert_eq!(port.offer("next", /*bytes*/ 20), Ok(()));
    }

    #[test]
    fn a_flooding_connection_waits_while_another_gets_through() {
        let (inbox, drain) =
            Inbox::new(/*messages*/ 64, /*bytes*/ 1_000_000, /*messages_per_port*/ 2);
        let (flood, other) = (inbox.port(), inbox.port());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..100 {
                    flood.send(number, /*bytes*/ 1).expect("the receiver lives");
                }
            });
            while drain.receiver().len() < 2 {
                std::thread::yield_now();
            }
            other.offer(/*item*/ 1_000, /*bytes*/ 1).expect("the flood holds two places only");
            let got: Vec<i32> = drain.receiver().iter().take(101).map(|entry| entry.item).collect();
            assert!(got.iter().position(|&number| number == 1_000).expect("it is there") <= 4);
        });
    }

    #[test]
    fn a_waiting_sender_is_released_when_the_processor_ends() {
        let (inbox, drain) =
            Inbox::new(/*messages*/ 1, /*bytes*/ 1_000, /*messages_per_port*/ 1);
        let port = inbox.port();
        port.send("first", /*bytes*/ 1).expect("there is room");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| port.send("second", /*bytes*/ 1));
            drop(drain);
            assert_eq!(waiting.join().expect("no panic"), Err(Refused::Ended));
        });
    }
}
