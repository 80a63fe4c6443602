//! One wake-up for many messages.
//!
//! Who queues several messages in a row, as the processor does with the answers of a batch, wakes each writer
//! once, at the end: the writer then finds all of them, and writes them in one call.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{Shared, State};
use crate::sync::lock;

thread_local! {
    /// The outboxes whose writers this OS thread has to wake; none if it wakes them as it goes.
    static GATHERED: RefCell<Option<Vec<Arc<Shared>>>> = const { RefCell::new(None) };
}

/// While it lives, what this OS thread queues wakes no writer until [`Self::release`], or until the thread
/// has to wait for room.
#[derive(Debug)]
pub struct Wakes(PhantomData<*const ()>);

impl Wakes {
    /// From now on wake-ups of this OS thread are gathered.
    #[must_use]
    pub fn gather() -> Self {
        GATHERED.set(Some(Vec::new()));
        Self(PhantomData)
    }

    /// Wakes the writers that have something to do.
    pub fn release(&self) {
        release();
    }

    /// Like [`Self::release`] for who has nothing else to do: a single message of at most `bytes_max` bytes
    /// for a single client is written at once, if there is a way beside its writer ([`super::Shortcut`]).
    /// After several there are more to come, and the writer is busy all the same.
    pub fn release_or_write(&self, bytes_max: usize) {
        each(|shared, is_only| {
            let mut state = lock(&shared.state);
            state.is_gathered = false;
            let bytes_max = if is_only && state.data.len() == 1 { bytes_max } else { 0 };
            shared.write_or_wake(state, bytes_max);
        });
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        release();
        GATHERED.set(None);
    }
}

/// Notes that a writer is to be woken later; false if this OS thread does not gather.
pub(super) fn gather(shared: &Arc<Shared>, state: &mut State) -> bool {
    // An OS thread that is ending gathers nothing.
    let gathers = GATHERED.try_with(|gathered| {
        let mut gathered = gathered.borrow_mut();
        let Some(gathered) = gathered.as_mut() else { return false };
        if !std::mem::replace(&mut state.is_gathered, true) {
            gathered.push(Arc::clone(shared));
        }
        true
    });
    gathers.unwrap_or(false)
}

/// True if this OS thread has to wake somebody.
pub(super) fn any_gathered() -> bool {
    let any =
        |gathered: &RefCell<Option<Vec<_>>>| gathered.borrow().as_ref().is_some_and(|all| !all.is_empty());
    GATHERED.try_with(any).unwrap_or(false)
}

/// Wakes all that this OS thread has to wake.
pub(super) fn release() {
    each(|shared, _| {
        let mut state = lock(&shared.state);
        state.is_gathered = false;
        shared.wake(state);
    });
}

