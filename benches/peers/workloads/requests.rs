//! Cheap requests: what the way through the server costs.

use super::Outcome;
use crate::bare;
use crate::clock::{micros, now};
use crate::link::{Link, Missing, is_event};
use crate::peer::Stage;
use crate::stats::{Figure, p50_p99};

const REQUEST: &str = r#"{"id":1,"method":"thread/loaded/list","params":{}}"#;
const WINDOW: usize = 32;
const REFUSED: &str = "-32001";

/// One after the other, by both transports.
pub(crate) fn sequential(stage: &Stage<'_>) -> Outcome {
    let count = stage.args.scaled(/*many*/ 5_000);
    let home = stage.home()?;
    let mut piped = stage.piped(&home)?;
    piped.link.initialize()?;
    let (stdio, stdio_99) = p50_p99(one_by_one(&mut piped.link, count)?);
    drop(piped);
    let server = stage.listening(&home)?;
    let mut link = server.client()?;
    one_by_one(&mut link, count / 10)?;
    let cpu = server.cpu();
    let (ws, ws_99) = p50_p99(one_by_one(&mut link, count)?);
    let cpu = server.cpu() - cpu;
    drop((link, server));
    let bare = Stage { peer: &bare::peer()?, ..*stage };
    let server = bare.listening(&home)?;
    let mut link = server.client()?;
    one_by_one(&mut link, count / 10)?;
    let bare_cpu = server.cpu();
    let (bare, _) = p50_p99(one_by_one(&mut link, count)?);
    let bare_cpu = server.cpu() - bare_cpu;
    Ok(vec![
        Figure::cost("stdio p50", "us", stdio),
        Figure::cost("stdio p99", "us", stdio_99),
        Figure::cost("WebSocket p50", "us", ws),
        Figure::cost("WebSocket p99", "us", ws_99),
        Figure::cost("WebSocket, CPU a request", "us", cpu * 1e6 / count as f64),
        Figure::cost("WebSocket p50, to that of a bare server", "x", ws / bare),
        Figure::cost("WebSocket, CPU a request, to that of a bare server", "x", cpu / bare_cpu),
    ])
}

fn one_by_one(link: &mut Link, count: usize) -> Result<Vec<f64>, Missing> {
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let started = now();
        link.send(REQUEST)?;
        link.answer()?;
        took.push(micros(started.elapsed()));
    }
    Ok(took)
}

/// Many in flight on one connection.
pub(crate) fn pipelined_1(stage: &Stage<'_>) -> Outcome {
    pipelined(stage, /*connections*/ 1)
}

/// Many in flight on each of 16 connections.
pub(crate) fn pipelined_16(stage: &Stage<'_>) -> Outcome {
    pipelined(stage, /*connections*/ 16)
}

/// Many in flight on each of 64 connections.
pub(crate) fn pipelined_64(stage: &Stage<'_>) -> Outcome {
    pipelined(stage, /*connections*/ 64)
}

fn pipelined(stage: &Stage<'_>, connections: usize) -> Outcome {
    let each = stage.args.scaled(/*many*/ 64_000) / connections;
    let Flown { good, cpu, seconds } = fly(stage, connections, each)?;
    let bare = fly(&Stage { peer: &bare::peer()?, ..*stage }, connections, each)?;
    let asked = (each * connections) as f64;
    let (rate, bare_rate) = (good as f64 / seconds, bare.good as f64 / bare.seconds);
    Ok(vec![
        Figure::rate("answered", "/s", rate),
        Figure::cost("refused", "%", (asked - good as f64) * 100.0 / asked),
        Figure::cost("CPU a request", "us", cpu * 1e6 / asked),
        Figure::rate("answered, to that of a bare server", "x", rate / bare_rate),
        Figure::cost("CPU a request, to that of a bare server", "x", cpu / bare.cpu),
    ])
}

/// What became of many requests on many connections.
struct Flown {
    good: usize,
    cpu: f64,
    seconds: f64,
}

fn fly(stage: &Stage<'_>, connections: usize, each: usize) -> Result<Flown, Missing> {
    let home = stage.home()?;
    let server = stage.listening(&home)?;
    let mut links = Vec::new();
    for _ in 0..connections {
        links.push(server.client()?);
    }
    let (cpu, started) = (server.cpu(), now());
    let counts: Vec<Result<usize, Missing>> = std::thread::scope(|scope| {
        let clients: Vec<_> = links.iter_mut().map(|link| scope.spawn(move || flight(link, each))).collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap_or(Err("a client panicked".to_owned())))
            .collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    let cpu = server.cpu() - cpu;
    let good = counts.into_iter().sum::<Result<usize, Missing>>()?;
    Ok(Flown { good, cpu, seconds })
}

/// Keeps `WINDOW` requests in flight; how many were not refused.
fn flight(link: &mut Link, count: usize) -> Result<usize, Missing> {
    for _ in 0..WINDOW.min(count) {
        link.send(REQUEST)?;
    }
    let (mut answered, mut good) = (0, 0);
    while answered < count {
        let message = link.next()?;
        if is_event(&message) {
            continue;
        }
        answered += 1;
        good += usize::from(!message.contains(REFUSED));
        if answered + WINDOW <= count {
            link.send(REQUEST)?;
        }
    }
    Ok(good)
}
