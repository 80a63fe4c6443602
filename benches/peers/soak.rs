//! A soak: mixed load for a long time, after which memory, descriptors and OS threads are what they were.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::clock::{let_pass, now};
use super::link::{Link, Missing};
use super::peer::{Server, Stage};
use super::stats::say;

/// How long the load runs before anything is compared: caches fill, workers start.
const WARM_UP: Duration = Duration::from_secs(5);
/// After the load everything has to be as before within this time.
const SETTLE_MAX: Duration = Duration::from_secs(20);
/// Memory of the last quarter above that of the second: this share, and this many MiB. In a minute, medians
/// of the same load differ by 4 MiB.
const GROWTH_MAX: (f64, f64) = (0.10, 8.0);
const TALKERS: usize = 4;

/// What was done so far.
#[derive(Default)]
struct Done {
    turns: AtomicU64,
    broken_off: AtomicU64,
    commands: AtomicU64,
    requests: AtomicU64,
}

/// What a server occupies.
#[derive(Debug, Clone, Copy)]
struct Size {
    rss_mib: f64,
    descriptors: usize,
    workers: f64,
}

impl Size {
    fn of(server: &Server) -> Self {
        Self {
            rss_mib: server.rss_kib() / 1024.0,
            descriptors: server.descriptors(),
            workers: server.workers(),
        }
    }
}

/// Runs the load for so long.
///
/// # Errors
/// What grew, or what failed.
pub(crate) fn run(stage: &Stage<'_>, seconds: usize) -> Result<(), String> {
    let home = stage.home()?;
    // Otherwise the threads of half an hour are loaded.
    let server = stage.listening_with(&home, &["-c", "thread_unload_delay_secs=1"])?;
    let done = Done::default();
    load(&server, &done, WARM_UP, |_| ())?;
    let_pass(Duration::from_secs(3));
    let before = Size::of(&server);
    say(&format!("# soak: {seconds} s of mixed load; before it {before:?}"));
    let mut samples = Vec::new();
    load(&server, &done, Duration::from_secs(seconds as u64), |size| samples.push(size))?;
    let after = settled(&server, before)?;
    let quarter = samples.len() / 4;
    let median = |part: &[Size]| {
        let mut rss: Vec<f64> = part.iter().map(|size| size.rss_mib).collect();
        rss.sort_by(f64::total_cmp);
        rss.get(rss.len() / 2).copied().unwrap_or_default()
    };
    let quarters: Vec<f64> = samples.chunks(quarter.max(1)).take(4).map(median).collect();
    let (second, last) = (quarters.get(1).copied(), quarters.last().copied());
    let (Some(second), Some(last)) = (second, last) else { return Err("too short to compare".to_owned()) };
    let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
    say(&format!(
        "  {} turns, {} broken off, {} commands, {} other requests",
        count(&done.turns),
        count(&done.broken_off),
        count(&done.commands),
        count(&done.requests)
    ));
    say(&format!("  resident in each quarter, median MiB: {quarters:.1?}; after it {after:?}"));
    if last > second * (1.0 + GROWTH_MAX.0) + GROWTH_MAX.1 {
        return Err(format!("memory grew from {second:.1} to {last:.1} MiB"));
    }
    Ok(())
}

/// Waits until descriptors and OS threads are what they were.
fn settled(server: &Server, before: Size) -> Result<Size, String> {
    let deadline = now() + SETTLE_MAX;
    loop {
        let size = Size::of(server);
        if size.descriptors <= before.descriptors && size.workers <= before.workers {
            return Ok(size);
        }
        if now() > deadline {
            return Err(format!("{before:?} became {size:?}"));
        }
        let_pass(Duration::from_millis(100));
    }
}

/// All kinds of clients at once; `sample` sees the server's size every second.
fn load(
    server: &Server,
    done: &Done,
    duration: Duration,
    mut sample: impl FnMut(Size),
) -> Result<(), String> {
    let over = AtomicBool::new(false);
    let idle: Vec<Link> = (0..8).map(|_| server.client()).collect::<Result<_, _>>()?;
    std::thread::scope(|scope| {
        let over = &over;
        let repeat = move |work: fn(&Server, &Done) -> Result<(), Missing>| {
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    work(server, done)?;
                }
                Ok(())
            })
        };
        let mut clients: Vec<_> = (0..TALKERS).map(|_| repeat(talk)).collect();
        clients.extend([repeat(leave), repeat(command), repeat(ask)]);
        let end = now() + duration;
        while now() < end && !clients.iter().any(|client| client.is_finished()) {
            let_pass(Duration::from_secs(1));
            sample(Size::of(server));
        }
        over.store(true, Ordering::Relaxed);
        let mut ended = clients.into_iter().map(|client| client.join());
        ended.try_for_each(|end| end.unwrap_or(Err("a client panicked".to_owned())))
    })?;
    drop(idle);
    Ok(())
}

/// A few turns on a new thread.
fn talk(server: &Server, done: &Done) -> Result<(), Missing> {
    let mut link = server.client()?;
    let thread = link.start_thread()?;
    for _ in 0..5 {
        link.turn(&thread, /*deltas*/ 20, /*size*/ 16)?;
        done.turns.fetch_add(1, Ordering::Relaxed);
    }
    link.ask("thread/unsubscribe", &json!({"threadId": thread})).map(drop)
}

/// Hangs up in the middle of a long answer.
fn leave(server: &Server, done: &Done) -> Result<(), Missing> {
    let mut link = server.client()?;
    let thread = link.start_thread()?;
    link.send(&super::link::turn_request(&thread, /*deltas*/ 5_000, /*size*/ 64))?;
    for _ in 0..20 {
        link.next()?;
    }
    done.broken_off.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Commands, one with some output.
fn command(server: &Server, done: &Done) -> Result<(), Missing> {
    let mut link = server.client()?;
    for command in [json!(["true"]), json!(["head", "-c", "200000", "/dev/zero"])] {
        link.ask("command/exec", &json!({"command": command, "sandboxPolicy": {"type": "readOnly"}}))?;
        done.commands.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Cheap requests and lists.
fn ask(server: &Server, done: &Done) -> Result<(), Missing> {
    let mut link = server.client()?;
    for _ in 0..50 {
        link.ask("thread/loaded/list", &json!({}))?;
        link.ask("thread/list", &json!({"limit": 10}))?;
        done.requests.fetch_add(2, Ordering::Relaxed);
    }
    Ok(())
}
