//! Threads and turns.

use serde_json::json;

use super::Outcome;
use crate::clock::{millis, now};
use crate::link::{Link, Missing};
use crate::peer::{Server, Stage};
use crate::stats::{Figure, p50_p99};

const AT_ONCE: usize = 16;

/// New threads, one at a time and from many connections.
pub(crate) fn thread_start(stage: &Stage<'_>) -> Outcome {
    let home = stage.home()?;
    let server = stage.listening(&home)?;
    let mut link = server.client()?;
    let count = stage.args.scaled(/*many*/ 60);
    let mut took = Vec::new();
    for _ in 0..count {
        let started = now();
        link.start_thread()?;
        took.push(millis(started.elapsed()));
    }
    let (p50, p99) = p50_p99(took);
    let rate = at_once(&server, count / 4 + 1, |link, count| {
        for _ in 0..count {
            link.start_thread()?;
        }
        Ok(())
    })?;
    Ok(vec![
        Figure::cost("p50", "ms", p50),
        Figure::cost("p99", "ms", p99),
        Figure::rate("16 at once", "/s", rate),
    ])
}

/// Turns of 20 deltas.
pub(crate) fn turn(stage: &Stage<'_>) -> Outcome {
    const DELTAS: usize = 20;
    const SIZE: usize = 16;
    let home = stage.home()?;
    let server = stage.listening(&home)?;
    let mut link = server.client()?;
    let thread = link.start_thread()?;
    let count = stage.args.scaled(/*many*/ 100);
    // The first turn of a thread does more than the others.
    link.turn(&thread, DELTAS, SIZE)?;
    let cpu = server.cpu();
    let mut took = Vec::new();
    for _ in 0..count {
        let started = now();
        link.turn(&thread, DELTAS, SIZE)?;
        took.push(millis(started.elapsed()));
    }
    let cpu = server.cpu() - cpu;
    let (p50, p99) = p50_p99(took);
    let model = model_alone(stage, DELTAS, SIZE)?;
    let rate = at_once(&server, count / 4 + 1, |link, count| {
        let thread = link.start_thread()?;
        (0..count).try_for_each(|_| link.turn(&thread, DELTAS, SIZE).map(drop))
    })?;
    Ok(vec![
        Figure::cost("p50", "ms", p50),
        Figure::cost("p99", "ms", p99),
        Figure::cost("p50 above the model's own time", "ms", p50 - model),
        Figure::cost("CPU a turn", "ms", cpu * 1e3 / count as f64),
        Figure::rate("16 at once", "/s", rate),
    ])
}

/// What the mock model itself takes for an answer, asked by hand, in milliseconds.
fn model_alone(stage: &Stage<'_>, deltas: usize, size: usize) -> Result<f64, Missing> {
    use std::io::{Read, Write};
    let failed = |error: std::io::Error| format!("the mock model: {error}");
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", stage.model.port)).map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let body = json!({"input": format!("deltas={deltas} size={size}")}).to_string();
    let request =
        format!("POST /v1/responses HTTP/1.1\r\nhost: mock\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let want = stage.model.answer_bytes(deltas, size);
    let mut took = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    for _ in 0..100 {
        let started = now();
        stream.write_all(request.as_bytes()).map_err(failed)?;
        let mut got = 0;
        while got < want {
            match stream.read(&mut buffer).map_err(failed)? {
                0 => return Err("the mock model hung up".to_owned()),
                count => got += count,
            }
        }
        took.push(millis(started.elapsed()));
    }
    Ok(p50_p99(took).0)
}

/// Runs `work` `each` times on each of some connections at once; the rate of all together.
fn at_once(
    server: &Server,
    each: usize,
    work: impl Fn(&mut Link, usize) -> Result<(), Missing> + Sync,
) -> Result<f64, Missing> {
    let mut links = Vec::new();
    for _ in 0..AT_ONCE {
        links.push(server.client()?);
    }
    let started = now();
    let done: Vec<Result<(), Missing>> = std::thread::scope(|scope| {
        let work = &work;
        let clients: Vec<_> = links.iter_mut().map(|link| scope.spawn(move || work(link, each))).collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap_or(Err("a client panicked".to_owned())))
            .collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    done.into_iter().collect::<Result<Vec<()>, _>>()?;
    Ok((each * AT_ONCE) as f64 / seconds)
}
