//! A counted allowance: who wants to queue something takes from it, who has dealt with it gives back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use crate::sync::{lock, wait};

/// An allowance of `max` units (messages, bytes) shared by takers and givers.
///
/// One amount larger than `max` is let through when nothing else is out: otherwise it could never pass, and
/// the allowance is a bound on how much piles up, not on how large one thing is.
#[derive(Debug)]
pub struct Credit {
    max: usize,
    used: AtomicUsize,
    closed: AtomicBool,
    // The takers that sleep. A giver looks at it after giving, a taker counts itself before it looks again,
    // both sequentially consistent: one of the two sees the other.
    sleeping: AtomicUsize,
    gate: Mutex<()>,
    changed: Condvar,
}

/// Units taken from a [`Credit`], given back when dropped.
#[derive(Debug)]
pub struct Charge {
    credit: Arc<Credit>,
    amount: usize,
}

impl Credit {
    /// An allowance of `max` units.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            used: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            sleeping: AtomicUsize::new(0),
            gate: Mutex::new(()),
            changed: Condvar::new(),
        })
    }

    /// Units that are out.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes `amount` if there is room now.
    #[must_use]
    pub fn try_take(self: &Arc<Self>, amount: usize) -> Option<Charge> {
        self.used
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |used| {
                let after = used.saturating_add(amount);
                (used == 0 || after <= self.max || self.is_closed()).then_some(after)
            })
            .ok()
            .map(|_| Charge { credit: Arc::clone(self), amount })
    }

    /// Takes `amount`, waiting for room.
    #[must_use]
    pub fn take(self: &Arc<Self>, amount: usize) -> Charge {
        if let Some(charge) = self.try_take(amount) {
            return charge;
        }
        let mut gate = lock(&self.gate);
        self.sleeping.fetch_add(1, Ordering::SeqCst);
        let charge = loop {
            if let Some(charge) = self.try_take(amount) {
                break charge;
            }
            gate = wait(&self.changed, gate);
        };
        self.sleeping.fetch_sub(1, Ordering::SeqCst);
        charge
    }

    /// Lets everyone through from now on: what the allowance protected is gone.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let _gate = lock(&self.gate);
        self.changed.notify_all();
    }

    /// True after [`Credit::close`].
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn give(&self, amount: usize) {
        self.used.fetch_sub(amount, Ordering::SeqCst);
        if self.sleeping.load(Ordering::SeqCst) > 0 {
            let _gate = lock(&self.gate);
            self.changed.notify_all();
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.credit.give(self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_limit_nothing_more_is_let_through() {
        let credit = Credit::new(/*max*/ 10);
        let six = credit.try_take(/*amount*/ 6).expect("there is room");
        assert!(credit.try_take(/*amount*/ 5).is_none());
        let four = credit.try_take(/*amount*/ 4).expect("exactly full");
        drop((six, four));
        assert_eq!(credit.used(), 0);
    }

    #[test]
    fn one_amount_above_the_limit_passes_alone() {
        let credit = Credit::new(/*max*/ 10);
        let large = credit.try_take(/*amount*/ 1_000).expect("nothing else is out");
        assert!(credit.try_take(/*amount*/ 1).is_none());
        drop(large);
        assert!(credit.try_take(/*amount*/ 1).is_some());
    }

    #[test]
    fn a_taker_waits_for_a_giver_under_contention() {
        let credit = Credit::new(/*max*/ 3);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let charge = credit.take(/*amount*/ 2);
                        assert!(credit.used() <= 3);
                        drop(charge);
                    }
                });
            }
        });
        assert_eq!(credit.used(), 0);
    }
}
