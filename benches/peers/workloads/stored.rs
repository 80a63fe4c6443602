//! Many threads in the store.

use serde_json::json;

use super::Outcome;
use crate::clock::{millis, now};
use crate::link::{Link, Missing};
use crate::peer::Stage;
use crate::stats::{Figure, p50_p99};

const TIMES: usize = 20;
const PAGE: usize = 50;

/// Fills the store through the protocol, then lists and searches it.
pub(crate) fn stored(stage: &Stage<'_>) -> Outcome {
    let home = stage.home()?;
    let threads = stage.args.stored;
    let server = stage.listening(&home)?;
    let mut link = server.client()?;
    for _ in 0..threads {
        let thread = link.start_thread()?;
        // A thread is listed once it has a turn.
        link.turn(&thread, /*deltas*/ 1, /*size*/ 8)?;
        link.ask("thread/unsubscribe", &json!({"threadId": thread}))?;
    }
    let first = timed(&mut link, "thread/list", &json!({"limit": PAGE}))?;
    let mut cursor = serde_json::Value::Null;
    for _ in 0..threads / PAGE / 2 {
        let page = link.ask("thread/list", &json!({"limit": PAGE, "cursor": cursor}))?;
        cursor = page["nextCursor"].clone();
    }
    let deep = timed(&mut link, "thread/list", &json!({"limit": PAGE, "cursor": cursor}))?;
    let title = timed(&mut link, "thread/list", &json!({"limit": PAGE, "searchTerm": "deltas=1"}))?;
    drop((link, server));
    let started = now();
    let mut piped = stage.piped(&home)?;
    piped.link.initialize()?;
    let start = millis(started.elapsed());
    Ok(vec![
        Figure::cost("first page, p50", "ms", first),
        Figure::cost("page in the middle, p50", "ms", deep),
        Figure::cost("searchTerm, p50", "ms", title),
        Figure::cost("start to initialize", "ms", start),
    ])
}

fn timed(link: &mut Link, method: &str, params: &serde_json::Value) -> Result<f64, Missing> {
    let mut took = Vec::new();
    for _ in 0..TIMES {
        let started = now();
        link.ask(method, params)?;
        took.push(millis(started.elapsed()));
    }
    Ok(p50_p99(took).0)
}
