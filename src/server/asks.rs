//! Requests to clients: approvals, questions, tools that clients carry out.
//!
//! Runs in the processor. A turn asks by an event; the request goes to all subscribers of its thread under
//! one id, and the first answer of one of them settles it. An open request belongs to its turn and ends with
//! it. While nobody is there who could answer, a deadline runs, after which it counts as declined.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::event::Event;
use super::processor::Processor;
use super::replay::Audience;
use super::threads::{LoadedThread, RunningTurn};
use super::unload::arm;
use crate::agent::{Ask, Opening, Outcome, OutcomeSender, ThreadId};
use crate::limits;
use crate::net::ConnectionId;
use crate::proto::{DynamicToolCallParams, ServerRequest, ServerRequestResolved, ThreadActiveFlag};
use crate::rpc::{self, RequestId};
use crate::timer::Key;

/// Which requests are open in the whole process.
#[derive(Debug, Default)]
pub(super) struct Asks {
    /// The next request's id: one counter for the process, from 0, as the reference has it.
    next: i64,
    threads: HashMap<i64, ThreadId>,
}

/// An open request.
#[derive(Debug)]
pub(super) struct OpenAsk {
    id: i64,
    method: &'static str,
    message: Bytes,
    /// For clients without the experimental capability, where that differs.
    stable: Option<Bytes>,
    waits_for: Option<ThreadActiveFlag>,
    outcome: OutcomeSender,
    /// Armed while nobody is there to answer.
    deadline: Option<Key>,
}

impl OpenAsk {
    /// The message for one kind of client.
    fn message_for(&self, experimental: bool) -> Bytes {
        match &self.stable {
            Some(stable) if !experimental => stable.clone(),
            _ => self.message.clone(),
        }
    }
}

impl RunningTurn {
    /// What the turn waits for, each thing once, in the protocol's order.
    pub(super) fn waits_for(&self) -> Vec<ThreadActiveFlag> {
        let mut flags = vec![ThreadActiveFlag::WaitingOnApproval, ThreadActiveFlag::WaitingOnUserInput];
        flags.retain(|flag| self.asks.iter().any(|ask| ask.waits_for == Some(*flag)));
        flags
    }
}

impl Processor {
    /// A turn asks: everybody hears that it waits, subscribers get the request.
    pub(super) fn on_asked(&mut self, id: ThreadId, ask: Ask) {
        let Some(turn) = self.threads.get_mut(id).and_then(|thread| thread.turn.as_mut()) else { return };
        let Ask { method, params, stable_params, waits_for, opening, outcome } = ask;
        let before = turn.waits_for();
        let encoded = if turn.asks.len() < limits::ASKS_OPEN_MAX {
            encode(method, self.asks.next, &params, stable_params.as_deref())
        } else {
            tracing::warn!(thread = %id, method, "too many requests to clients are open; this one fails");
            None
        };
        match encoded {
            Some((message, stable)) => {
                let number = self.asks.next;
                self.asks.next += 1;
                self.asks.threads.insert(number, id);
                turn.asks.push(OpenAsk {
                    id: number,
                    method,
                    message,
                    stable,
                    waits_for,
                    outcome,
                    deadline: None,
                });
                self.tell_waiting(id, &before);
                self.open_item(id, opening);
                self.send_ask(id, number);
                self.reconsider_asks(id);
            }
            None => {
                self.open_item(id, opening);
                outcome.send(Outcome::TooMany);
            }
        }
    }

    /// Shows the item that a request is about.
    fn open_item(&mut self, id: ThreadId, opening: Option<Opening>) {
        let Some(Opening { item, notification }) = opening else { return };
        if let Some(turn) = self.threads.get_mut(id).and_then(|thread| thread.turn.as_mut()) {
            turn.note_item(item);
        }
        if let Some(notification) = &notification {
            self.notify_subscribers(id, notification);
        }
    }

    fn send_ask(&self, id: ThreadId, number: i64) {
        let Some(thread) = self.threads.get(id) else { return };
        let Some(ask) = thread.turn.as_ref().and_then(|turn| turn.asks.iter().find(|ask| ask.id == number))
        else {
            return;
        };
        for session in thread.subscribers.iter().filter_map(|subscriber| self.sessions.get(*subscriber)) {
            session.send(ask.message_for(session.is_experimental()));
        }
    }

    /// Sends a thread's open requests to a client that has come to it, under the ids that they have.
    pub(super) fn replay_asks(&self, connection: ConnectionId, id: ThreadId) {
        let Some(session) = self.sessions.get(connection) else { return };
        let Some(turn) = self.threads.get(id).and_then(|thread| thread.turn.as_ref()) else { return };
        for ask in &turn.asks {
            session.send(ask.message_for(session.is_experimental()));
        }
    }

    /// A client answers. The first answer of a subscriber counts, whatever it says.
    pub(super) fn on_answer(
        &mut self,
        connection: ConnectionId,
        id: &RequestId,
        answer: Result<Box<RawValue>, Box<RawValue>>,
    ) {
        let open = match id {
            RequestId::Integer(number) => self.asks.threads.get(number).map(|thread| (*number, *thread)),
            RequestId::String(_) => None,
        };
        let Some((number, thread)) = open else {
            tracing::debug!(connection = connection.0, ?id, "an answer to nothing that is asked is ignored");
            return;
        };
        if !self.may_answer(connection, thread) {
            tracing::debug!(
                connection = connection.0,
                ?id,
                "an answer of a client that was not asked is ignored"
            );
            return;
        }
        let outcome = answer.map_or_else(Outcome::Error, Outcome::Result);
        self.settle(thread, number, outcome, Some(connection));
    }

