//! The workers that touch files, such as `fs-0` to `fs-3`: started when there is something to do for them.
//!
//! A file system may take its time, so no file is touched elsewhere. Each owner has a lane in a fair queue
//! ([`crate::queue::FairQueue`]) and at most half of the workers. What must not wait for the file work of
//! others has a pool of its own.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::limits;
use crate::queue::{Access, FairFull, FairLimits, FairQueue, Held, Turn};
use crate::sys::worker::{Ended, Worker};

/// Who asks; work of one owner keeps its order.
pub type Owner = u64;

/// Work that waits for a worker.
pub struct Job(Box<dyn FnOnce(&FileTurn) + Send>);

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job")
    }
}

type Queue = FairQueue<Owner, Job>;

/// A pool. Its drop lets running work end, for a while, and drops what waits.
#[derive(Debug)]
pub struct FilePool {
    name: &'static str,
    queue: Queue,
    workers: Vec<Worker>,
    stopping: Arc<AtomicBool>,
}

/// What running work may ask of the pool.
#[derive(Debug)]
pub struct FileTurn {
    turn: Turn<Owner, Job>,
    stopping: Arc<AtomicBool>,
}

/// Bytes of a result that wait to be taken over by the client; freed when dropped.
pub type HeldBytes = Held<Owner, Job>;

impl FileTurn {
    /// Counts bytes of a result until they are dropped; while an owner has too many of them, its further work
    /// waits. None if all owners together have too many.
    #[must_use]
    pub fn hold(&self, bytes: usize) -> Option<HeldBytes> {
        self.turn.hold(bytes)
    }

    /// True if the process is about to end and long work should be cut short.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

impl FilePool {
    /// A pool without work and workers, which are named by it and their number.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, queue: Self::queue(), workers: Vec::new(), stopping: Arc::default() }
    }

    fn queue() -> Queue {
        FairQueue::new(FairLimits {
            waiting: limits::FILE_JOBS,
            waiting_per_owner: limits::FILE_JOBS_PER_CONNECTION,
            waiting_bytes: limits::FILE_JOB_BYTES,
            running_per_owner: limits::FILE_WORKERS_PER_CONNECTION,
            held_bytes: limits::FILE_ANSWER_BYTES,
            held_bytes_per_owner: limits::FILE_ANSWER_BYTES_PER_CONNECTION,
        })
    }

    /// Queues work that takes `bytes` while it waits; never blocks.
    ///
    /// # Errors
    /// [`FairFull`]: the work was dropped.
    pub fn run(
        &mut self,
        owner: Owner,
        access: Access,
        bytes: usize,
        work: impl FnOnce(&FileTurn) + Send + 'static,
    ) -> Result<(), FairFull> {
        let all_busy = self.queue.push(owner, access, bytes, Job(Box::new(work)))?;
        if all_busy && self.workers.len() < limits::FILE_WORKERS {
            self.start_worker();
        }
        Ok(())
    }

    /// Drops what waits for an owner who is gone.
    pub fn forget(&self, owner: Owner) {
        self.queue.forget(owner);
    }

    fn start_worker(&mut self) {
        let (queue, stopping) = (self.queue.clone(), Arc::clone(&self.stopping));
        let name = format!("{}-{}", self.name, self.workers.len());
        let started = Worker::spawn(name, limits::STACK_BYTES_WORK, move || {
            while let Some((Job(work), turn)) = queue.take() {
                let turn = FileTurn { turn, stopping: Arc::clone(&stopping) };
                // Its panic was logged, and its client has been told by the reply that was lost with it.
                let _ = catch_unwind(AssertUnwindSafe(|| work(&turn)));
            }
        });
        match started {
            Ok(worker) => self.workers.push(worker),
            Err(error) if self.workers.is_empty() => {
                tracing::error!(%error, "no worker for files can be started; file operations are refused");
                // Nobody would ever take it: what waits is dropped, which tells the clients.
                self.queue.close();
                self.queue = Self::queue();
            }
            Err(error) => tracing::warn!(%error, "file operations have to do with fewer workers"),
        }
    }

