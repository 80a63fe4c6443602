//! Waiting for many descriptors at once, and being woken by other workers: by `epoll(7)` on Linux, by
//! `select(2)` elsewhere.
//!
//! It may not know what the descriptors are. Whoever calls [`Poller::wait`] is its worker; a [`PollWaker`]
//! may be used by anybody.

#[cfg(target_os = "linux")]
mod epoll;
// Also tested where it is not used.
#[cfg(any(test, not(target_os = "linux")))]
#[cfg_attr(target_os = "linux", allow(unreachable_pub))]
mod select;

#[cfg(target_os = "linux")]
pub use epoll::{PollWaker, Poller};
#[cfg(not(target_os = "linux"))]
pub use select::{PollWaker, Poller};

/// What a descriptor is watched for. Its hang-up is always told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Something can be read.
    Read,
    /// Something can be written.
    Write,
}

#[cfg(test)]
macro_rules! poller_tests {
    ($kind:ident) => {
        mod $kind {
            use std::io;
            use std::sync::Arc;
            use std::sync::atomic::{AtomicUsize, Ordering};

            use super::super::Interest;
            use super::super::$kind::Poller;

            #[test]
            fn what_is_ready_is_told_by_its_number() {
                let mut poller = Poller::new().expect("a poller");
                let (reader, writer) = io::pipe().expect("a pipe");
                poller.add(&reader, /*token*/ 7, Interest::Read).expect("it is watched");
                poller.add(&writer, /*token*/ 8, Interest::Write).expect("it is watched");
                let mut ready = Vec::new();
                poller.wait(&mut ready).expect("it waits");
                assert_eq!(ready, [8]);
                poller.remove(&writer);
                drop(writer);
                poller.wait(&mut ready).expect("it waits");
                assert_eq!(ready, [7], "the end of a pipe is told as well");
            }

            #[test]
            fn no_ring_is_lost() {
                let mut poller = Poller::new().expect("a poller");
                let waker = poller.waker();
                let (count, seen) = (Arc::new(AtomicUsize::new(0)), 20_000);
                std::thread::scope(|scope| {
                    let counted = Arc::clone(&count);
                    scope.spawn(move || {
                        for _ in 0..seen {
                            counted.fetch_add(1, Ordering::SeqCst);
                            waker.wake();
                        }
                    });
                    let mut ready = Vec::new();
                    while count.load(Ordering::SeqCst) < seen {
                        poller.wait(&mut ready).expect("it waits");
                    }
                });
            }
        }
    };
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    poller_tests!(epoll);
    poller_tests!(select);
}
