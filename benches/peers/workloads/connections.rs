//! Many connections that do nothing.

use super::Outcome;
use crate::clock::{let_pass, micros, millis, now};
use crate::link::{Link, Missing};
use crate::peer::{Server, Stage};
use crate::stats::{Figure, p50_p99};

/// A hundred.
pub(crate) fn idle_100(stage: &Stage<'_>) -> Outcome {
    idle(stage, /*connections*/ 100)
}

/// A thousand.
pub(crate) fn idle_1000(stage: &Stage<'_>) -> Outcome {
    idle(stage, /*connections*/ 1000)
}

/// Eight thousand.
pub(crate) fn idle_8000(stage: &Stage<'_>) -> Outcome {
    idle(stage, /*connections*/ 8000)
}

fn idle(stage: &Stage<'_>, connections: usize) -> Outcome {
    let connections = connections.min(stage.args.connections);
    let home = stage.home()?;
    let server = stage.listening(&home)?;
    let mut active = server.client()?;
    let rss = server.rss_kib();
    let started = now();
    let crowd = open(&server, connections)?;
    let opening = started.elapsed();
    let rss = server.rss_kib() - rss;
    let mut took = Vec::new();
    for _ in 0..stage.args.scaled(/*many*/ 1000) {
        let started = now();
        active.ask("thread/loaded/list", &serde_json::json!({}))?;
        took.push(micros(started.elapsed()));
    }
    let (p50, p99) = p50_p99(took);
    let count = crowd.len() as f64;
    Ok(vec![
        Figure::cost("resident, a connection", "KiB", rss / count),
        Figure::cost("opening one", "ms", millis(opening) / count),
        Figure::cost("an active one among them, p50", "us", p50),
        Figure::cost("an active one among them, p99", "us", p99),
    ])
}

fn open(server: &Server, connections: usize) -> Result<Vec<Link>, Missing> {
    (0..connections).map(|at| server.client().map_err(|error| format!("connection {at}: {error}"))).collect()
}

/// What bystanders cost a turn.
pub(crate) fn crowd(stage: &Stage<'_>) -> Outcome {
    let home = stage.home()?;
    let server = stage.listening(&home)?;
    let mut link = server.client()?;
    let thread = link.start_thread()?;
    link.turn(&thread, /*deltas*/ 20, /*size*/ 16)?;
    let count = stage.args.scaled(/*many*/ 40);
    let mut crowd: Vec<Link> = Vec::new();
    let mut medians = Vec::new();
    for size in [0, 1000, 4000] {
        let size = size.min(stage.args.connections);
        crowd.extend(open(&server, size - crowd.len())?);
        // The last of them may still be served.
        let_pass(std::time::Duration::from_millis(300));
        let mut took = Vec::new();
        for _ in 0..count {
            let started = now();
            link.turn(&thread, /*deltas*/ 20, /*size*/ 16)?;
            took.push(millis(started.elapsed()));
            // Their shares of the broadcasts are written beside the turn, not after it.
            let_pass(std::time::Duration::from_millis(20));
        }
        medians.push(p50_p99(took).0);
    }
    Ok(vec![
        Figure::cost("a turn beside nobody, p50", "ms", medians[0]),
        Figure::cost("beside 1,000, p50", "ms", medians[1]),
        Figure::cost("beside 4,000, p50", "ms", medians[2]),
        Figure::cost("beside 4,000, to that beside nobody", "x", medians[2] / medians[0]),
    ])
}
