//! Work of many owners for few workers: each owner has a lane of its own, and the workers go from lane to
//! lane, so one owner's long queue costs only itself.
//!
//! What is [`Access::Shared`] runs side by side, up to a bound; what is [`Access::Alone`] waits for all
//! before it, and all after it wait for it: an owner that reads what it has just written finds it. What has a
//! large result, [`Access::Bulky`], also waits while too many bytes of its owner's results are not taken over
//! yet ([`Turn::hold`]); other shared work may overtake it.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex};

use crate::sync::{lock, wait};

/// Whether work may run beside other work of its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Beside other shared work.
    Shared,
    /// The same, with a result that may be large.
    Bulky,
    /// With nothing else of its owner.
    Alone,
}

/// The bounds of a [`FairQueue`].
#[derive(Debug, Clone, Copy)]
pub struct FairLimits {
    /// Work that waits, all owners together.
    pub waiting: usize,
    /// Work of one owner that waits.
    pub waiting_per_owner: usize,
    /// Bytes of work that waits, all owners together. One piece is let in however large.
    pub waiting_bytes: usize,
    /// Work of one owner that runs.
    pub running_per_owner: usize,
    /// Bytes of results that are held, all owners together.
    pub held_bytes: usize,
    /// Bytes of results held for one owner at which its bulky work rests.
    pub held_bytes_per_owner: usize,
}

/// There is no room for more work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FairFull;

/// The queue; clones are the same one.
#[derive(Debug)]
pub struct FairQueue<K: Key, T>(Arc<Shared<K, T>>);

/// What names an owner.
pub trait Key: Copy + Eq + Hash + fmt::Debug {}

impl<K: Copy + Eq + Hash + fmt::Debug> Key for K {}

/// The right to run one piece of work; its drop is the end of the work.
#[derive(Debug)]
pub struct Turn<K: Key, T> {
    shared: Arc<Shared<K, T>>,
    owner: K,
    access: Access,
}

/// Bytes of a result that nobody has taken over yet; its drop gives them back.
#[derive(Debug)]
pub struct Held<K: Key, T> {
    shared: Arc<Shared<K, T>>,
    owner: K,
    bytes: usize,
}

struct Shared<K, T> {
    limits: FairLimits,
    state: Mutex<State<K, T>>,
    startable: Condvar,
}

struct State<K, T> {
    lanes: HashMap<K, Lane<T>>,
    /// Owners with waiting work, the one whose turn is next in front.
    order: VecDeque<K>,
    waiting: usize,
    waiting_bytes: usize,
    held_bytes: usize,
    /// Workers that wait for work.
    takers: usize,
    closed: bool,
}

struct Lane<T> {
    waiting: VecDeque<Waiting<T>>,
    shared_running: usize,
    alone_running: bool,
    held_bytes: usize,
}

struct Waiting<T> {
    work: T,
    access: Access,
    bytes: usize,
}

impl<T> Lane<T> {
    fn new() -> Self {
        Self { waiting: VecDeque::new(), shared_running: 0, alone_running: false, held_bytes: 0 }
    }

    /// The first work that may start. None overtakes what has to run alone, or waits for that.
    fn startable(&self, limits: &FairLimits) -> Option<usize> {
        if self.alone_running {
            return None;
        }
        if self.waiting.front()?.access == Access::Alone {
            return (self.shared_running == 0).then_some(0);
        }
        if self.shared_running >= limits.running_per_owner {
            return None;
        }
        let may_be_bulky = self.held_bytes < limits.held_bytes_per_owner;
        let mut shared = self.waiting.iter().take_while(|waiting| waiting.access != Access::Alone);
        shared.position(|waiting| may_be_bulky || waiting.access == Access::Shared)
    }

    fn is_unused(&self) -> bool {
        self.waiting.is_empty() && self.shared_running == 0 && !self.alone_running && self.held_bytes == 0
    }
}

