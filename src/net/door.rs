//! What the connections of one listener share: limits, permits, and the list of those that are open.
//!
//! Used by the accept worker and by each connection's reader. The lock is held for the moment of an insertion
//! or a removal, never across I/O on a connection.

use std::collections::HashMap;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::auth::Authenticator;
use super::link::Link;
use super::listener::Wiring;
use super::metrics::Scrape;
use super::readiness::Readiness;
use super::ws_reader::shutting_down;
use super::{ConnectionId, ConnectionIds, NetInbox, Transport};
use crate::config::net::NetConfig;
use crate::limits;
use crate::sync::lock;
use crate::sys::worker::Worker;
use crate::timer::TimerHandle;

/// What the connections of one listener share.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) config: NetConfig,
    pub(crate) auth: Authenticator,
    pub(crate) transport: Transport,
    pub(crate) inbox: NetInbox,
    pub(crate) ids: ConnectionIds,
    pub(crate) timer: TimerHandle,
    pub(crate) readiness: Readiness,
    pub(crate) scrape: Scrape,
    taken: Arc<AtomicUsize>,
    open: Mutex<HashMap<ConnectionId, Open>>,
    changed: Condvar,
    is_hurried: AtomicBool,
}

/// One open connection; its reader takes it off the list as its last deed.
#[derive(Debug)]
struct Open {
    link: Arc<Link>,
    _reader: Worker,
}

/// The right to be one of the open connections, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    taken: Arc<AtomicUsize>,
    /// True if the connection is above the maximum and exists only to be told so.
    pub(crate) is_surplus: bool,
}

impl Door {
    pub(crate) fn new(config: NetConfig, auth: Authenticator, transport: Transport, wiring: Wiring) -> Self {
        let Wiring { inbox, ids, timer, readiness, scrape } = wiring;
        Self {
            config,
            auth,
            transport,
            inbox,
            ids,
            timer,
            readiness,
            scrape,
            taken: Arc::default(),
            open: Mutex::default(),
            changed: Condvar::new(),
            is_hurried: AtomicBool::new(false),
        }
    }

    /// A permit for one more connection, if there is one.
    pub(crate) fn permit(&self) -> Option<Permit> {
        let max = self.config.connections_max + limits::CONNECTIONS_REFUSED_AT_ONCE;
        let before = self
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| (taken < max).then_some(taken + 1))
            .ok()?;
        let is_surplus = before >= self.config.connections_max;
        Some(Permit { taken: Arc::clone(&self.taken), is_surplus })
    }

    /// Starts the connection's reader and lists the connection.
    pub(crate) fn open(
        &self,
        link: Arc<Link>,
        start: impl FnOnce() -> std::io::Result<Worker>,
    ) -> std::io::Result<()> {
        // Under the lock, so that a reader that ends at once finds itself on the list.
        let mut open = lock(&self.open);
        let reader = start()?;
        open.insert(link.id(), Open { link, _reader: reader });
        Ok(())
    }

    /// Takes a connection off the list.
    pub(crate) fn forget(&self, id: ConnectionId) {
        // Dropped outside of the lock: it holds the calling reader's own handle.
        let _gone = lock(&self.open).remove(&id);
        self.changed.notify_all();
    }

    /// How many connections are open.
    pub(crate) fn count(&self) -> usize {
        lock(&self.open).len()
    }

    /// How many connections are open, and the bytes that wait for their clients.
    pub(crate) fn queued(&self) -> (usize, usize) {
        let open = lock(&self.open);
        let outboxes = open.values().filter_map(|open| open.link.outbox());
        (open.len(), outboxes.map(|outbox| outbox.bytes_queued()).sum())
    }

    /// Says goodbye to everyone behind what is queued for them (the end of a turn, perhaps), and waits until
    /// all are gone; who has not taken it within `delivery`, or soon after [`Self::hurry`], loses the rest.
    pub(crate) fn close_all(&self, delivery: Duration) {
        for open in lock(&self.open).values() {
            match open.link.outbox() {
                Some(outbox) => outbox.finish(shutting_down()),
                // The reader wakes and can still answer.
                None => open.link.shut(Shutdown::Read),
            }
        }
        let is_hurried = || self.is_hurried.load(Ordering::Acquire);
        if self.wait_until_empty(delivery, is_hurried)
            || (is_hurried() && self.wait_until_empty(limits::FORCED_DELIVERY_DEADLINE, || false))
        {
            return;
        }
        for open in lock(&self.open).values() {
            open.link.shut(Shutdown::Both);
        }
        if !self.wait_until_empty(limits::WORKER_STOP_DEADLINE, || false) {
            tracing::warn!(connections = self.count(), "connections did not end in time and are left behind");
            // Their workers are left behind like any late worker: a join would wait for ever.
            for (_, open) in lock(&self.open).drain() {
                std::mem::forget(open);
            }
        }
    }

    /// Whoever stops the server waits for nobody any more.
    pub(crate) fn hurry(&self) {
        // Under the lock, so that who is about to wait does not miss it.
        let open = lock(&self.open);
        self.is_hurried.store(true, Ordering::Release);
        drop(open);
        self.changed.notify_all();
    }

    fn wait_until_empty(&self, deadline: Duration, unless: impl Fn() -> bool) -> bool {
        let open = lock(&self.open);
        let (open, _) = self
            .changed
            .wait_timeout_while(open, deadline, |open| !open.is_empty() && !unless())
            .unwrap_or_else(PoisonError::into_inner);
        open.is_empty()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
    }
}
