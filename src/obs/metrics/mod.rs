//! Numbers about the running process, for operators: counters, gauges, histograms, and their two forms
//! (Prometheus text and JSON).
//!
//! Everyone may count at any time: a number is an atomic, so counting takes no lock and never waits. What a
//! number means is said where it is declared; those that belong to no part above are in [`values`]. Reading
//! them costs the reader only.

mod page;
mod process;
mod requests;
pub mod values;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

pub use page::{Family, Kind, Labels, Page};
pub use requests::{RequestStats, add as add_requests};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

/// Upper bounds of a histogram's buckets in seconds; the last bucket has none.
pub const BOUNDS: [f64; 13] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];

/// How long things took.
#[derive(Debug, Default)]
pub struct Histogram {
    /// How many were within each bound and above the one before; the last are above all.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_ns: AtomicU64,
}

/// A histogram's numbers at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Distribution {
    /// As in [`Histogram`], not summed up.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// The sum of all, in nanoseconds.
    pub sum_ns: u64,
}

impl Counter {
    /// Zero.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more.
    pub fn add_one(&self) {
        self.add(/*count*/ 1);
    }

    /// Some more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// Zero.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    /// It is this now.
    pub fn set(&self, count: usize) {
        self.0.store(i64::try_from(count).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// More, or less if negative.
    pub fn add(&self, difference: i64) {
        self.0.fetch_add(difference, Ordering::Relaxed);
    }

    /// How much.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Histogram {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BOUNDS.len() + 1], sum_ns: AtomicU64::new(0) }
    }

    /// Something took this long.
    pub fn record(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// What it holds now. Others may be recording meanwhile; each of the numbers is true by itself.
    #[must_use]
    pub fn get(&self) -> Distribution {
        Distribution {
            buckets: std::array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed)),
            sum_ns: self.sum_ns.load(Ordering::Relaxed),
        }
    }
}

impl Distribution {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_at_a_bound_is_within_it() {
        let histogram = Histogram::new();
        histogram.record(Duration::from_millis(1));
        histogram.record(Duration::from_micros(1001));
        histogram.record(Duration::from_secs(3600));
        let found = histogram.get();
        let at = BOUNDS.iter().position(|bound| *bound == 0.001).expect("a bound");
        assert_eq!((found.buckets[at], found.buckets[at + 1], found.buckets[BOUNDS.len()]), (1, 1, 1));
        assert_eq!((found.count(), found.sum_ns), (3, 3_600_002_001_000));
    }

    #[test]
    fn counting_from_many_workers_loses_nothing() {
        let (counter, gauge) = (Counter::new(), Gauge::new());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        counter.add_one();
                        gauge.add(/*difference*/ 2);
                        gauge.add(/*difference*/ -1);
                    }
                });
            }
        });
        assert_eq!((counter.get(), gauge.get()), (40_000, 40_000));
    }
}
