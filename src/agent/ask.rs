//! Asking the clients in the middle of a turn: approvals, questions, tools that clients carry out.
//!
//! Runs on whichever worker of the turn has something to ask; several may ask at once. The question goes out
//! as an event of the turn, and the one answer comes back through a channel of its own. Who may answer, and
//! when nobody's answer counts as a refusal, is the server's business; here it is only waited for.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use serde_json::value::{RawValue, to_raw_value};

use super::event::{Change, Encoded, EventSink, TurnEvent};
use super::ids::{ThreadId, TurnId};
use crate::model::Cancel;
use crate::proto::{ServerRequest, ThreadActiveFlag, ThreadItem};

/// What became of a question.
#[derive(Debug, Clone, PartialEq)]
pub enum Answered<T> {
    /// A client answered.
    Given(T),
    /// There is no answer that could be used: the client sent an error or something of another shape, or no
    /// more questions could be open. The text says which, for logs; the model is told that the request
    /// failed.
    Failed(String),
    /// Nobody was there to decide for as long as the server waits. Counts as a refusal.
    Undecided,
    /// The turn was interrupted or has ended.
    Withdrawn,
}

/// An item that begins with a question about it: the thread is said to wait before the item is shown.
#[derive(Debug)]
pub struct Opening {
    /// The item.
    pub item: Arc<ThreadItem>,
    /// What subscribers are told.
    pub notification: Option<Encoded>,
}

/// A question on its way to the clients.
#[derive(Debug)]
pub struct Ask {
    /// The request's method.
    pub method: &'static str,
    /// Its parameters.
    pub params: Box<RawValue>,
    /// The parameters for clients without the experimental capability, where they differ.
    pub stable_params: Option<Box<RawValue>>,
    /// What the thread is said to wait for.
    pub waits_for: Option<ThreadActiveFlag>,
    /// The item that begins with it.
    pub opening: Option<Opening>,
    /// The way back.
    pub outcome: OutcomeSender,
}

/// What the server brings back: a client's words are decoded by who asked.
#[derive(Debug)]
pub enum Outcome {
    /// A client's result.
    Result(Box<RawValue>),
    /// A client's error, as it came.
    Error(Box<RawValue>),
    /// More questions are open than the thread may have.
    TooMany,
    /// Nobody was there to decide.
    Undecided,
}

/// Takes one outcome; dropped without one, the question is withdrawn.
#[derive(Debug)]
pub struct OutcomeSender(Sender<Outcome>);

impl OutcomeSender {
    /// Brings the outcome to who asked; never waits. False if nobody waits for it any more.
    pub fn send(&self, outcome: Outcome) -> bool {
        self.0.try_send(outcome).is_ok()
    }
}

/// Asks in the name of one turn. Clones ask for the same one.
#[derive(Clone)]
pub struct Asker {
    thread_id: ThreadId,
    turn_id: TurnId,
    sink: Arc<dyn EventSink>,
}

impl Asker {
    /// Asks for this turn through the sink of its events.
    #[must_use]
    pub fn new(thread_id: ThreadId, turn_id: TurnId, sink: Arc<dyn EventSink>) -> Self {
        Self { thread_id, turn_id, sink }
    }

    /// Asks and waits: for an answer, for the server to say that nobody decides, or for `cancel`, which is
    /// the turn's: an open question is withdrawn with the end of its turn.
    pub fn ask<R: ServerRequest>(
        &self,
        request: &R,
        opening: Option<Opening>,
        cancel: &Cancel,
    ) -> Answered<R::Answer> {
        let (params, stable_params) = match encode(request) {
            Ok(encoded) => encoded,
            Err(error) => return Answered::Failed(format!("the request could not be encoded: {error}")),
        };
        let (sender, outcome) = bounded(1);
        let ask = Ask {
            method: R::METHOD,
            params,
            stable_params,
            waits_for: R::WAITS_FOR,
            opening,
            outcome: OutcomeSender(sender),
        };
        let (thread_id, turn_id) = (self.thread_id, self.turn_id);
        let change = Change::Asked(Box::new(ask));
        if self.sink.tell(TurnEvent { thread_id, turn_id, change, notification: None }).is_err() {
            return Answered::Withdrawn;
        }
        wait::<R>(&outcome, cancel)
    }
}

/// The parameters for all clients, and for those without the experimental capability where that differs.
fn encode<R: ServerRequest>(request: &R) -> serde_json::Result<(Box<RawValue>, Option<Box<RawValue>>)> {
    let stable = request.stable().map(|stable| to_raw_value(&stable)).transpose()?;
    Ok((to_raw_value(request)?, stable))
}

fn wait<R: ServerRequest>(outcome: &Receiver<Outcome>, cancel: &Cancel) -> Answered<R::Answer> {
    // Without an outcome its sender is gone: the turn has ended.
    let outcome = crossbeam_channel::select_biased! {
        recv(cancel.cancelled()) -> _ => None,
        recv(outcome) -> outcome => outcome.ok(),
    };
    match outcome {
        Some(Outcome::Result(result)) => match serde_json::from_str(result.get()) {
            Ok(answer) => Answered::Given(answer),
            Err(error) => Answered::Failed(format!("the answer has another shape: {error}")),
        },
        Some(Outcome::Error(error)) => {
            Answered::Failed(format!("the client answered with an error: {error}"))
        }
        Some(Outcome::TooMany) => Answered::Failed("too many requests are open".to_owned()),
        Some(Outcome::Undecided) => Answered::Undecided,
        None => Answered::Withdrawn,
    }
}
