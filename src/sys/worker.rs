//! Named OS threads that are joined when their owner lets go.
//!
//! In identifiers an OS thread is a *worker*; *thread* always means the agent thread of the protocol.

use std::convert::Infallible;
use std::io;
use std::sync::Mutex;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::sync::lock;

/// Linux cuts the name of an OS thread here.
const NAME_BYTES_MAX: usize = 15;

/// An OS thread with a name. Dropping the handle waits for its end, so a worker never outlives its owner:
/// close the worker's inbox first.
#[derive(Debug)]
pub struct Worker {
    name: String,
    handle: Option<JoinHandle<()>>,
    ended: Receiver<Infallible>,
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It returned.
    Returned,
    /// It panicked; the panic was logged where it happened.
    Panicked,
    /// It did not end in time and was left behind; only the end of the process stops it now.
    Late,
}

impl Worker {
    /// Starts a worker with a stack of `stack_bytes` bytes.
    ///
    /// # Errors
    /// The operating system's refusal, for example when there are too many OS threads.
    pub fn spawn(
        name: impl Into<String>,
        stack_bytes: usize,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let name = name.into();
        debug_assert!(name.len() <= NAME_BYTES_MAX, "{name} is longer than an OS thread's name may be");
        // The sender lives in the worker: its drop, also by a panic, is the sign of the end.
        let (alive, ended) = bounded(0);
        let handle = Builder::new().name(name.clone()).stack_size(stack_bytes).spawn(move || {
            let _alive = alive;
            body();
        })?;
        Ok(Self { name, handle: Some(handle), ended })
    }

    /// The worker's name, as the operating system shows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True once the worker's body has returned or panicked.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.handle.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Closed once the worker has ended; nothing is ever sent. For waiting on the end and something else.
    #[must_use]
    pub fn ended(&self) -> &Receiver<Infallible> {
        &self.ended
    }

    /// Waits for the end.
    pub fn join(mut self) -> Ended {
        self.join_now()
    }

    /// Waits for the end, but at most `deadline`; a worker that is late is left behind and named in the log.
    pub fn join_within(mut self, deadline: Duration) -> Ended {
        if self.ended.recv_timeout(deadline) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(worker = %self.name, ?deadline, "worker did not stop in time and is left behind");
            drop(self.handle.take());
            return Ended::Late;
        }
        self.join_now()
    }

    fn join_now(&mut self) -> Ended {
        let Some(handle) = self.handle.take() else { return Ended::Returned };
        if handle.thread().id() == std::thread::current().id() {
            // The last handle was dropped by the worker itself, which is ending.
            return Ended::Returned;
        }
        let _awaited = await_end_of(&self.name);
        if handle.join().is_ok() { Ended::Returned } else { Ended::Panicked }
    }
}

/// Names of the workers whose end somebody waits for now, in the order in which the waiting began: when the
/// end of the process takes long, the last one is what holds it up.
static AWAITED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The workers whose end is waited for now, the longest awaited first.
#[must_use]
pub fn awaited() -> Vec<String> {
    lock(&AWAITED).clone()
}

/// Puts down that the end of a worker is waited for, until the guard is dropped. Joins do this by themselves.
pub fn await_end_of(name: &str) -> Awaiting {
    lock(&AWAITED).push(name.to_owned());
    Awaiting(name.to_owned())
}

/// Somebody waits for the end of a worker.
#[derive(Debug)]
#[must_use = "dropping it says that the wait is over"]
pub struct Awaiting(String);

impl Drop for Awaiting {
    fn drop(&mut self) {
        let mut awaited = lock(&AWAITED);
        if let Some(at) = awaited.iter().rposition(|name| *name == self.0) {
            awaited.remove(at);
        }
    }
}

/// Names of the OS threads of this process as the system knows them; empty where it does not tell.
#[must_use]
pub fn running() -> Vec<String> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
    let mut names: Vec<String> =
        tasks.flatten().filter_map(name).map(|name| name.trim_end().to_owned()).collect();
    names.sort();
    names
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.join_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::STACK_BYTES_IO;

    #[test]
    fn dropping_the_handle_waits_for_the_end() {
        let (stop, stopped) = bounded::<()>(0);
        let (said, heard) = bounded(1);
        let worker = Worker::spawn("w", STACK_BYTES_IO, move || {
            let _ = stopped.recv();
            let _ = said.send("ended");
        })
        .expect("a worker starts");
        assert!(!worker.has_ended());
        drop(stop);
        drop(worker);
        assert_eq!(heard.try_recv(), Ok("ended"));
    }

    #[test]
    fn who_is_waited_for_is_known_by_name() {
        let (stop, stopped) = bounded::<()>(0);
        let awaited_one = Worker::spawn("awaited-one", STACK_BYTES_IO, move || {
            let _ = stopped.recv();
        })
        .expect("a worker starts");
        let ended = awaited_one.ended().clone();
        let joins = Worker::spawn("joins", STACK_BYTES_IO, move || drop(awaited_one));
        let is_awaited = || awaited().contains(&"awaited-one".to_owned());
        // A worker gives itself its name when it begins, which may be after somebody waits for its end.
        while !(is_awaited() && running().contains(&"awaited-one".to_owned())) {
            std::thread::yield_now();
        }
        drop(stop);
        let _ = ended.recv();
        joins.expect("a worker starts").join();
        assert!(!is_awaited());
    }

    #[test]
    fn a_late_worker_is_left_and_a_panicking_one_is_told() {
        let (stop, stopped) = bounded::<()>(0);
        let late = Worker::spawn("late", STACK_BYTES_IO, move || {
            let _ = stopped.recv();
        })
        .expect("a worker starts");
        assert_eq!(late.join_within(Duration::ZERO), Ended::Late);
        drop(stop);
        let panics =
            Worker::spawn("panics", STACK_BYTES_IO, || panic!("on purpose")).expect("a worker starts");
        assert_eq!(panics.join_within(Duration::from_secs(10)), Ended::Panicked);
    }
}
