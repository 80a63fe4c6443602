//! Stopping a turn, or only the answer that it is reading, from other workers.

use std::sync::Mutex;

use crate::clock::Clock;
use crate::model::{Cancel, Canceller, cancellation};
use crate::sync::lock;

/// Why an answer was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The user said something new.
    Steered,
    /// The model has been silent for too long.
    Silent,
}

/// What of a turn can be stopped.
#[derive(Debug)]
pub(super) struct Control {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    turn: Canceller,
    interrupted: bool,
    /// The answer that is being read.
    answer: Option<Canceller>,
    cut: Option<Cut>,
}

impl Control {
    /// The control of a turn, and what stops its tools.
    pub(super) fn new(clock: Clock) -> (Self, Cancel) {
        let (turn, cancel) = cancellation(clock.clone());
        let state = State { turn, interrupted: false, answer: None, cut: None };
        (Self { clock, state: Mutex::new(state) }, cancel)
    }

    /// Stops all of the turn, once and for all.
    pub(super) fn interrupt(&self) {
        let mut state = lock(&self.state);
        state.interrupted = true;
        state.turn.cancel();
        if let Some(answer) = &state.answer {
            answer.cancel();
        }
    }

    /// Stops the answer that is being read; does nothing when none is.
    pub(super) fn cut(&self, why: Cut) {
        self.cut_if(why, || true);
    }

    /// The same where `there_is_reason`, which is looked at while no answer can begin or end.
    pub(super) fn cut_if(&self, why: Cut, there_is_reason: impl FnOnce() -> bool) {
        let mut state = lock(&self.state);
        if let Some(answer) = &state.answer
            && there_is_reason()
        {
            answer.cancel();
            state.cut.get_or_insert(why);
        }
    }

    /// An answer is going to be read: what cuts it. None if there is something to do first; what comes after
    /// that look reaches the answer.
    pub(super) fn begin_answer(&self, nothing_is_left: impl FnOnce() -> bool) -> Option<Cancel> {
        let (canceller, cancel) = cancellation(self.clock.clone());
        let mut state = lock(&self.state);
        if !nothing_is_left() {
            return None;
        }
        if state.interrupted {
            canceller.cancel();
        }
        state.answer = Some(canceller);
        state.cut = None;
        Some(cancel)
    }

    /// The answer is over; says why it was cut, if it was.
    pub(super) fn end_answer(&self) -> Option<Cut> {
        let mut state = lock(&self.state);
        state.answer = None;
        state.cut.take()
    }

    /// True once the turn was stopped.
    pub(super) fn is_interrupted(&self) -> bool {
        lock(&self.state).interrupted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Mailbox;

    #[test]
    fn a_cut_reaches_the_answer_that_is_being_read_and_no_other() {
        let (control, turn) = Control::new(Clock::simulated(/*wall_start_ms*/ 0));
        control.cut(Cut::Steered);
        let first = control.begin_answer(|| true).expect("nothing is left");
        assert!(!first.is_cancelled());
        control.cut(Cut::Steered);
        control.cut(Cut::Silent);
        assert!(first.is_cancelled());
        assert_eq!((control.end_answer(), turn.is_cancelled()), (Some(Cut::Steered), false));
        let second = control.begin_answer(|| true).expect("nothing is left");
        assert_eq!((second.is_cancelled(), control.end_answer()), (false, None));
    }

    #[test]
    fn an_interrupt_stops_everything_from_now_on() {
        let (control, turn) = Control::new(Clock::simulated(/*wall_start_ms*/ 0));
        let answer = control.begin_answer(|| true).expect("nothing is left");
        control.interrupt();
        assert!(turn.is_cancelled() && answer.is_cancelled() && control.is_interrupted());
        assert!(control.begin_answer(|| true).expect("nothing is left").is_cancelled());
    }

    #[test]
    fn what_was_taken_before_an_answer_began_does_not_cut_it() {
        let (control, _turn) = Control::new(Clock::simulated(/*wall_start_ms*/ 0));
        let mailbox = Mailbox::new(/*max*/ 2);
        // Said before the answer begins, and taken; the cut comes late.
        mailbox.put("first").expect("there is room");
        assert!(control.begin_answer(|| mailbox.is_empty()).is_none());
        assert_eq!(mailbox.take(), Some("first"));
        let answer = control.begin_answer(|| mailbox.is_empty()).expect("nothing is left");
        control.cut_if(Cut::Steered, || !mailbox.is_empty());
        assert!(!answer.is_cancelled());
        mailbox.put("second").expect("there is room");
        control.cut_if(Cut::Steered, || !mailbox.is_empty());
        assert_eq!((answer.is_cancelled(), control.end_answer()), (true, Some(Cut::Steered)));
    }
}