impl<K: Key, T> FairQueue<K, T> {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: FairLimits) -> Self {
        let state = State {
            lanes: HashMap::new(),
            order: VecDeque::new(),
            waiting: 0,
            waiting_bytes: 0,
            held_bytes: 0,
            takers: 0,
            closed: false,
        };
        Self(Arc::new(Shared { limits, state: Mutex::new(state), startable: Condvar::new() }))
    }

    /// Puts work, which takes `bytes` while it waits, at the end of its owner's lane; never waits. True if no
    /// worker was free to start it.
    ///
    /// # Errors
    /// [`FairFull`]; the work is dropped. A closed queue drops it as well.
    pub fn push(&self, owner: K, access: Access, bytes: usize, work: T) -> Result<bool, FairFull> {
        let limits = &self.0.limits;
        let mut state = lock(&self.0.state);
        if state.closed {
            return Err(FairFull);
        }
        let in_lane = state.lanes.get(&owner).map_or(0, |lane| lane.waiting.len());
        let has_room = state.waiting < limits.waiting
            && in_lane < limits.waiting_per_owner
            && (state.waiting == 0 || state.waiting_bytes + bytes <= limits.waiting_bytes);
        if !has_room {
            return Err(FairFull);
        }
        state.waiting += 1;
        state.waiting_bytes += bytes;
        let lane = state.lanes.entry(owner).or_insert_with(Lane::new);
        lane.waiting.push_back(Waiting { work, access, bytes });
        if in_lane == 0 {
            state.order.push_back(owner);
        }
        let no_taker = state.takers < state.startable(limits);
        self.0.startable.notify_one();
        Ok(no_taker)
    }

    /// The next work, waiting for it; none once the queue is closed.
    #[must_use]
    pub fn take(&self) -> Option<(T, Turn<K, T>)> {
        let mut state = lock(&self.0.state);
        loop {
            if state.closed {
                return None;
            }
            if let Some((owner, Waiting { work, access, .. })) = state.start(&self.0.limits) {
                return Some((work, Turn { shared: Arc::clone(&self.0), owner, access }));
            }
            state.takers += 1;
            state = wait(&self.0.startable, state);
            state.takers -= 1;
        }
    }

    /// Drops what waits for an owner who is gone. What runs goes on.
    pub fn forget(&self, owner: K) {
        let dropped = {
            let mut state = lock(&self.0.state);
            let Some(lane) = state.lanes.get_mut(&owner) else { return };
            let dropped = std::mem::take(&mut lane.waiting);
            state.waiting -= dropped.len();
            state.waiting_bytes -= dropped.iter().map(|waiting| waiting.bytes).sum::<usize>();
            state.order.retain(|&other| other != owner);
            state.tidy(owner);
            dropped
        };
        // Outside the lock: what is dropped may do something of its own.
        drop(dropped);
    }

    /// Ends the queue: workers get nothing more, and what waits is dropped.
    pub fn close(&self) {
        let lanes = {
            let mut state = lock(&self.0.state);
            state.closed = true;
            state.order.clear();
            (state.waiting, state.waiting_bytes) = (0, 0);
            self.0.startable.notify_all();
            state.lanes.values_mut().map(|lane| std::mem::take(&mut lane.waiting)).collect::<Vec<_>>()
        };
        drop(lanes);
    }
}

impl<K: Key, T> Clone for FairQueue<K, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Key, T> State<K, T> {
    /// How many owners have work that may start now.
    fn startable(&self, limits: &FairLimits) -> usize {
        self.order.iter().filter(|&owner| self.lanes[owner].startable(limits).is_some()).count()
    }

    /// Takes the next work that may start. Its owner goes to the end of the line.
    fn start(&mut self, limits: &FairLimits) -> Option<(K, Waiting<T>)> {
        let startable = |(at, owner): (usize, &K)| Some((at, self.lanes[owner].startable(limits)?));
        let (at, place) = self.order.iter().enumerate().find_map(startable)?;
        let owner = self.order.remove(at)?;
        let lane = self.lanes.get_mut(&owner)?;
        let started = lane.waiting.remove(place)?;
        match started.access {
            Access::Shared | Access::Bulky => lane.shared_running += 1,
            Access::Alone => lane.alone_running = true,
        }
        if !lane.waiting.is_empty() {
            self.order.push_back(owner);
        }
        self.waiting -= 1;
        self.waiting_bytes -= started.bytes;
        Some((owner, started))
    }

