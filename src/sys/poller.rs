//! Waiting for many descriptors at once, and being woken by other workers: `epoll(7)` and `eventfd(2)`.
//!
//! It may not know what the descriptors are. Whoever calls [`Poller::wait`] is its worker; a [`PollWaker`]
//! may be used by anybody.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::io::Errno;

/// What a descriptor is watched for. Its hang-up is always told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Something can be read.
    Read,
    /// Something can be written.
    Write,
}

/// Descriptors under watch, each with a number of its owner's choice. A descriptor stays ready until what
/// it is ready for has been done.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
    waker: PollWaker,
}

/// Ends a [`Poller::wait`]; clones wake the same poller.
#[derive(Debug, Clone)]
pub struct PollWaker {
    event: Arc<OwnedFd>,
    /// It was rung and nobody has come yet: one system call is enough.
    is_rung: Arc<AtomicBool>,
}

/// The number of the waker's own descriptor.
const WAKE: u64 = u64::MAX;
/// Events that one wait takes.
const EVENTS: usize = 64;

impl Poller {
    /// A poller without descriptors.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let event = eventfd(/*initval*/ 0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &event, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        let waker = PollWaker { event: Arc::new(event), is_rung: Arc::default() };
        Ok(Self { epoll, waker })
    }

    /// What wakes this poller.
    #[must_use]
    pub fn waker(&self) -> PollWaker {
        self.waker.clone()
    }

    /// Watches a descriptor, which is known as `token` (any number but the largest) from here on.
    ///
    /// # Errors
    /// The operating system's refusal: out of memory or of watches.
    pub fn add(&self, source: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        let flags = match interest {
            Interest::Read => epoll::EventFlags::IN,
            Interest::Write => epoll::EventFlags::OUT,
        };
        Ok(epoll::add(&self.epoll, source, epoll::EventData::new_u64(token), flags)?)
    }

    /// Watches a descriptor no longer. To be called before it is closed, because a child may still hold it.
    pub fn remove(&self, source: impl AsFd) {
        if let Err(error) = epoll::delete(&self.epoll, source) {
            tracing::debug!(%error, "a descriptor was not under watch");
        }
    }

    /// Waits until something is ready or the waker was rung, and gives the numbers of what is ready.
    ///
    /// # Errors
    /// The operating system's refusal, which does not happen with descriptors of our own.
    pub fn wait(&mut self, ready: &mut Vec<u64>) -> io::Result<()> {
        ready.clear();
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); EVENTS];
        let events = loop {
            match epoll::wait(&self.epoll, &mut events, /*timeout*/ None) {
                Ok((events, _)) => break events,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        for event in events {
            match event.data.u64() {
                WAKE => self.waker.answer(),
                token => ready.push(token),
            }
        }
        Ok(())
    }
}

impl PollWaker {
    /// Ends the wait, or the next one if nobody waits now.
    pub fn wake(&self) {
        if !self.is_rung.swap(true, Ordering::SeqCst) {
            // It can only fail when the count is at its end, and then it is rung as well.
            let _ = rustix::io::write(&*self.event, &1_u64.to_ne_bytes());
        }
    }

    fn answer(&self) {
        let _ = rustix::io::read(&*self.event, &mut [0; 8]);
        // After the reading: who rings from here on writes again, and what was put down before a ring that
        // wrote nothing is looked at after this.
        self.is_rung.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let (count, seen) = (Arc::new(std::sync::atomic::AtomicUsize::new(0)), 20_000);
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
