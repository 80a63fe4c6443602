//! The outbox by itself.

use std::io;
use std::time::Duration;

use crossbeam_channel::Sender;

use super::*;
use crate::queue::{BroadcastLimits, Broadcaster};

fn limits(messages: usize, bytes: usize, overflow: Overflow) -> OutboxLimits {
    OutboxLimits { messages, bytes, control_frames: 2, overflow }
}

fn too_slow() -> Closing {
    Closing { code: 1013, reason: "too slow".to_owned() }
}

fn goodbye() -> Closing {
    Closing { code: 1001, reason: "goodbye".to_owned() }
}

fn texts(batch: &Batch) -> Vec<&[u8]> {
    batch.data.iter().map(AsRef::as_ref).collect()
}

#[test]
fn messages_come_out_in_order_and_control_frames_first() {
    let (outbox, mut drain) = Outbox::new(limits(/*messages*/ 8, /*bytes*/ 100, Overflow::Wait));
    outbox.push(Bytes::from_static(b"one"));
    outbox.push(Bytes::from_static(b"two"));
    outbox.push_control(Bytes::from_static(b"pong"));
    let mut batch = Batch::default();
    assert_eq!(drain.next(&mut batch, /*bytes_max*/ 100), Next::Continue);
    assert_eq!((texts(&batch), batch.control.len()), (vec![&b"one"[..], b"two"], 1));
}

#[test]
fn a_batch_is_bounded_but_never_empty() {
    let (outbox, mut drain) = Outbox::new(limits(/*messages*/ 8, /*bytes*/ 100, Overflow::Wait));
    for text in [&b"1234567890"[..], b"12", b"34"] {
        outbox.push(Bytes::from_static(text));
    }
    let mut batch = Batch::default();
    drain.next(&mut batch, /*bytes_max*/ 4);
    assert_eq!(texts(&batch), [b"1234567890"]);
    drain.next(&mut batch, /*bytes_max*/ 4);
    assert_eq!(texts(&batch), [b"12", b"34"]);
}

#[test]
fn what_is_being_written_still_counts_against_the_bound() {
    let (outbox, mut drain) =
        Outbox::new(limits(/*messages*/ 2, /*bytes*/ 100, Overflow::Cut(too_slow())));
    let mut batch = Batch::default();
    outbox.push(Bytes::from_static(b"a"));
    drain.next(&mut batch, /*bytes_max*/ 100);
    assert_eq!(outbox.push(Bytes::from_static(b"b")), Pushed::Queued);
    assert_eq!(outbox.push(Bytes::from_static(b"c")), Pushed::Dropped);
    assert_eq!(drain.next(&mut batch, /*bytes_max*/ 100), Next::Close(too_slow()));
    assert!(batch.data.is_empty(), "a cut connection hears only the goodbye");
    assert_eq!(outbox.bytes_queued(), 0);
}

#[test]
fn finishing_writes_everything_first_and_takes_nothing_more() {
    let (outbox, mut drain) = Outbox::new(limits(/*messages*/ 8, /*bytes*/ 100, Overflow::Wait));
    outbox.push(Bytes::from_static(b"last"));
    outbox.finish(goodbye());
    assert_eq!(outbox.push(Bytes::from_static(b"late")), Pushed::Dropped);
    let mut batch = Batch::default();
    assert_eq!(drain.next(&mut batch, /*bytes_max*/ 100), Next::Close(goodbye()));
    assert_eq!(texts(&batch), [b"last"]);
}

#[test]
fn a_message_above_the_whole_bound_passes_alone() {
    let (outbox, _drain) =
        Outbox::new(limits(/*messages*/ 8, /*bytes*/ 4, Overflow::Cut(too_slow())));
    assert_eq!(outbox.push(Bytes::from_static(b"larger")), Pushed::Queued);
    assert_eq!(outbox.push(Bytes::from_static(b"x")), Pushed::Dropped);
}