    /// Forgets a lane that nothing is left of.
    fn tidy(&mut self, owner: K) {
        if self.lanes.get(&owner).is_some_and(Lane::is_unused) {
            self.lanes.remove(&owner);
        }
    }
}

impl<K: Key, T> Shared<K, T> {
    /// Changes an owner's lane, which may let more work start.
    fn release(&self, owner: K, change: impl FnOnce(&mut Lane<T>)) {
        let mut state = lock(&self.state);
        if let Some(lane) = state.lanes.get_mut(&owner) {
            change(lane);
        }
        state.tidy(owner);
        if state.waiting > 0 {
            self.startable.notify_all();
        }
    }
}

impl<K: Key, T> Turn<K, T> {
    /// Notes that the result takes `bytes` until it is taken over. None if that is more than all owners
    /// together may hold; the first is let in however large.
    #[must_use]
    pub fn hold(&self, bytes: usize) -> Option<Held<K, T>> {
        let mut state = lock(&self.shared.state);
        if state.held_bytes > 0 && state.held_bytes + bytes > self.shared.limits.held_bytes {
            return None;
        }
        state.held_bytes += bytes;
        if let Some(lane) = state.lanes.get_mut(&self.owner) {
            lane.held_bytes += bytes;
        }
        Some(Held { shared: Arc::clone(&self.shared), owner: self.owner, bytes })
    }
}

impl<K: Key, T> Drop for Turn<K, T> {
    fn drop(&mut self) {
        let access = self.access;
        self.shared.release(self.owner, |lane| match access {
            Access::Shared | Access::Bulky => lane.shared_running -= 1,
            Access::Alone => lane.alone_running = false,
        });
    }
}

impl<K: Key, T> Drop for Held<K, T> {
    fn drop(&mut self) {
        let bytes = self.bytes;
        lock(&self.shared.state).held_bytes -= bytes;
        self.shared.release(self.owner, |lane| lane.held_bytes -= bytes);
    }
}

