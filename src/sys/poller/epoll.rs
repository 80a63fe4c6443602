//! The poller of Linux: `epoll(7)` and `eventfd(2)`.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::io::Errno;

use super::Interest;

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
