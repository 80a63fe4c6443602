//! What the model says about its thread's goal: on its way from a tool to whoever keeps the goal, and back.
//!
//! Runs on whichever worker of the turn runs the tool. Where goals are kept, and what a change of one means
//! for the turns to come, is the server's business.

use crossbeam_channel::{Sender, bounded};

use super::event::Change;
use super::stop::Stop;
use super::teller::Teller;
use crate::model::Cancel;
use crate::proto::{ThreadGoal, ThreadGoalStatus};

/// What the model wants with its thread's goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GoalWish {
    /// To see it.
    Read,
    /// To begin a new one, where there is none or it is reached.
    Begin {
        /// What is to be reached.
        objective: String,
        /// Tokens that it may use.
        token_budget: Option<i64>,
    },
    /// To say where it stands.
    Mark(ThreadGoalStatus),
}

/// What comes back: the goal as it is then, or why not, for the model.
pub type GoalAnswer = Result<Option<ThreadGoal>, String>;

/// A wish on its way.
#[derive(Debug)]
pub struct GoalAsk {
    /// What is wanted.
    pub wish: GoalWish,
    /// The way back.
    pub answer: GoalAnswerSender,
}

/// Takes one answer; dropped without one, the wish has come to nothing.
#[derive(Debug)]
pub struct GoalAnswerSender(Sender<GoalAnswer>);

impl GoalAnswerSender {
    /// Brings the answer to who asked; never waits. Who has gone meanwhile does not get it.
    pub fn send(self, answer: GoalAnswer) {
        let _ = self.0.try_send(answer);
    }
}

/// Brings a wish to who keeps the goal, and waits for what becomes of it.
///
/// # Errors
/// [`Stop::Interrupted`] if the turn is interrupted meanwhile, or nobody listens.
pub(super) fn ask(wish: GoalWish, teller: &Teller, cancel: &Cancel) -> Result<GoalAnswer, Stop> {
    let (sender, answer) = bounded(1);
    let ask = GoalAsk { wish, answer: GoalAnswerSender(sender) };
    teller.tell(Change::Goal(Box::new(ask)), /*notification*/ None)?;
    crossbeam_channel::select_biased! {
        recv(cancel.cancelled()) -> _ => Err(Stop::Interrupted),
        recv(answer) -> answer => {
            Ok(answer.unwrap_or_else(|_| Err("the goal could not be written down".to_owned())))
        }
    }
}
