//! The store's worker, and the handle by which others give it jobs.
//!
//! The worker waits for a job and takes what is queued behind it (up to [`limits::STORE_BATCH`]). Writes
//! among that, with the reads between them, are run in order in one transaction, committed, and then told
//! in order. Under load a commit is shared by many jobs; alone a job is committed at once.
//!
//! Each of the two databases, on disk and in memory, has its own order.

use std::any::Any;
use std::io;
use std::iter::Peekable;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded, select};

use super::database::{Access, Database};
use super::error::{StoreError, StoreFull};
use crate::clock::Clock;
use crate::limits;
use crate::obs::metrics::values::STORE_COMMIT_SECONDS;
use crate::sys::worker::{Ended, Worker};

/// The store's worker. Dropping it lets the worker finish what is queued, closes the database and waits for
/// its end; handles that are still around then get [`StoreError::Closed`] or [`StoreFull`].
#[derive(Debug)]
pub struct StoreWorker {
    // Dropped before `worker`, whose drop waits: this is the sign to end.
    stop: Sender<()>,
    worker: Worker,
}

/// Gives jobs to the store. Clones reach the same store; the store also ends when all of them are gone.
#[derive(Debug, Clone)]
pub struct StoreHandle {
    jobs: Sender<Job>,
    place: Place,
    commits: Arc<AtomicU64>,
}

/// Which database a job is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Disk,
    Memory,
}

struct Job {
    place: Place,
    work: Work,
}

/// A job's first half; it gets an error instead of the database when there is none for it.
enum Work {
    Read(ReadWork),
    Write(WriteWork),
}

type ReadWork = Box<dyn FnOnce(Result<&Database, StoreError>) -> Done + Send>;
type WriteWork = Box<dyn FnOnce(Result<&mut Database, StoreError>) -> Done + Send>;

/// A job's result before the commit.
struct Done {
    /// Why the job's writes must not be kept.
    failed: Option<StoreError>,
    tell: Tell,
}

/// A job's second half: told after the commit, with the error if what was done is lost after all.
type Tell = Box<dyn FnOnce(Option<StoreError>)>;

impl StoreWorker {
    /// Starts the worker, which opens the database in `dir` ([`Database::open`]), calls `on_open` with how
    /// that ended, and serves jobs. Jobs can be queued at once. If the database cannot be opened, every job
    /// gets that error, except those of [`StoreHandle::ephemeral`].
    ///
    /// # Errors
    /// The operating system's refusal to start a worker.
    pub fn start(
        dir: PathBuf,
        on_open: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) -> io::Result<(Self, StoreHandle)> {
        let (jobs, queue) = bounded(limits::STORE_JOBS);
        let (stop, stopped) = bounded(0);
        let commits = Arc::new(AtomicU64::new(0));
        let handle = StoreHandle { jobs, place: Place::Disk, commits: Arc::clone(&commits) };
        let worker = Worker::spawn("store", limits::STACK_BYTES_WORK, move || {
            let opened = catch(|| Database::open(&dir)).and_then(|opened| opened);
            if let Err(error) = &opened {
                tracing::error!(%error, "the store did not open");
            }
            let told = opened.as_ref().map(|_| ()).map_err(Clone::clone);
            if let Err(error) = catch(|| on_open(told)) {
                tracing::error!(%error, "what was to follow the store's opening failed");
            }
            Serving { disk: opened, memory: None, commits, fill_later: false, clock: Clock::real() }
                .serve(&queue, &stopped);
        })?;
        Ok((Self { stop, worker }, handle))
    }

    /// Like a drop, but waits for at most `deadline`.
    pub fn stop_within(self, deadline: Duration) -> Ended {
        drop(self.stop);
        self.worker.join_within(deadline)
    }
}

