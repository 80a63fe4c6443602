//! Finding files by a few letters: each search has a worker of its own, `search-N`, which walks the folders
//! and ranks what it finds meanwhile.
//!
//! Folders are walked once. A new query starts with what was found so far and goes on with the walk; it does
//! not wait for the old one to finish. Ignored files (`.gitignore`, `.ignore`), `.git` itself and what is
//! behind symbolic links are left out.

mod found;
mod ranking;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use crate::clock::{Clock, Monotonic};
use crate::limits;
use crate::queue::Credit;
use crate::sys::worker::Worker;
use found::{Finding, Found};
use ranking::{Ranker, Ranking};

/// A file or directory that matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The folder that it was found in, as it was asked for.
    pub root: Arc<str>,
    /// The path below the folder.
    pub path: String,
    /// Where the last part of the path begins, in bytes.
    pub name_at: usize,
    /// It is a directory.
    pub is_directory: bool,
    /// How well it matches; more is better.
    pub score: u32,
    /// The characters of the path that match, counted from 0, sorted.
    pub indices: Vec<u32>,
}

/// What a search has to say about a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The query.
    pub query: String,
    /// The best matches so far, best first; none if they are those that were told last.
    pub matches: Option<Vec<Match>>,
    /// All was looked at.
    pub is_complete: bool,
}

/// A running search. Its drop ends it and waits for the worker; [`Search::stop`] does not wait.
#[derive(Debug)]
pub struct Search {
    // Dropped before the worker, which ends when it is.
    queries: Option<Sender<String>>,
    overtaken: Receiver<String>,
    stopping: Arc<AtomicBool>,
    worker: Option<Worker>,
}

/// Memory for the paths of all searches together; clones share it.
#[derive(Debug, Clone)]
pub struct SearchMemory(Arc<Credit>);

impl Default for SearchMemory {
    fn default() -> Self {
        Self(Credit::new(limits::SEARCH_BYTES))
    }
}

impl Search {
    /// Starts to walk the folders; there is nothing to tell before the first query. `tell` runs on the
    /// worker.
    ///
    /// # Errors
    /// The operating system's refusal to start a worker.
    pub fn start(
        number: u64,
        roots: Vec<String>,
        memory: &SearchMemory,
        clock: Clock,
        tell: impl FnMut(Progress) + Send + 'static,
    ) -> std::io::Result<Self> {
        let memory = memory.clone();
        Self::spawn(number, move |stopping, queries| {
            let engine = Engine::new(roots, &memory);
            Session { engine, queries, stopping, clock, told_at: None, tell }.run();
        })
    }

    /// Looks for one query and tells what was found in the end, or until it was stopped.
    ///
    /// # Errors
    /// The operating system's refusal to start a worker.
    pub fn once(
        number: u64,
        roots: Vec<String>,
        query: String,
        memory: &SearchMemory,
        tell: impl FnOnce(Vec<Match>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let memory = memory.clone();
        Self::spawn(number, move |stopping, _queries| {
            let mut engine = Engine::new(roots, &memory);
            engine.look_for(query);
            while !engine.is_complete() && !stopping.load(Ordering::Relaxed) {
                engine.step();
            }
            tell(engine.best());
        })
    }

    fn spawn(
        number: u64,
        body: impl FnOnce(Arc<AtomicBool>, Receiver<String>) + Send + 'static,
    ) -> std::io::Result<Self> {
        // One place: a query that was not taken up yet is overtaken by the next one.
        let (queries, asked) = bounded(1);
        let (overtaken, stopping) = (asked.clone(), Arc::new(AtomicBool::new(false)));
        let stop = Arc::clone(&stopping);
        let name = format!("search-{}", number % 1_000_000);
        let worker = Worker::spawn(name, limits::STACK_BYTES_WORK, move || body(stop, asked))?;
        Ok(Self { queries: Some(queries), overtaken, stopping, worker: Some(worker) })
    }

    /// From now on looks for this. Nothing more is told about the query before, at the latest after what is
    /// being told.
    pub fn look_for(&self, query: String) {
        let Some(queries) = &self.queries else { return };
        let mut query = query;
        // The worker only takes away, so the second try finds room at the latest.
        while let Err(refused) = queries.try_send(query) {
            if self.overtaken.try_recv() == Err(TryRecvError::Disconnected) {
                return;
            }
            query = refused.into_inner();
        }
    }

    /// Tells the worker to end, and gives it to whoever waits for that.
    #[must_use]
    pub fn stop(mut self) -> Option<Worker> {
        self.tell_to_end();
        self.worker.take()
    }

    fn tell_to_end(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.queries = None;
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        self.tell_to_end();
        if let Some(worker) = self.worker.take() {
            // A file system that hangs must not keep the process from ending.
            worker.join_within(limits::FILE_STOP_DEADLINE);
        }
    }
}

/// Walks and ranks in small steps.
struct Engine {
    finding: Finding,
    found: Found,
    ranker: Ranker,
    ranking: Option<Ranking>,
}

impl Engine {
    fn new(roots: Vec<String>, memory: &SearchMemory) -> Self {
        let found = Found::new(Arc::clone(&memory.0));
        Self { finding: Finding::new(roots), found, ranker: Ranker::new(), ranking: None }
    }

    fn look_for(&mut self, query: String) {
        self.ranking = Some(Ranking::new(query));
    }

    /// Some milliseconds of work.
    fn step(&mut self) {
        self.finding.step(&mut self.found);
        if let Some(ranking) = &mut self.ranking {
            self.ranker.step(ranking, &self.found);
        }
    }

    /// True if everything was found and ranked.
    fn is_complete(&self) -> bool {
        self.finding.is_over() && self.ranking.as_ref().is_none_or(|ranking| ranking.is_over(&self.found))
    }

    fn best(&mut self) -> Vec<Match> {
        self.ranking.as_ref().map_or_else(Vec::new, |ranking| self.ranker.best(ranking, &self.found))
    }
}

/// A search that is asked again and again.
struct Session<T> {
    engine: Engine,
    queries: Receiver<String>,
    stopping: Arc<AtomicBool>,
    clock: Clock,
    /// When the query was last told of.
    told_at: Option<Monotonic>,
    tell: T,
}

impl<T: FnMut(Progress)> Session<T> {
    fn run(&mut self) {
        // Whether there is nothing to do until the next query.
        let mut rests = false;
        while !self.stopping.load(Ordering::Relaxed) {
            let query = if rests {
                self.queries.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                self.queries.try_recv()
            };
            match query {
                Ok(query) => {
                    self.engine.look_for(query);
                    self.told_at = None;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return,
            }
            self.engine.step();
            rests = self.engine.is_complete();
            self.tell_progress(rests);
        }
    }

    /// Tells of better matches at once, then at most every [`limits::SEARCH_UPDATE_INTERVAL`]; always of the
    /// end.
    fn tell_progress(&mut self, is_complete: bool) {
        let Some(ranking) = &mut self.engine.ranking else { return };
        let now = self.clock.now();
        let is_due = self.told_at.is_none_or(|at| now >= at.after(limits::SEARCH_UPDATE_INTERVAL));
        let is_worth_it = is_complete || (ranking.has_changed() && is_due);
        if !is_worth_it {
            return;
        }
        let is_news = ranking.take_change() || self.told_at.is_none();
        let query = ranking.query().to_owned();
        let matches = is_news.then(|| self.engine.best());
        self.told_at = Some(now);
        (self.tell)(Progress { query, matches, is_complete });
    }
}

#[cfg(test)]
#[path = "../tests/search.rs"]
mod tests;