#[test]
fn a_message_that_is_counted_elsewhere_takes_no_room() {
    let (outbox, mut drain) =
        Outbox::new(limits(/*messages*/ 8, /*bytes*/ 4, Overflow::Cut(too_slow())));
    for _ in 0..2 {
        assert_eq!(outbox.push_held(Bytes::from_static(b"larger")), Pushed::Queued);
        assert_eq!(outbox.push(Bytes::from_static(b"xx")), Pushed::Queued);
    }
    let mut batch = Batch::default();
    drain.next(&mut batch, /*bytes_max*/ 100);
    assert_eq!((texts(&batch).len(), outbox.bytes_queued()), (4, 4));
    outbox.push(Bytes::new());
    drain.next(&mut batch, /*bytes_max*/ 100);
    assert_eq!(outbox.bytes_queued(), 0);
}

#[test]
fn too_many_control_frames_close_the_connection() {
    let (outbox, mut drain) = Outbox::new(limits(/*messages*/ 8, /*bytes*/ 100, Overflow::Wait));
    for _ in 0..2 {
        assert_eq!(outbox.push_control(Bytes::from_static(b"p")), Pushed::Queued);
    }
    assert_eq!(outbox.push_control(Bytes::from_static(b"p")), Pushed::Dropped);
    let next = drain.next(&mut Batch::default(), /*bytes_max*/ 100);
    assert!(matches!(next, Next::Close(Closing { code: 1008, .. })), "{next:?}");
}

#[test]
fn a_waiting_producer_goes_on_when_there_is_room_or_no_writer() {
    let (outbox, mut drain) = Outbox::new(limits(/*messages*/ 1, /*bytes*/ 100, Overflow::Wait));
    let producer = outbox.clone();
    std::thread::scope(|scope| {
        let pushed = scope
            .spawn(move || [&b"a"[..], b"b", b"c"].map(|text| producer.push(Bytes::copy_from_slice(text))));
        let mut batch = Batch::default();
        drain.next(&mut batch, /*bytes_max*/ 100);
        assert_eq!(texts(&batch), [b"a"]);
        drain.next(&mut batch, /*bytes_max*/ 100);
        assert_eq!(texts(&batch), [b"b"]);
        drop(drain);
        let pushed = pushed.join().expect("no panic");
        // The third may have slipped in before the writer went away; it must not hang.
        assert_eq!(pushed[..2], [Pushed::Queued, Pushed::Queued]);
    });
}

/// Takes so many bytes, or nothing at all, and does something meanwhile.
struct Way {
    takes: Option<usize>,
    meanwhile: Box<dyn Fn() + Send + Sync>,
    written: Sender<(&'static str, String)>,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Way")
    }
}

