//! Sessions: what the processor knows of each connection.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::commands::OutputCredit;
use crate::agent::{Encoded, ThreadId};
use crate::limits;
use crate::net::{ConnectionId, Opened, Transport};
use crate::queue::{BroadcastLimits, Broadcaster, Closing, Outbox};
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
    /// It takes what everybody is told from the shared log.
    listens: bool,
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
    pub(super) opted_out: Arc<HashSet<Box<str>>>,
}

impl Session {
    fn new(opened: Opened) -> Self {
        Self {
            id: opened.id,
            transport: opened.transport,
            client: None,
            subscriptions: BTreeSet::new(),
            opened,
            listens: false,
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
#[derive(Debug)]
pub(super) struct Sessions {
    all: HashMap<ConnectionId, Session>,
    everybody: Broadcaster,
    /// Those that take what everybody is told from the shared log.
    listening: usize,
    /// Those that do not, because they make the processor wait: stdio.
    waited_for: Vec<ConnectionId>,
}

impl Default for Sessions {
    fn default() -> Self {
        let limits = BroadcastLimits {
            messages: limits::BROADCAST_MESSAGES,
            bytes: limits::BROADCAST_BYTES,
            at_once: limits::BROADCAST_AT_ONCE,
            written_bytes: limits::BROADCAST_WRITTEN_BYTES,
            pause: limits::BROADCAST_PAUSE,
            stack_bytes: limits::STACK_BYTES_IO,
        };
        Self {
            all: HashMap::new(),
            everybody: Broadcaster::new(limits),
            listening: 0,
            waited_for: Vec::new(),
        }
    }
}

impl Sessions {
    pub(super) fn open(&mut self, opened: Opened) {
        self.all.insert(opened.id, Session::new(opened));
    }

    /// Makes a client one that hears what everybody is told.
    pub(super) fn introduce(&mut self, id: ConnectionId, mut client: Client) {
        let Some(session) = self.all.get_mut(&id) else { return };
        if client.opted_out.len() > limits::OPT_OUT_METHODS_MAX {
            tracing::warn!(connection = id.0, "too many opted-out methods; the list is ignored");
            client.opted_out = Arc::default();
        }
        session.listens = self.everybody.join(id.0, session.outbox(), Arc::clone(&client.opted_out));
        session.client = Some(client);
        if session.listens {
            self.listening += 1;
        } else {
            self.waited_for.push(id);
        }
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&Session> {
        self.all.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Session> {
        self.all.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Session> {
        let session = self.all.remove(&id)?;
        if session.listens {
            self.everybody.leave(id.0);
            self.listening -= 1;
        }
        self.waited_for.retain(|other| *other != id);
        Some(session)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.all.values()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Sends to every initialized client.
    pub(super) fn broadcast(&mut self, notification: &Encoded) {
        self.broadcast_beside(&[], notification, |_| ());
    }

    /// Sends to every initialized client; to some of them at once, by `tell`, and to the others when they
    /// come by or the shared log's worker does.
    pub(super) fn broadcast_beside(
        &mut self,
        some: &[ConnectionId],
        notification: &Encoded,
        tell: impl Fn(&Session),
    ) {
        let some_sessions = || some.iter().filter_map(|id| self.all.get(id));
        let told = some_sessions().filter(|session| session.listens).count();
        let number = (told < self.listening).then(|| self.everybody.next_number());
        for session in some_sessions() {
            if let Some(number) = number.filter(|_| session.listens) {
                session.outbox().pass_over(number);
            }
            tell(session);
        }
        for id in self.waited_for.iter().filter(|id| !some.contains(id)) {
            if let Some(session) = self.all.get(id) {
                session.notify(notification);
            }
        }
        if number.is_some()
            && let Err(error) = self.everybody.tell(notification.method, notification.message.clone())
        {
            tracing::warn!(%error, "no worker for broadcasts; the processor hands them out");
        }
    }
}