/// Goes over what is gathered, and says whether it is the only one.
fn each(wake: impl Fn(&Shared, bool)) {
    let Some(mut gathered) = GATHERED.with_borrow_mut(|gathered| gathered.as_mut().map(std::mem::take))
    else {
        return;
    };
    let is_only = gathered.len() == 1;
    for shared in gathered.drain(..) {
        wake(&shared, is_only);
    }
    // The room for them stays.
    GATHERED.with_borrow_mut(|slot| {
        if let Some(slot) = slot {
            *slot = gathered;
        }
    });
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Weak;

    use bytes::Bytes;
    use crossbeam_channel::{Receiver, Sender, bounded};

    use super::super::{Batch, Closing, Next, Outbox, OutboxLimits, Overflow, Shortcut};
    use super::*;
    use crate::sys::worker::Worker;

    /// Tells what it writes, and takes all.
    #[derive(Debug)]
    struct Way(Sender<(&'static str, Vec<String>)>);

    impl Shortcut for Way {
        fn write(
            &self,
            messages: &mut dyn ExactSizeIterator<Item = &[u8]>,
            _bytes: usize,
        ) -> io::Result<Bytes> {
            let _ = self.0.send(("way", messages.map(text).collect()));
            Ok(Bytes::new())
        }
    }

    fn text(message: &[u8]) -> String {
        String::from_utf8_lossy(message).into_owned()
    }

    /// An outbox of two messages whose writer waits, and who wrote what.
    struct Written {
        outbox: Outbox,
        told: Receiver<(&'static str, Vec<String>)>,
        way: Arc<Way>,
        writer: Worker,
    }

    impl Written {
        fn new(overflow: Overflow) -> Self {
            let (outbox, mut drain) =
                Outbox::new(OutboxLimits { messages: 2, bytes: 1000, control_frames: 2, overflow });
            let (tell, told) = bounded(64);
            let way = Arc::new(Way(tell.clone()));
            let weak: Weak<Way> = Arc::downgrade(&way);
            outbox.set_shortcut(weak);
            let writer = Worker::spawn("writer".to_owned(), /*stack_bytes*/ 64 * 1024, move || {
                let mut batch = Batch::default();
                loop {
                    let next = drain.next(&mut batch, /*bytes_max*/ 1000);
                    if !batch.data.is_empty() {
                        let _ =
                            tell.send(("writer", batch.data.iter().map(|message| text(message)).collect()));
                    }
                    if next != Next::Continue {
                        break;
                    }
                }
            })
            .expect("a worker");
            let written = Self { outbox, told, way, writer };
            written.rests();
            written
        }

        /// Waits until its writer waits.
        fn rests(&self) {
            while !lock(&self.outbox.0.state).writer_waits {
                std::thread::yield_now();
            }
        }

        fn push(&self, message: &'static str) {
            self.outbox.push(Bytes::from_static(message.as_bytes()));
        }

        fn next(&self) -> (&'static str, Vec<String>) {
            self.told.recv().expect("it is written")
        }

        fn end(self) {
            self.outbox.finish(Closing { code: 1000, reason: String::new() });
            // Joined here.
            drop(self.writer);
            drop(self.way);
        }
    }

    fn cut() -> Overflow {
        Overflow::Cut(Closing { code: 1013, reason: "too slow".to_owned() })
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_writer_finds_all_that_was_queued_in_a_row() {
        let written = Written::new(cut());
        let wakes = Wakes::gather();
        written.push("one");
        written.push("two");
        assert!(lock(&written.outbox.0.state).writer_waits && written.told.is_empty());
        wakes.release();
        assert_eq!(written.next(), ("writer", words(&["one", "two"])));
        written.rests();
        written.push("three");
        drop(wakes);
        assert_eq!(written.next(), ("writer", words(&["three"])));
        written.rests();
        // From here on each is woken for at once.
        written.push("four");
        assert_eq!(written.next(), ("writer", words(&["four"])));
        written.end();
    }

    #[test]
    fn another_worker_wakes_the_writer_although_this_one_gathers() {
        let written = Written::new(cut());
        let wakes = Wakes::gather();
        written.push("one");
        std::thread::scope(|scope| scope.spawn(|| written.push("two")).join()).expect("no panic");
        assert_eq!(written.next(), ("writer", words(&["one", "two"])));
        written.rests();
        // Nothing is left to do.
        wakes.release_or_write(/*bytes_max*/ 1000);
        assert!(written.told.is_empty());
        drop(wakes);
        written.end();
    }

    #[test]
    fn a_single_message_is_written_at_once_and_more_by_the_writers() {
        let (written, other) = (Written::new(cut()), Written::new(cut()));
        let wakes = Wakes::gather();
        written.push("one");
        wakes.release_or_write(/*bytes_max*/ 6);
        assert_eq!(written.next(), ("way", words(&["one"])));
        written.push("two");
        written.push("three");
        wakes.release_or_write(/*bytes_max*/ 100);
        assert_eq!(written.next(), ("writer", words(&["two", "three"])));
        written.rests();
        written.push("three");
        other.push("other");
        wakes.release_or_write(/*bytes_max*/ 6);
        assert_eq!(written.next(), ("writer", words(&["three"])));
        assert_eq!(other.next(), ("writer", words(&["other"])));
        written.rests();
        written.push("at length");
        wakes.release_or_write(/*bytes_max*/ 6);
        assert_eq!(written.next(), ("writer", words(&["at length"])));
        drop(wakes);
        written.end();
        other.end();
    }

    #[test]
    fn who_waits_for_room_has_woken_everybody_before() {
        let (written, other) = (Written::new(Overflow::Wait), Written::new(cut()));
        let wakes = Wakes::gather();
        other.push("other");
        for message in ["one", "two", "three", "four", "five"] {
            written.push(message);
        }
        assert_eq!(other.next(), ("writer", words(&["other"])));
        drop(wakes);
        let mut all = Vec::new();
        while all.len() < 5 {
            all.extend(written.next().1);
        }
        assert_eq!(all, words(&["one", "two", "three", "four", "five"]));
        written.end();
        other.end();
    }
}