impl Shortcut for Way {
    fn write(&self, messages: &mut dyn ExactSizeIterator<Item = &[u8]>, bytes: usize) -> io::Result<Bytes> {
        (self.meanwhile)();
        let takes = self.takes.ok_or(io::ErrorKind::WouldBlock)?;
        let all = Bytes::from(messages.collect::<Vec<_>>().concat());
        assert_eq!(all.len(), bytes);
        let taken = takes.min(all.len());
        let _ = self.written.send(("way", text(&all[..taken])));
        Ok(all.slice(taken..))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Who wrote what of `told`, which everybody is told, and of what is pushed while the shortcut writes.
fn written(takes: Option<usize>, told: &'static str, pushed: &'static str) -> Vec<(&'static str, String)> {
    let (outbox, mut drain) =
        Outbox::new(limits(/*messages*/ 8, /*bytes*/ 100, Overflow::Cut(too_slow())));
    let mut broadcaster = Broadcaster::new(BroadcastLimits {
        messages: 100,
        bytes: 1000,
        at_once: 1,
        written_bytes: 8,
        pause: Duration::from_micros(1),
        stack_bytes: 64 * 1024,
    });
    let (sender, parts) = crossbeam_channel::bounded(16);
    let pushing = outbox.clone();
    let meanwhile: Box<dyn Fn() + Send + Sync> = Box::new(move || {
        pushing.push(Bytes::from_static(pushed.as_bytes()));
        pushing.push_control(Bytes::from_static(b"pong"));
    });
    let way = Arc::new(Way { takes, meanwhile, written: sender.clone() });
    let weak: Weak<Way> = Arc::downgrade(&way);
    outbox.set_shortcut(weak);
    broadcaster.join(/*id*/ 1, &outbox, Arc::default());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut batch = Batch::default();
            loop {
                let next = drain.next(&mut batch, /*bytes_max*/ 100);
                let all = [&batch.rest].into_iter().chain(&batch.control).chain(&batch.data);
                for part in all.filter(|part| !part.is_empty()) {
                    let _ = sender.send(("writer", text(part)));
                }
                if next != Next::Continue {
                    break;
                }
            }
        });
        while !lock(&outbox.0.state).writer_waits {
            std::thread::yield_now();
        }
        broadcaster.tell("topic", Bytes::from_static(told.as_bytes())).expect("a worker");
        let mut written = Vec::new();
        let mut left = told.len() + if told.len() <= 8 { pushed.len() + "pong".len() } else { 0 };
        while left > 0 {
            let part: (_, String) = parts.recv().expect("a part");
            left -= part.1.len();
            written.push(part);
        }
        outbox.finish(goodbye());
        written
    })
}

#[test]
fn a_writer_that_waits_is_written_for_and_goes_on_with_what_came_meanwhile() {
    let parts = written(Some(8), "told", "pushed").into_iter().map(|(by, part)| format!("{by} {part}"));
    assert_eq!(parts.collect::<Vec<_>>(), ["way told", "writer pong", "writer pushed"]);
}

#[test]
fn what_the_client_did_not_take_at_once_comes_before_everything_else() {
    let parts = written(Some(3), "told", "pushed").into_iter().map(|(by, part)| format!("{by} {part}"));
    assert_eq!(parts.collect::<Vec<_>>(), ["way tol", "writer d", "writer pong", "writer pushed"]);
}

#[test]
fn what_cannot_be_written_at_once_is_the_writers_in_its_place() {
    let parts =
        written(/*takes*/ None, "told", "pushed").into_iter().map(|(by, part)| format!("{by} {part}"));
    assert_eq!(parts.collect::<Vec<_>>(), ["writer pong", "writer told", "writer pushed"]);
}

#[test]
fn more_than_its_bound_is_the_writers() {
    let parts = written(Some(100), "told at length", "").into_iter().map(|(by, part)| format!("{by} {part}"));
    assert_eq!(parts.collect::<Vec<_>>(), ["writer told at length"]);
}

#[test]
fn what_the_shortcut_wrote_counts_no_more_and_a_rest_counts_until_it_is_written() {
    let (outbox, mut drain) =
        Outbox::new(limits(/*messages*/ 8, /*bytes*/ 100, Overflow::Cut(too_slow())));
    let queued =
        |message: &'static str| Queued { message: Bytes::from_static(message.as_bytes()), charged: 4 };
    {
        let mut state = lock(&outbox.0.state);
        state.load = Load { messages: 2, bytes: 8 };
        state.note_written(&mut VecDeque::from([queued("told")]), Ok(Bytes::new()));
        state.note_written(&mut VecDeque::from([queued("more")]), Ok(Bytes::from_static(b"re")));
    }
    assert_eq!(outbox.bytes_queued(), 4);
    let mut batch = Batch::default();
    drain.next(&mut batch, /*bytes_max*/ 100);
    assert_eq!((&batch.rest[..], outbox.bytes_queued()), (&b"re"[..], 4));
    outbox.finish(goodbye());
    drain.next(&mut batch, /*bytes_max*/ 100);
    assert_eq!((&batch.rest[..], outbox.bytes_queued()), (&b""[..], 0));
}
