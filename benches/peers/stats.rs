//! Samples, and what is said of them.

use std::io::Write;

/// What one round of a workload found: a number of a name.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// What it is.
    pub(crate) name: &'static str,
    /// In what it is counted.
    pub(crate) unit: &'static str,
    /// Less is better.
    pub(crate) less_is_better: bool,
    /// How much.
    pub(crate) value: f64,
}

impl Figure {
    /// A cost.
    pub(crate) fn cost(name: &'static str, unit: &'static str, value: f64) -> Self {
        Self { name, unit, less_is_better: true, value }
    }

    /// A rate.
    pub(crate) fn rate(name: &'static str, unit: &'static str, value: f64) -> Self {
        Self { name, unit, less_is_better: false, value }
    }
}

/// The samples of one figure, of all rounds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// One more.
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    /// The one in the middle.
    pub(crate) fn median(&self) -> f64 {
        percentile(&self.0, /*percent*/ 50)
    }

    /// The smallest.
    pub(crate) fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    /// The largest.
    pub(crate) fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// The value below which `percent` of the sorted values lie.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// Median and 99th percentile of what was measured one by one.
pub(crate) fn p50_p99(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    (percentile(&values, /*percent*/ 50), percentile(&values, /*percent*/ 99))
}

/// A number with as many digits as matter.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A line on stdout.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
