//! Starting, and doing nothing.

use std::time::Duration;

use serde_json::json;

use super::Outcome;
use crate::clock::{let_pass, millis, now};
use crate::link::Missing;
use crate::peer::{Home, Stage};
use crate::stats::{Figure, p50_p99};

const IDLE: Duration = Duration::from_secs(3);

/// From the start of the process to the answer of `initialize`.
pub(crate) fn start(stage: &Stage<'_>) -> Outcome {
    let fresh = once(stage, &stage.home()?)?;
    let home = stage.home()?;
    once(stage, &home)?;
    let mut used = Vec::new();
    for _ in 0..stage.args.scaled(/*many*/ 20) {
        used.push(once(stage, &home)?);
    }
    let size = std::fs::metadata(stage.peer.program()).map_or(f64::NAN, |file| file.len() as f64);
    Ok(vec![
        Figure::cost("fresh home", "ms", fresh),
        Figure::cost("used home", "ms", p50_p99(used).0),
        Figure::cost("size of the program", "MiB", size / 1024.0 / 1024.0),
    ])
}

fn once(stage: &Stage<'_>, home: &Home) -> Result<f64, Missing> {
    let started = now();
    let mut piped = stage.piped(home)?;
    piped.link.initialize()?;
    Ok(millis(started.elapsed()))
}

/// What it takes to be there.
pub(crate) fn idle(stage: &Stage<'_>) -> Outcome {
    let home = stage.home()?;
    let mut piped = stage.piped(&home)?;
    piped.link.initialize()?;
    piped.link.ask("thread/list", &json!({}))?;
    // What a start leaves to do later is not idleness.
    let_pass(Duration::from_secs(1));
    let (switches, cpu) = (piped.server().switches(), piped.server().cpu());
    let_pass(IDLE);
    Ok(vec![
        Figure::cost("resident", "MiB", piped.server().rss_kib() / 1024.0),
        Figure::cost("OS threads", "", piped.server().workers()),
        Figure::cost("wakeups in 3 s", "", piped.server().switches() - switches),
        Figure::cost("CPU in 3 s", "ms", (piped.server().cpu() - cpu) * 1e3),
    ])
}