impl StoreHandle {
    /// Queues a job that only reads; never blocks. `then` gets the result on the store's worker, after the
    /// transaction; it may block (it holds up the store while it does), but must not use [`Self::call_read`]
    /// or [`Self::call_write`]. If the store ends before the job runs, `then` is dropped.
    ///
    /// A read sees the writes queued before it. If their commit fails, it gets that error as well.
    ///
    /// # Errors
    /// [`StoreFull`]: the job was not taken.
    pub fn read<T: 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError> + Send + 'static,
        then: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) -> Result<(), StoreFull> {
        self.jobs.try_send(self.reading(work, then)).map_err(refused)
    }

    /// Queues a job that may write; never blocks. `then` as with [`Self::read`], after the commit: what it is
    /// told as done is kept. A job that returns an error or panics leaves no trace and spoils no other job.
    ///
    /// # Errors
    /// [`StoreFull`]: the job was not taken.
    pub fn write<T: 'static>(
        &self,
        work: impl FnOnce(&mut Database) -> Result<T, StoreError> + Send + 'static,
        then: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) -> Result<(), StoreFull> {
        self.jobs.try_send(self.writing(work, then)).map_err(refused)
    }

    /// Runs a job that only reads and waits for its result, also for room in the queue. For turn workers; on
    /// the store's own worker it would wait for itself.
    ///
    /// # Errors
    /// The job's, or [`StoreError::Closed`].
    pub fn call_read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (done, result) = bounded(1);
        self.wait(self.reading(work, move |result| drop(done.send(result))), &result)
    }

    /// Runs a job that may write and waits until it is committed, also for room in the queue. For turn
    /// workers; on the store's own worker it would wait for itself.
    ///
    /// # Errors
    /// The job's, that of the commit, or [`StoreError::Closed`].
    pub fn call_write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (done, result) = bounded(1);
        self.wait(self.writing(work, move |result| drop(done.send(result))), &result)
    }

    /// A handle to a second database of the same worker, for threads that must leave nothing on disk. It
    /// lives in memory, is made on first use, and is gone with the worker.
    #[must_use]
    pub fn ephemeral(&self) -> Self {
        Self { place: Place::Memory, ..self.clone() }
    }

    /// Number of commits so far, of both databases; transactions that only read are not counted.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Number of jobs that wait.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.jobs.len()
    }

    fn reading<T: 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError> + Send + 'static,
        then: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) -> Job {
        let work = Work::Read(Box::new(move |database: Result<&Database, StoreError>| {
            done(database.and_then(|database| catch(|| work(database)).and_then(|result| result)), then)
        }));
        Job { place: self.place, work }
    }

    fn writing<T: 'static>(
        &self,
        work: impl FnOnce(&mut Database) -> Result<T, StoreError> + Send + 'static,
        then: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) -> Job {
        let work = Work::Write(Box::new(move |database: Result<&mut Database, StoreError>| {
            done(database.and_then(|database| catch(|| work(database)).and_then(|result| result)), then)
        }));
        Job { place: self.place, work }
    }

    fn wait<T>(&self, job: Job, result: &Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
        self.jobs.send(job).map_err(|_| StoreError::Closed)?;
        result.recv().unwrap_or(Err(StoreError::Closed))
    }
}

fn refused(_: TrySendError<Job>) -> StoreFull {
    StoreFull
}

fn done<T: 'static>(
    result: Result<T, StoreError>,
    then: impl FnOnce(Result<T, StoreError>) + 'static,
) -> Done {
    let failed = result.as_ref().err().cloned();
    let tell: Tell = Box::new(move |lost| match (result, lost) {
        (Ok(_), Some(error)) => then(Err(error)),
        (result, _) => then(result),
    });
    Done { failed, tell }
}

/// Runs foreign code; its panic is an error, because the worker serves others as well.
fn catch<T>(run: impl FnOnce() -> T) -> Result<T, StoreError> {
    // What a panicking job left half done in the database is rolled back, so nobody sees it.
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| StoreError::Panicked(words(&*panic)))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// The state of the running worker.
struct Serving {
    disk: Result<Database, StoreError>,
    /// None until its first job.
    memory: Option<Result<Database, StoreError>>,
    commits: Arc<AtomicU64>,
    /// The search index is not complete and could not be filled up just now.
    fill_later: bool,
    /// Times the commits.
    clock: Clock,
}