    fn may_answer(&self, connection: ConnectionId, thread: ThreadId) -> bool {
        self.threads.get(thread).is_some_and(|thread| thread.subscribers.contains(&connection))
    }

    /// The deadline of a request has passed, unless somebody has come since.
    pub(super) fn on_ask_due(&mut self, thread: ThreadId, number: i64) {
        let open = self.threads.get_mut(thread).and_then(|thread| thread.turn.as_mut());
        let ask = open.and_then(|turn| turn.asks.iter_mut().find(|ask| ask.id == number));
        if ask.is_some_and(|ask| ask.deadline.take().is_some()) {
            tracing::info!(%thread, request = number, "nobody came to decide; it counts as declined");
            self.settle(thread, number, Outcome::Undecided, /*by*/ None);
        }
    }

    /// Ends one request with an outcome: who asked goes on, clients stop showing it.
    fn settle(&mut self, id: ThreadId, number: i64, outcome: Outcome, by: Option<ConnectionId>) {
        let Some(turn) = self.threads.get_mut(id).and_then(|thread| thread.turn.as_mut()) else { return };
        let Some(at) = turn.asks.iter().position(|ask| ask.id == number) else { return };
        let before = turn.waits_for();
        let ask = turn.asks.remove(at);
        if !ask.outcome.send(outcome) {
            // The turn was interrupted and does not listen any more; its end settles what is open.
            turn.asks.insert(at, ask);
            return;
        }
        self.forget(&ask);
        self.tell_resolved(id, &ask, by);
        self.tell_waiting(id, &before);
    }

    /// Ends what a turn that is over has left open.
    pub(super) fn withdraw_asks(&mut self, id: ThreadId, open: Vec<OpenAsk>) {
        for ask in open {
            self.forget(&ask);
            self.tell_resolved(id, &ask, /*by*/ None);
        }
    }

    fn forget(&mut self, ask: &OpenAsk) {
        self.asks.threads.remove(&ask.id);
        if let Some(key) = ask.deadline {
            self.services.timer.cancel(key);
        }
    }

    /// Tells subscribers that a request is settled. Of a tool call, who carried it out is told nothing, as
    /// the reference has it.
    fn tell_resolved(&mut self, id: ThreadId, ask: &OpenAsk, by: Option<ConnectionId>) {
        let resolved = ServerRequestResolved { thread_id: &id.to_string(), request_id: ask.id };
        let audience = match by {
            Some(silent) if ask.method == DynamicToolCallParams::METHOD => Audience::SubscribersBut(silent),
            _ => Audience::Subscribers,
        };
        if let Some(encoded) = self.encode(&resolved) {
            self.tell(id, &encoded, audience);
        }
    }

    /// Tells everybody what a thread waits for, if that is not what it was.
    fn tell_waiting(&mut self, id: ThreadId, before: &[ThreadActiveFlag]) {
        let Some(thread) = self.threads.get(id) else { return };
        if thread.turn.as_ref().is_some_and(|turn| turn.waits_for() != before) {
            let status = thread.status();
            self.broadcast_status(id, &status);
        }
    }

    /// Starts, keeps or stops the deadlines of a thread's open requests, after its subscribers have changed
    /// or something was asked. Where nobody can come any more, they are settled at once.
    pub(super) fn reconsider_asks(&mut self, id: ThreadId) {
        let nobody_comes = self.ending.input_has_ended() || !self.ending.takes_work();
        let Some(thread) = self.threads.get_mut(id) else { return };
        let watched = !thread.subscribers.is_empty() && !self.ending.input_has_ended();
        let Some(turn) = thread.turn.as_mut().filter(|turn| !turn.asks.is_empty()) else { return };
        if watched {
            for key in turn.asks.iter_mut().filter_map(|ask| ask.deadline.take()) {
                self.services.timer.cancel(key);
            }
        } else if nobody_comes {
            let open: Vec<i64> = turn.asks.iter().map(|ask| ask.id).collect();
            for number in open {
                self.settle(id, number, Outcome::Undecided, /*by*/ None);
            }
        } else {
            let deadline = self.services.clock.now().after(self.facts.approval_deadline);
            for ask in turn.asks.iter_mut().filter(|ask| ask.deadline.is_none()) {
                let number = ask.id;
                ask.deadline = Some(arm(&self.services, deadline, move || Event::AskDue(id, number)));
            }
        }
    }

    /// The same for all threads, when the end of the server has begun.
    pub(super) fn reconsider_all_asks(&mut self) {
        let waiting = |thread: &&LoadedThread| thread.turn.as_ref().is_some_and(|turn| !turn.asks.is_empty());
        let threads: Vec<ThreadId> = self.threads.iter().filter(waiting).map(|thread| thread.id).collect();
        for id in threads {
            self.reconsider_asks(id);
        }
    }
}

/// The request as it goes out: for all clients, and for those without the experimental capability where that
/// differs.
fn encode(
    method: &'static str,
    id: i64,
    params: &RawValue,
    stable: Option<&RawValue>,
) -> Option<(Bytes, Option<Bytes>)> {
    let encoded = rpc::request(method, id, &params).and_then(|message| {
        Ok((message, stable.map(|params| rpc::request(method, id, &params)).transpose()?))
    });
    encoded.inspect_err(|error| tracing::error!(method, %error, "a request could not be encoded")).ok()
}
