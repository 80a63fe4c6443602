//! Lookups of names, with a system that answers when the test says so.

use crossbeam_channel::{Receiver, Sender};

use super::*;
use crate::clock::Clock;
use crate::model::{Canceller, cancellation};

/// A call on a clock that stands still.
fn a_call() -> (Canceller, Call) {
    let (canceller, cancel) = cancellation(Clock::simulated(/*wall_start_ms*/ 0));
    (canceller, Call { cancel, patience: Duration::from_secs(1) })
}

fn kind_of(outcome: &Result<Vec<SocketAddr>, Error>) -> String {
    match outcome {
        Ok(found) => format!("{} found", found.len()),
        Err(error) => error.to_string(),
    }
}

/// A lookup that hangs until its sender is dropped, and the receiver of word that it has begun.
fn hanging() -> (Sender<()>, Receiver<()>, impl FnOnce() -> io::Result<Vec<SocketAddr>>) {
    let (release, released) = bounded::<()>(1);
    let (begin, begun) = bounded(1);
    let ask = move || {
        let _ = begin.send(());
        let _ = released.recv();
        Ok(Vec::new())
    };
    (release, begun, ask)
}

// One test, because the number of lookups is the process's.
#[test]
fn a_lookup_ends_by_its_answer_a_cancellation_or_its_deadline_and_their_number_is_bounded() {
    let (_canceller, call) = a_call();
    let found = look_up(&call, || Ok(vec![([127, 0, 0, 1], 1).into()]));
    assert_eq!(kind_of(&found), "1 found");
    let failed = look_up(&call, || Err(io::Error::other("the name server is tired")));
    assert!(kind_of(&failed).contains("tired"));

    let mut hangs = Vec::new();
    for _ in 0..limits::MODEL_RESOLVERS_MAX - 1 {
        let (canceller, call) = a_call();
        let (release, begun, ask) = hanging();
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| kind_of(&look_up(&call, ask)));
            begun.recv().expect("it begins");
            canceller.cancel();
            let told = looking.join().expect("no panic");
            assert!(told.contains("cancelled"), "at once, though the system hangs: {told}");
        });
        hangs.push(release);
    }
    // The last place, and a system that never answers.
    let (_canceller, late) = a_call();
    let clock = late.cancel.clock().clone();
    let (release, begun, ask) = hanging();
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| kind_of(&look_up(&late, ask)));
        begun.recv().expect("it begins");
        assert!(kind_of(&look_up(&call, || Ok(Vec::new()))).contains("too many lookups"), "not one more");
        clock.advance(limits::MODEL_RESOLVE_TIMEOUT - Duration::from_millis(1));
        assert!(!looking.is_finished());
        // Again and again: the waiting worker may not have looked at the clock before the first time.
        while !looking.is_finished() {
            clock.advance(Duration::from_millis(1));
        }
        assert!(looking.join().expect("no panic").contains("timeout"));
    });
    drop((release, hangs));
    // Their places are free once they are over.
    while LOOKUPS.load(Ordering::Relaxed) > 0 {
        std::thread::yield_now();
    }
    assert_eq!(kind_of(&look_up(&call, || Ok(Vec::new()))), "0 found");
}
