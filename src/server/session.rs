//! Sessions: what the processor knows of each connection.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::commands::OutputCredit;
use crate::agent::{Encoded, ThreadId};
use crate::limits;
use crate::net::{ConnectionId, Opened, Transport};
use crate::queue::{Closing, Outbox};
use crate::rpc::{OpenRequests, Reply, RequestId};

/// One connection's session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: ConnectionId,
    pub(super) transport: Transport,
    /// Set by `initialize`, once.
    pub(super) client: Option<Client>,
    /// The threads whose events it gets.
    pub(super) subscriptions: BTreeSet<ThreadId>,
    opened: Opened,
    open: OpenRequests,
    credit: Arc<OutputCredit>,
}

/// What a client said of itself.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
    /// It asked for the experimental part of the protocol.
    pub(super) experimental: bool,
    /// It wants numbers on notifications, to get again what it misses.
    pub(super) event_replay: bool,
    /// Notifications that it does not want.
    pub(super) opted_out: HashSet<Box<str>>,
}

impl Session {
    fn new(opened: Opened) -> Self {
        Self {
            id: opened.id,
            transport: opened.transport,
            client: None,
            subscriptions: BTreeSet::new(),
            opened,
            open: OpenRequests::default(),
            credit: OutputCredit::new(limits::COMMANDS_CREDIT_BYTES),
        }
    }

    /// The duty to answer a request of this session.
    pub(super) fn reply(&self, id: RequestId) -> Reply {
        Reply::new(id, self.opened.outbox.clone(), &self.open)
    }

    /// What this session's commands may have under way.
    pub(super) fn credit(&self) -> &Arc<OutputCredit> {
        &self.credit
    }

    /// The queue to this client, for what is pushed by others than the processor.
    pub(super) fn outbox(&self) -> &Outbox {
        &self.opened.outbox
    }

    /// Requests of this session that are not answered yet.
    pub(super) fn open_requests(&self) -> usize {
        self.open.count()
    }

    /// Lets the transport know that the client has said who it is.
    pub(super) fn admit(&self) {
        self.opened.admission.admit();
    }

    /// Makes the client one that hears broadcasts.
    pub(super) fn introduce(&mut self, mut client: Client) {
        if client.opted_out.len() > limits::OPT_OUT_METHODS_MAX {
            tracing::warn!(connection = self.id.0, "too many opted-out methods; the list is ignored");
            client.opted_out.clear();
        }
        self.client = Some(client);
    }

    /// True if the client wants numbers on what it is told of the threads it subscribes to.
    pub(super) fn wants_seq(&self) -> bool {
        self.client.as_ref().is_some_and(|client| client.event_replay)
    }

    /// True if the client has the experimental capability.
    pub(super) fn is_experimental(&self) -> bool {
        self.client.as_ref().is_some_and(|client| client.experimental)
    }

    /// True for an initialized client that has not opted out of this notification.
    pub(super) fn wants(&self, method: &str) -> bool {
        self.client.as_ref().is_some_and(|client| !client.opted_out.contains(method))
    }

    /// Sends a notification to a client that wants it.
    pub(super) fn notify(&self, notification: &Encoded) {
        if self.wants(notification.method) {
            self.opened.outbox.push(notification.message.clone());
        }
    }

    /// Sends a message that answers nothing in particular: an error for something undecodable.
    pub(super) fn send(&self, message: Bytes) {
        self.opened.outbox.push(message);
    }

    /// Ends the connection after everything that is queued has been written.
    pub(super) fn finish(&self, closing: Closing) {
        self.opened.outbox.finish(closing);
    }
}

/// All sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<ConnectionId, Session>);

impl Sessions {
    pub(super) fn open(&mut self, opened: Opened) {
        self.0.insert(opened.id, Session::new(opened));
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&Session> {
        self.0.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Session> {
        self.0.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Session> {
        self.0.remove(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.0.values()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Sends to every initialized client.
    pub(super) fn broadcast(&self, notification: &Encoded) {
        for session in self.0.values() {
            session.notify(notification);
        }
    }
}
