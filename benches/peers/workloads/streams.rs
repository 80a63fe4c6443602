//! Long streams, and who reads them.

use serde_json::json;

use super::Outcome;
use crate::clock::now;
use crate::link::{Link, Missing};
use crate::peer::{Server, Stage};
use crate::stats::Figure;

/// One subscriber.
pub(crate) fn deltas_1(stage: &Stage<'_>) -> Outcome {
    deltas(stage, /*subscribers*/ 1)
}

/// Many subscribers.
pub(crate) fn deltas_32(stage: &Stage<'_>) -> Outcome {
    deltas(stage, /*subscribers*/ 32)
}

fn deltas(stage: &Stage<'_>, subscribers: usize) -> Outcome {
    let deltas = stage.args.scaled(/*many*/ 20_000);
    let home = stage.home()?;
    let server = stage.listening(&home)?;
    let (mut links, thread) = subscribed(&server, subscribers)?;
    let (cpu, rss) = (server.cpu(), server.peak_rss_kib());
    let seconds = stream(&mut links, &thread, deltas, /*size*/ 16)?;
    let cpu = server.cpu() - cpu;
    Ok(vec![
        Figure::rate("deltas", "/s", deltas as f64 / seconds),
        Figure::cost("CPU a delivery", "us", cpu * 1e6 / (deltas * subscribers) as f64),
        Figure::cost("peak of memory above idle", "MiB", (server.peak_rss_kib() - rss) / 1024.0),
    ])
}

/// Connections that all follow one thread with a turn behind it.
fn subscribed(server: &Server, subscribers: usize) -> Result<(Vec<Link>, String), Missing> {
    let mut links = vec![server.client()?];
    let thread = links[0].start_thread()?;
    links[0].turn(&thread, /*deltas*/ 1, /*size*/ 1)?;
    for _ in 1..subscribers {
        let mut link = server.client()?;
        link.ask("thread/resume", &json!({"threadId": thread, "excludeTurns": true}))?;
        links.push(link);
    }
    Ok((links, thread))
}

/// The first starts a turn, all read it to its end; the seconds until the last has.
fn stream(links: &mut [Link], thread: &str, deltas: usize, size: usize) -> Result<f64, Missing> {
    let started = now();
    let [first, others @ ..] = links else { return Err("no connection".to_owned()) };
    first.send(&crate::link::turn_request(thread, deltas, size))?;
    let done: Vec<Result<usize, Missing>> = std::thread::scope(|scope| {
        let others: Vec<_> = others.iter_mut().map(|link| scope.spawn(move || link.turn_end())).collect();
        let mut done = vec![first.turn_end()];
        done.extend(others.into_iter().map(|one| one.join().unwrap_or(Err("a client panicked".to_owned()))));
        done
    });
    let seconds = started.elapsed().as_secs_f64();
    for count in done {
        // Servers may join deltas, so this cannot ask for all of them.
        if count? < 3 {
            return Err("a subscriber got no deltas".to_owned());
        }
    }
    Ok(seconds)
}

/// One subscriber reads, the other does not.
pub(crate) fn slow(stage: &Stage<'_>) -> Outcome {
    const SIZE: usize = 256;
    let deltas = stage.args.scaled(/*many*/ 60_000);
    let alone = {
        let home = stage.home()?;
        let server = stage.listening(&home)?;
        let (mut links, thread) = subscribed(&server, /*subscribers*/ 1)?;
        (stream(&mut links, &thread, deltas, SIZE)?, server.peak_rss_kib())
    };
    let home = stage.home()?;
    let server = stage.listening(&home)?;
    let (mut links, thread) = subscribed(&server, /*subscribers*/ 2)?;
    let mut silent = links.pop().ok_or("no connection")?;
    let seconds = stream(&mut links, &thread, deltas, SIZE)?;
    let peak = server.peak_rss_kib();
    let fair = loop {
        match silent.next() {
            Ok(message) if message.contains("\"turn/completed\"") => break true,
            Ok(_) => {}
            Err(error) => break error.contains("closed: Some"),
        }
    };
    Ok(vec![
        Figure::cost("the fast one's time, to that alone", "x", seconds / alone.0),
        Figure::cost("more memory than alone", "MiB", (peak - alone.1) / 1024.0),
        Figure::rate("the slow one gets all, or is told why", "", f64::from(u8::from(fair))),
    ])
}