impl Serving {
    /// Serves until all handles are gone, or until it is told to stop; what is queued then is still done.
    /// While there is nothing to do, an older database is indexed.
    fn serve(&mut self, queue: &Receiver<Job>, stopped: &Receiver<()>) {
        let mut filling = true;
        loop {
            let first = if filling {
                match (queue.try_recv(), stopped.try_recv()) {
                    (Ok(job), _) => Ok(job),
                    (Err(TryRecvError::Disconnected), _) => return,
                    (_, Err(TryRecvError::Disconnected)) => break,
                    _ => {
                        filling = self.fill_search();
                        continue;
                    }
                }
            } else {
                select! {
                    recv(queue) -> job => job,
                    recv(stopped) -> _ => break,
                }
            };
            let Ok(first) = first else { return };
            self.run_batch(
                std::iter::once(first).chain(queue.try_iter()).take(limits::STORE_BATCH).collect(),
            );
            filling |= std::mem::take(&mut self.fill_later);
        }
        // Not "until it is empty": others may go on filling it.
        let mut left = queue.len();
        while left > 0 {
            let batch: Vec<Job> = queue.try_iter().take(left.min(limits::STORE_BATCH)).collect();
            if batch.is_empty() {
                return;
            }
            left -= batch.len();
            self.run_batch(batch);
        }
    }

    /// Indexes a little of what an older program wrote; true while there is more. While another process
    /// writes, which may be doing the same, it is left for after the next jobs.
    fn fill_search(&mut self) -> bool {
        let Ok(database) = &mut self.disk else { return false };
        let filled = catch(|| database.fill_search()).and_then(|filled| filled);
        database.rollback();
        self.fill_later = filled == Err(StoreError::Busy);
        if let Err(error) = &filled
            && !self.fill_later
        {
            tracing::warn!(%error, "the search index cannot be filled up");
        }
        filled.unwrap_or(false)
    }

    fn run_batch(&mut self, batch: Vec<Job>) {
        let (disk, memory): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| job.place == Place::Disk);
        let mut disk = disk.into_iter().map(|job| job.work).peekable();
        while let Some(first) = disk.next() {
            let group = group_of(first, &mut disk);
            self.run_group(Place::Disk, group);
        }
        let mut memory = memory.into_iter().map(|job| job.work).peekable();
        while let Some(first) = memory.next() {
            let group = group_of(first, &mut memory);
            self.run_group(Place::Memory, group);
        }
    }

    fn run_group(&mut self, place: Place, jobs: Vec<Work>) {
        let database = match place {
            Place::Disk => &mut self.disk,
            Place::Memory => self.memory.get_or_insert_with(Database::open_in_memory),
        };
        let mut group = Group::begin(database.as_mut().map_err(|error| error.clone()), &jobs);
        let told: Vec<Tell> = jobs.into_iter().map(|work| group.run(work)).collect();
        let began = self.clock.elapsed();
        let ended = group.end();
        if ended == Ok(true) {
            STORE_COMMIT_SECONDS.record(self.clock.elapsed().saturating_sub(began));
            self.commits.fetch_add(1, Ordering::Relaxed);
        }
        let lost = ended.err();
        for tell in told {
            if let Err(error) = catch(|| tell(lost.clone())) {
                tracing::error!(%error, "what was to follow a job of the store failed");
            }
        }
    }
}

/// The jobs that share a transaction with `first`.
///
/// A write takes along what follows it; the reads among that hold their results until the commit, so they are
/// few. A read that no write precedes depends on no commit and is told at once.
fn group_of(first: Work, rest: &mut Peekable<impl Iterator<Item = Work>>) -> Vec<Work> {
    let mut reads_left = match first {
        Work::Read(_) => return vec![first],
        Work::Write(_) => limits::STORE_READS_HELD,
    };
    let mut group = vec![first];
    while let Some(next) = rest.next_if(|next| reads_left > 0 || matches!(next, Work::Write(_))) {
        reads_left -= usize::from(matches!(next, Work::Read(_)));
        group.push(next);
    }
    group
}

