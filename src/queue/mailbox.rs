//! A small queue whose receiver can stop without losing anything: it closes only when it is empty, in one
//! step.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// Both sides of a mailbox; clones reach the same one. Taking never waits.
#[derive(Debug)]
pub struct Mailbox<T>(Arc<Mutex<State<T>>>);

/// Why a mailbox did not take something; here it is again.
#[derive(Debug, PartialEq, Eq)]
pub enum Undelivered<T> {
    /// There is no room now.
    Full(T),
    /// The receiver has stopped.
    Closed(T),
}

#[derive(Debug)]
struct State<T> {
    queue: VecDeque<T>,
    max: usize,
    closed: bool,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Mailbox<T> {
    /// An empty mailbox for at most `max` letters.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Mutex::new(State { queue: VecDeque::new(), max, closed: false })))
    }

    /// Puts a letter in.
    ///
    /// # Errors
    /// The letter, if there is no room or nobody to take it.
    pub fn put(&self, letter: T) -> Result<(), Undelivered<T>> {
        let mut state = lock(&self.0);
        if state.closed {
            return Err(Undelivered::Closed(letter));
        }
        if state.queue.len() >= state.max {
            return Err(Undelivered::Full(letter));
        }
        state.queue.push_back(letter);
        Ok(())
    }

    /// Takes the oldest letter, if there is one.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        lock(&self.0).queue.pop_front()
    }

    /// Whether there is no letter in it now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        lock(&self.0).queue.is_empty()
    }

    /// Closes the mailbox if it is empty. False if there is a letter to take first.
    #[must_use]
    pub fn close_if_empty(&self) -> bool {
        let mut state = lock(&self.0);
        state.closed |= state.queue.is_empty();
        state.closed
    }

    /// Closes the mailbox and gives back what was in it.
    pub fn close(&self) -> Vec<T> {
        let mut state = lock(&self.0);
        state.closed = true;
        state.queue.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_closes_only_when_empty_and_is_bounded() {
        let mailbox = Mailbox::new(/*max*/ 2);
        assert_eq!((mailbox.put(/*letter*/ 1), mailbox.put(/*letter*/ 2)), (Ok(()), Ok(())));
        assert_eq!(mailbox.put(/*letter*/ 3), Err(Undelivered::Full(3)));
        assert!(!mailbox.is_empty() && !mailbox.close_if_empty());
        assert_eq!((mailbox.take(), mailbox.take(), mailbox.take()), (Some(1), Some(2), None));
        assert!(mailbox.close_if_empty());
        assert_eq!(mailbox.put(/*letter*/ 4), Err(Undelivered::Closed(4)));
    }

    #[test]
    fn every_letter_is_either_taken_or_given_back_to_its_sender() {
        for _ in 0..200 {
            let mailbox = Mailbox::new(/*max*/ 1000);
            let sender = mailbox.clone();
            std::thread::scope(|scope| {
                let accepted = scope.spawn(move || (0..100).filter(|&n| sender.put(n).is_ok()).count());
                let mut taken = 0;
                while !mailbox.close_if_empty() {
                    taken += usize::from(mailbox.take().is_some());
                }
                assert_eq!(accepted.join().expect("no panic"), taken);
            });
        }
    }
}
