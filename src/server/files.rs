//! The processor's side of file work: what connections have open, and the way to the workers and back.
//!
//! Everything here runs in the processor and only sends; what touches files runs where [`crate::files`] says.

use std::collections::HashMap;

use serde::de::DeserializeOwned;

use super::Event;
use super::dispatch::{Caller, decode_params, not_initialized};
use super::handlers::skills::SkillWatch;
use super::processor::Processor;
use crate::agent::Encoded;
use crate::files::{FilePool, FileTurn, Owner, Search, SearchMemory, Watcher};
use crate::limits;
use crate::net::ConnectionId;
use crate::queue::{Access, FairFull};
use crate::rpc::{Answer, Params, Reply, RpcError};

/// What file work the processor has going.
pub(super) struct Files {
    /// Does what clients want with files.
    pool: FilePool,
    /// Looks at configurations, projects and skills, and changes the configuration and the account: threads
    /// begin with a look, which must not wait for what others do with files.
    looks: FilePool,
    /// Started with the first watch.
    watcher: Option<Watcher>,
    /// The number of each watch, by connection and the client's name for it.
    watches: HashMap<ConnectionId, HashMap<String, u64>>,
    searches: HashMap<(ConnectionId, SearchName), OpenSearch>,
    /// What is watched because clients were told of skills.
    pub(super) skills: SkillWatch,
    pub(super) search_memory: SearchMemory,
    last_number: u64,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            pool: FilePool::new("fs"),
            looks: FilePool::new("look"),
            watcher: None,
            watches: HashMap::new(),
            searches: HashMap::new(),
            skills: SkillWatch::default(),
            search_memory: SearchMemory::default(),
            last_number: 0,
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        FilePool::stop(&mut [&mut self.pool, &mut self.looks]);
    }
}

/// Who looks. The work of each is done in its order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Looker {
    /// For a client.
    Connection(ConnectionId),
    /// For nobody: clients are told of what has changed.
    Own,
    /// For whoever signs in or out: there is one key for all clients.
    Account,
}

impl Looker {
    /// Its name in the pool; connections are numbered from zero.
    fn owner(self) -> Owner {
        match self {
            Self::Connection(connection) => connection.0,
            Self::Own => Owner::MAX,
            Self::Account => Owner::MAX - 1,
        }
    }
}

/// How a search is found again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum SearchName {
    /// By the client's name for its session.
    Session(String),
    /// By the client's cancellation token.
    Token(String),
    /// Not at all.
    Number(u64),
}

/// A running search. Its number tells it from others that had its name.
struct OpenSearch {
    number: u64,
    search: Search,
}

/// A method that runs on a file worker: it answers by the reply, on that worker.
pub(super) type FileHandler<P> = fn(Reply, P, &FileTurn) -> Answer;

impl Files {
    /// A number that nothing had before.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Looks, on a worker, alone among what the same one has to look at.
    ///
    /// # Errors
    /// There is no room: the work was dropped.
    pub(super) fn look(
        &mut self,
        looker: Looker,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), FairFull> {
        self.looks.run(looker.owner(), Access::Alone, /*bytes*/ 0, move |_| work())
    }

    /// Notes a watch under a new number.
    ///
    /// # Errors
    /// The name is in use, or there are too many watches.
    pub(super) fn begin_watch(&mut self, connection: ConnectionId, name: &str) -> Result<u64, WatchRefusal> {
        let total: usize = self.watches.values().map(HashMap::len).sum();
        let own = self.watches.get(&connection);
        if own.is_some_and(|own| own.contains_key(name)) {
            return Err(WatchRefusal::InUse);
        }
        if own.map_or(0, HashMap::len) >= limits::WATCHES_PER_CONNECTION {
            return Err(WatchRefusal::TooManyHere);
        }
        if total >= limits::WATCHES_MAX {
            return Err(WatchRefusal::TooMany);
        }
        let number = self.next_number();
        self.watches.entry(connection).or_default().insert(name.to_owned(), number);
        Ok(number)
    }

    /// True if the name still stands for the watch with this number.
    pub(super) fn is_watch(&self, connection: ConnectionId, name: &str, number: u64) -> bool {
        self.watches.get(&connection).and_then(|own| own.get(name)) == Some(&number)
    }

    /// Ends a watch, if there is one.
    pub(super) fn end_watch(&mut self, connection: ConnectionId, name: &str) {
        let Some(own) = self.watches.get_mut(&connection) else { return };
        let number = own.remove(name);
        if own.is_empty() {
            self.watches.remove(&connection);
        }
        if let (Some(number), Some(watcher)) = (number, &self.watcher) {
            watcher.unwatch(number);
        }
    }
}

/// Why a watch is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WatchRefusal {
    InUse,
    TooManyHere,
    TooMany,
}