/// One transaction and the jobs that share it. Its database becomes an error when nothing can be done in the
/// transaction any more.
struct Group<'a> {
    database: Result<&'a mut Database, StoreError>,
    /// Why jobs that write cannot run, though those that read can.
    read_only: Option<StoreError>,
    writes: bool,
}

impl<'a> Group<'a> {
    fn begin(database: Result<&'a mut Database, StoreError>, jobs: &[Work]) -> Self {
        let mut group = Self { database, read_only: None, writes: false };
        let writes = jobs.iter().any(|work| matches!(work, Work::Write(_)));
        if let Ok(database) = &mut group.database {
            let mut begun = database.begin(if writes { Access::Write } else { Access::Read });
            group.writes = writes && begun.is_ok();
            if writes && let Err(error) = begun {
                // Another process may be writing for long; that is no reason not to read.
                group.read_only = Some(error);
                begun = database.begin(Access::Read);
            }
            if let Err(error) = begun {
                group.database = Err(error);
            }
        }
        group
    }

    fn run(&mut self, work: Work) -> Tell {
        let done = match (work, &mut self.database) {
            (Work::Read(work), Ok(database)) => work(Ok(database)),
            (Work::Read(work), Err(error)) => work(Err(error.clone())),
            (Work::Write(work), Err(error)) => work(Err(error.clone())),
            (Work::Write(work), Ok(database)) => match &self.read_only {
                Some(error) => work(Err(error.clone())),
                None => run_write(work, database),
            },
        };
        if let Ok(database) = &self.database
            && !database.in_transaction()
        {
            // SQLite itself rolled everything back, because it could not go on: a full disk, an I/O error.
            let unknown = || StoreError::Sqlite("the transaction was rolled back".to_owned());
            self.database = Err(done.failed.unwrap_or_else(unknown));
        }
        done.tell
    }

    /// Ends the transaction; true when there was something to commit. An error means that nothing is kept.
    fn end(self) -> Result<bool, StoreError> {
        let database = self.database?;
        let committed = database.commit();
        // After a failed commit the transaction may still be open.
        database.rollback();
        committed.map(|()| self.writes)
    }
}

fn run_write(work: WriteWork, database: &mut Database) -> Done {
    if let Err(error) = database.begin_job() {
        return work(Err(error));
    }
    let done = work(Ok(database));
    if !database.in_transaction() {
        return done;
    }
    let ended = if done.failed.is_some() { database.forget_job() } else { database.keep_job() };
    if let Err(error) = ended {
        tracing::error!(%error, "the store cannot end a job; its group is rolled back");
        database.rollback();
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_is_told_to_stop_does_what_is_queued_first() {
        // More than once: between a job and the sign to stop the worker chooses at random.
        for _ in 0..50 {
            let (jobs, queue) = bounded(limits::STORE_JOBS);
            let (stop, stopped) = bounded(0);
            let commits = Arc::new(AtomicU64::new(0));
            let handle = StoreHandle { jobs, place: Place::Memory, commits: Arc::clone(&commits) };
            let (told, results) = bounded(limits::STORE_JOBS);
            for number in 0..limits::STORE_BATCH + 1 {
                let told = told.clone();
                handle
                    .read(|_| Ok(()), move |_| told.send(number).expect("there is room"))
                    .expect("there is room");
            }
            drop(stop);
            let mut serving = Serving {
                disk: Err(StoreError::Closed),
                memory: None,
                commits,
                fill_later: false,
                clock: Clock::real(),
            };
            serving.serve(&queue, &stopped);
            assert!(results.try_iter().eq(0..=limits::STORE_BATCH));
        }
    }
}