impl<K, T> fmt::Debug for Shared<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("FairQueue")
            .field("waiting", &state.waiting)
            .field("held_bytes", &state.held_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FairLimits = FairLimits {
        waiting: 8,
        waiting_per_owner: 4,
        waiting_bytes: 100,
        running_per_owner: 2,
        held_bytes: 50,
        held_bytes_per_owner: 10,
    };

    type Queue = FairQueue<u8, &'static str>;

    fn push(queue: &Queue, owner: u8, access: Access, work: &'static str) {
        queue.push(owner, access, /*bytes*/ 1, work).expect("there is room");
    }

    /// What can start now, in order; the turns are kept.
    fn start_all(queue: &Queue) -> Vec<(&'static str, Turn<u8, &'static str>)> {
        let mut started = Vec::new();
        while lock(&queue.0.state).startable(&LIMITS) > 0 {
            started.extend(queue.take());
        }
        started
    }

    fn names(started: &[(&'static str, Turn<u8, &'static str>)]) -> Vec<&'static str> {
        started.iter().map(|(work, _)| *work).collect()
    }

    #[test]
    fn owners_take_turns_and_none_takes_all() {
        let queue = Queue::new(LIMITS);
        for work in ["a1", "a2", "a3"] {
            push(&queue, /*owner*/ 1, Access::Shared, work);
        }
        push(&queue, /*owner*/ 2, Access::Shared, "b1");
        let mut started = start_all(&queue);
        assert_eq!(names(&started), ["a1", "b1", "a2"], "the third of one owner waits");
        started.remove(0);
        assert_eq!(names(&start_all(&queue)), ["a3"]);
    }

    #[test]
    fn what_changes_something_runs_alone_and_in_its_place() {
        let queue = Queue::new(LIMITS);
        push(&queue, /*owner*/ 1, Access::Shared, "read");
        push(&queue, /*owner*/ 1, Access::Alone, "write");
        push(&queue, /*owner*/ 1, Access::Shared, "read again");
        push(&queue, /*owner*/ 2, Access::Shared, "another owner");
        let reading = start_all(&queue);
        assert_eq!(names(&reading), ["read", "another owner"]);
        drop(reading);
        let writing = start_all(&queue);
        assert_eq!(names(&writing), ["write"]);
        drop(writing);
        assert_eq!(names(&start_all(&queue)), ["read again"]);
        assert!(lock(&queue.0.state).lanes.is_empty(), "nothing is kept of lanes without work");
    }

    #[test]
    fn bulky_work_rests_while_results_are_not_taken() {
        let queue = Queue::new(LIMITS);
        push(&queue, /*owner*/ 1, Access::Bulky, "one");
        let (_, turn) = queue.take().expect("work");
        let held = turn.hold(/*bytes*/ 30).expect("the first");
        assert!(turn.hold(/*bytes*/ 21).is_none(), "more than all may hold");
        drop(turn);
        push(&queue, /*owner*/ 1, Access::Bulky, "two");
        push(&queue, /*owner*/ 1, Access::Shared, "small");
        push(&queue, /*owner*/ 1, Access::Alone, "write");
        push(&queue, /*owner*/ 1, Access::Shared, "after the write");
        assert_eq!(names(&start_all(&queue)), ["small"]);
        drop(held);
        for next in ["two", "write", "after the write"] {
            assert_eq!(names(&start_all(&queue)), [next]);
        }
        assert_eq!(lock(&queue.0.state).held_bytes, 0);
    }

    #[test]
    fn it_is_full_per_owner_in_all_and_in_bytes() {
        let queue = Queue::new(LIMITS);
        assert!(queue.push(/*owner*/ 9, Access::Shared, /*bytes*/ 1000, "large, but alone").is_ok());
        assert_eq!(queue.push(/*owner*/ 9, Access::Shared, /*bytes*/ 1, "no bytes left"), Err(FairFull));
        queue.forget(/*owner*/ 9);
        for owner in 0..2 {
            for _ in 0..4 {
                push(&queue, owner, Access::Shared, "work");
            }
            assert_eq!(queue.push(owner, Access::Shared, /*bytes*/ 1, "a fifth"), Err(FairFull));
        }
        assert_eq!(queue.push(/*owner*/ 7, Access::Shared, /*bytes*/ 1, "a ninth"), Err(FairFull));
        queue.forget(/*owner*/ 0);
        assert_eq!(queue.push(/*owner*/ 7, Access::Shared, /*bytes*/ 1, "now"), Ok(true));
    }

    #[test]
    fn workers_do_everything_once_and_end_when_it_is_closed() {
        let queue =
            FairQueue::<u8, usize>::new(FairLimits { waiting: 10_000, waiting_per_owner: 10_000, ..LIMITS });
        let (told, done) = crossbeam_channel::bounded(10_000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (queue, told) = (queue.clone(), told.clone());
                scope.spawn(move || {
                    while let Some((work, turn)) = queue.take() {
                        let held = turn.hold(/*bytes*/ 6);
                        told.send(work).expect("there is room");
                        drop(turn);
                        drop(held);
                    }
                });
            }
            for work in 0..3_000 {
                let access = if work % 5 == 0 { Access::Alone } else { Access::Shared };
                let owner = u8::try_from(work % 7).expect("small");
                while queue.push(owner, access, /*bytes*/ 1, work).is_err() {
                    std::thread::yield_now();
                }
            }
            let mut all: Vec<usize> = done.iter().take(3_000).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..3_000));
            queue.close();
        });
        assert_eq!(queue.push(/*owner*/ 1, Access::Shared, /*bytes*/ 1, /*work*/ 1), Err(FairFull));
    }
}