    /// Ends pools. A file system that hangs must not keep the process from ending, so all their workers
    /// together get one deadline.
    pub fn stop(pools: &mut [&mut Self]) {
        for pool in &mut *pools {
            pool.stopping.store(true, Ordering::Relaxed);
            pool.queue.close();
        }
        let mut deadline = limits::FILE_STOP_DEADLINE;
        for worker in pools.iter_mut().flat_map(|pool| pool.workers.drain(..)) {
            if worker.join_within(deadline) == Ended::Late {
                deadline = Duration::ZERO;
            }
        }
    }
}

impl Drop for FilePool {
    fn drop(&mut self) {
        Self::stop(&mut [self]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn one_owner_cannot_take_all_workers() {
        let mut pool = FilePool::new("fs");
        let (release, released) = bounded::<()>(0);
        for _ in 0..limits::FILE_JOBS_PER_CONNECTION {
            let released = released.clone();
            pool.run(/*owner*/ 1, Access::Shared, /*bytes*/ 1, move |_| {
                let _ = released.recv();
            })
            .expect("there is room");
        }
        // Those that were started have left the queue; it is full again when as many have come.
        let mut refused = 0;
        for _ in 0..limits::FILE_WORKERS {
            refused += usize::from(pool.run(/*owner*/ 1, Access::Shared, /*bytes*/ 1, |_| {}).is_err());
        }
        assert!(refused >= limits::FILE_WORKERS - limits::FILE_WORKERS_PER_CONNECTION);
        let (told, done) = bounded(1);
        pool.run(/*owner*/ 2, Access::Alone, /*bytes*/ 1, move |_| told.send(()).expect("heard"))
            .expect("there is room");
        assert_eq!(done.recv_timeout(PATIENCE), Ok(()));
        assert!(pool.workers.len() <= limits::FILE_WORKERS);
        pool.forget(/*owner*/ 1);
        drop(release);
    }

    #[test]
    fn a_panic_ends_no_worker() {
        let mut pool = FilePool::new("fs");
        for _ in 0..10 {
            pool.run(/*owner*/ 1, Access::Alone, /*bytes*/ 1, |_| panic!("on purpose"))
                .expect("there is room");
        }
        let (told, done) = bounded(1);
        pool.run(/*owner*/ 1, Access::Alone, /*bytes*/ 1, move |_| told.send(()).expect("heard"))
            .expect("there is room");
        assert_eq!(done.recv_timeout(PATIENCE), Ok(()));
    }

    #[test]
    fn long_work_hears_of_the_end() {
        let mut pool = FilePool::new("fs");
        let (started, has_started) = bounded(1);
        pool.run(/*owner*/ 1, Access::Alone, /*bytes*/ 1, move |turn| {
            started.send(()).expect("heard");
            while !turn.is_stopping() {
                std::thread::yield_now();
            }
        })
        .expect("there is room");
        has_started.recv_timeout(PATIENCE).expect("it starts");
        drop(pool);
    }

    #[test]
    fn pools_that_hang_end_within_one_deadline() {
        let (release, released) = bounded::<()>(0);
        let (started, has_started) = bounded(2);
        let hanging = || {
            let mut pool = FilePool::new("fs");
            let (started, released) = (started.clone(), released.clone());
            pool.run(/*owner*/ 1, Access::Alone, /*bytes*/ 1, move |_| {
                started.send(()).expect("heard");
                let _ = released.recv();
            })
            .expect("there is room");
            has_started.recv_timeout(PATIENCE).expect("it starts");
            pool
        };
        let (mut one, mut other) = (hanging(), hanging());
        FilePool::stop(&mut [&mut one, &mut other]);
        assert!(one.workers.is_empty() && other.workers.is_empty(), "they are left behind");
        for pool in [&mut one, &mut other] {
            assert_eq!(pool.run(/*owner*/ 1, Access::Alone, /*bytes*/ 1, |_| {}), Err(FairFull));
        }
        drop(release);
    }
}