impl Processor {
    /// Lets a file worker decode the parameters, which may be large, do the work and encode the answer.
    pub(super) fn run_on_files<P: DeserializeOwned + 'static>(
        &mut self,
        caller: Caller,
        access: Access,
        reply: Reply,
        params: Params,
        handler: FileHandler<P>,
    ) {
        let is_initialized =
            self.sessions.get(caller.connection).is_some_and(|session| session.client.is_some());
        let bytes = params.as_ref().map_or(0, |params| params.get().len());
        let events = self.services.events.clone();
        let reply = reply.queueing();
        // A queue without room drops the work and the reply in it, which then answers by itself.
        let _ = self.files.pool.run(caller.connection.0, access, bytes, move |turn| {
            let reply = reply.arrived();
            // The order of the checks is that of all methods.
            let decoded = decode_params(&params);
            drop(params);
            let answer = match decoded {
                Ok(_) if !is_initialized => reply.encode(Err::<(), _>(not_initialized())),
                Ok(params) => handler(reply, params, turn),
                Err(error) => reply.encode(Err::<(), _>(error)),
            };
            events.tell(Event::Answer(answer));
        });
    }

    /// Does `work` on a worker, behind what others want with the account's file, and the rest in the
    /// processor, in the same order.
    pub(super) fn change_account_file<R: Send + 'static>(
        &mut self,
        reply: Reply,
        work: impl FnOnce() -> R + Send + 'static,
        rest: impl FnOnce(&mut Self, Reply, R) + Send + 'static,
    ) {
        let events = self.services.events.clone();
        let reply = reply.queueing();
        // A queue without room drops the work and the reply in it, which then answers by itself.
        let _ = self.files.look(Looker::Account, move || {
            let reply = reply.arrived();
            let outcome = work();
            events.tell(Event::Then(Box::new(move |processor| rest(processor, reply, outcome))));
        });
    }

    /// The worker for watches, started if it is not there.
    pub(super) fn watcher(&mut self) -> Result<&Watcher, RpcError> {
        if self.files.watcher.is_none() {
            let started = Watcher::start(self.services.clock.clone());
            let refused = |error| RpcError::internal(format!("cannot start the worker for watches: {error}"));
            self.files.watcher = Some(started.map_err(refused)?);
        }
        self.files.watcher.as_ref().ok_or_else(|| RpcError::internal("the worker for watches is gone"))
    }

    /// Starts a search under a name, in place of what has the name. It gets a number, which it has to name
    /// when it has something to say.
    pub(super) fn begin_search(
        &mut self,
        connection: ConnectionId,
        name: SearchName,
        start: impl FnOnce(&Self, u64) -> std::io::Result<Search>,
    ) -> Result<(), RpcError> {
        self.end_search(connection, &name, /*number*/ None);
        let own = self.files.searches.keys().filter(|(owner, _)| *owner == connection).count();
        if own >= limits::SEARCHES_PER_CONNECTION {
            let most = limits::SEARCHES_PER_CONNECTION;
            return Err(RpcError::limit(format!(
                "this connection has {most} file searches already; stop one with fuzzyFileSearch/sessionStop"
            )));
        }
        if self.files.searches.len() >= limits::SEARCHES_MAX {
            return Err(RpcError::limit("too many file searches run on this server; retry later"));
        }
        let number = self.files.next_number();
        let refused = |error| RpcError::internal(format!("cannot start a worker for the search: {error}"));
        let search = start(self, number).map_err(refused)?;
        self.files.searches.insert((connection, name), OpenSearch { number, search });
        Ok(())
    }

    /// The search that has this name, with its number.
    pub(super) fn search(&self, connection: ConnectionId, name: &SearchName) -> Option<(u64, &Search)> {
        let open = self.files.searches.get(&(connection, name.clone()))?;
        Some((open.number, &open.search))
    }

    /// Ends the search that has this name, or only if it has this number as well.
    pub(super) fn end_search(&mut self, connection: ConnectionId, name: &SearchName, number: Option<u64>) {
        let key = (connection, name.clone());
        let is_meant = self
            .files
            .searches
            .get(&key)
            .is_some_and(|open| number.is_none_or(|number| number == open.number));
        if is_meant && let Some(open) = self.files.searches.remove(&key) {
            self.leaving.extend(open.search.stop());
        }
    }

    /// Sends what a watch or a session has to say to its client.
    pub(super) fn tell_client(&self, connection: ConnectionId, notification: &Encoded) {
        if let Some(session) = self.sessions.get(connection) {
            session.notify(notification);
        }
    }

    /// Lets go of what a connection that is gone has open.
    pub(super) fn release_files(&mut self, connection: ConnectionId) {
        self.files.pool.forget(connection.0);
        self.files.looks.forget(connection.0);
        let watches = self.files.watches.remove(&connection).unwrap_or_default();
        if let Some(watcher) = &self.files.watcher {
            watches.into_values().for_each(|number| watcher.unwatch(number));
        }
        let names = self.files.searches.keys().filter(|(owner, _)| *owner == connection);
        for (_, name) in names.cloned().collect::<Vec<_>>() {
            self.end_search(connection, &name, /*number*/ None);
        }
    }
}
