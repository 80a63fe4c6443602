//! How requests of one method ended, and how long they took.

use std::time::Duration;

use super::{Counter, Histogram, Kind, Page};

/// The numbers of one method.
#[derive(Debug, Default)]
pub struct RequestStats {
    answered: Counter,
    refused: Counter,
    took: Histogram,
}

impl RequestStats {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { answered: Counter::new(), refused: Counter::new(), took: Histogram::new() }
    }

    /// A request was answered, with a result or with an error.
    pub fn record(&self, took: Duration, is_result: bool) {
        if is_result {
            self.answered.add_one()
        } else {
            self.refused.add_one()
        }
        self.took.record(took);
    }
}

/// Adds the numbers of all methods that were asked for.
pub fn add<'a>(page: &mut Page, methods: impl Iterator<Item = (&'a str, &'a RequestStats)> + Clone) {
    let asked = methods.filter(|(_, stats)| stats.took.get().count() > 0);
    let ended = page.family("app_server_requests_total", "Requests answered, by outcome.", Kind::Counter);
    for (method, stats) in asked.clone() {
        for (outcome, count) in [("result", stats.answered.get()), ("error", stats.refused.get())] {
            ended.add(&[("method", method), ("outcome", outcome)], count as f64);
        }
    }
    let help = "From the arrival of a request in the processor to its answer.";
    let took = page.family("app_server_request_duration_seconds", help, Kind::Histogram);
    for (method, stats) in asked {
        took.spread(&[("method", method)], stats.took.get());
    }
}
