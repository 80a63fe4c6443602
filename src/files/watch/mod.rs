//! Telling of changes: one worker, `watch`, for all watches, on top of the `notify` crate's inotify loop
//! (`notify-rs inotify loop`, an OS thread of that crate, which is there while something is watched).
//!
//! Changes are gathered for [`limits::WATCH_GATHER`] from the first one on and then told together, sorted. A
//! watch tells of its path, and of what is directly in it if it is a directory; the path need not be there.
//! Nothing is polled: without changes nobody wakes up.

mod places;
mod table;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::FileError;
use crate::clock::{Clock, Wait};
use crate::limits;
use crate::sync::lock;
use crate::sys::worker::Worker;
use table::Table;

/// What is called with changed paths; on the worker, which it may hold up.
pub(super) type Tell = Box<dyn FnMut(Vec<PathBuf>) + Send>;

/// The owner's side of the worker. Its drop ends all watches.
#[derive(Debug)]
pub struct Watcher {
    bag: Bag,
    worker: Option<Worker>,
}

/// The worker has too much to do, because a file system takes its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatcherBusy;

/// What the worker has been told and not yet looked at.
#[derive(Debug, Clone)]
struct Bag {
    contents: Arc<Mutex<Contents>>,
    bell: Sender<()>,
}

#[derive(Default)]
struct Contents {
    /// At most twice [`limits::WATCHES_MAX`].
    orders: Vec<Order>,
    seen: Vec<notify::Event>,
    /// More was seen than there is room for, so anything may have changed.
    missed: bool,
    stop: bool,
}

enum Order {
    Watch { number: u64, path: PathBuf, tell: Tell, then: Then },
    Unwatch(u64),
}

/// Told whether a watch stands, before its first change.
type Then = Box<dyn FnOnce(Result<(), FileError>) + Send>;

impl Watcher {
    /// Starts the worker.
    ///
    /// # Errors
    /// The operating system's refusal to start a worker.
    pub fn start(clock: Clock) -> std::io::Result<Self> {
        let (bell, rung) = bounded(1);
        let bag = Bag { contents: Arc::default(), bell };
        let own = bag.clone();
        let worker = Worker::spawn("watch", limits::STACK_BYTES_IO, move || serve(&clock, &own, &rung))?;
        Ok(Self { bag, worker: Some(worker) })
    }

    /// Watches an absolute path under a number that is not in use. `then` hears whether the watch stands,
    /// `tell` of changes from then on. Neither is called after the watcher is gone.
    ///
    /// # Errors
    /// [`WatcherBusy`]: `tell` and `then` were dropped.
    pub fn watch(
        &self,
        number: u64,
        path: PathBuf,
        tell: impl FnMut(Vec<PathBuf>) + Send + 'static,
        then: impl FnOnce(Result<(), FileError>) + Send + 'static,
    ) -> Result<(), WatcherBusy> {
        let order = Order::Watch { number, path, tell: Box::new(tell), then: Box::new(then) };
        self.bag.put(|contents| {
            // An order to unwatch is always taken: there is one for each watch at most.
            let has_room = contents.orders.len() < limits::WATCHES_MAX;
            has_room.then(|| contents.orders.push(order)).ok_or(WatcherBusy)
        })
    }

    /// Ends a watch, if there is one under this number. A change that is being told may still come.
    pub fn unwatch(&self, number: u64) {
        self.bag.put(|contents| contents.orders.push(Order::Unwatch(number)));
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.bag.put(|contents| contents.stop = true);
        if let Some(worker) = self.worker.take() {
            // A file system that hangs must not keep the process from ending.
            worker.join_within(limits::FILE_STOP_DEADLINE);
        }
    }
}

impl Bag {
    fn put<R>(&self, put: impl FnOnce(&mut Contents) -> R) -> R {
        let result = put(&mut lock(&self.contents));
        // A bell that is ringing already is heard.
        let _ = self.bell.try_send(());
        result
    }

    fn take(&self) -> Contents {
        std::mem::take(&mut *lock(&self.contents))
    }

    /// From the loop of `notify`, which must never wait: the worker may be waiting for it.
    fn see(&self, event: notify::Result<notify::Event>) {
        let event = match event {
            Ok(event) if event.kind.is_access() => return,
            Ok(event) => event,
            Err(error) => {
                tracing::debug!(%error, "watching met an error");
                return;
            }
        };
        self.put(|contents| {
            if event.need_rescan() || contents.seen.len() >= limits::WATCH_EVENTS {
                contents.missed = true;
                contents.seen.clear();
            } else if !contents.missed {
                contents.seen.push(event);
            }
        });
    }
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contents").field("orders", &self.orders.len()).finish_non_exhaustive()
    }
}

fn serve(clock: &Clock, bag: &Bag, rung: &Receiver<()>) {
    let seeing = bag.clone();
    let mut table = Table::new(clock.clone(), move |event| seeing.see(event));
    loop {
        if clock.recv_deadline(rung, table.next_due()) == Wait::Closed {
            return;
        }
        let contents = bag.take();
        if contents.stop {
            return;
        }
        // What was seen before an order comes before it: a new watch is not told of the past.
        if contents.missed {
            table.all_may_have_changed();
        }
        for event in &contents.seen {
            table.on_event(event);
        }
        table.look_again();
        for order in contents.orders {
            match order {
                Order::Watch { number, path, tell, then } => then(table.watch(number, path, tell)),
                Order::Unwatch(number) => table.unwatch(number),
            }
        }
        table.tell_what_is_due();
    }
}

#[cfg(test)]
#[path = "../tests/watch.rs"]
mod tests;
