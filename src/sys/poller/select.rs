//! The poller of other systems: `select(2)` and a pipe. It looks at every descriptor in each wait, which is
//! fine for the commands of one user, and unlike `poll(2)` and `kqueue(2)` it knows terminals on every macOS.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{FdSetElement, FdSetIter, fd_set_insert, fd_set_num_elements, select};
use rustix::io::{Errno, ioctl_fionbio};

use super::Interest;

/// Descriptors under watch, each with a number of its owner's choice. A descriptor stays ready until what
/// it is ready for has been done.
#[derive(Debug)]
pub struct Poller {
    /// Only the waiting worker adds and removes.
    watched: RefCell<Vec<Watched>>,
    /// The waker's other end.
    rung: OwnedFd,
    waker: PollWaker,
}

#[derive(Debug)]
struct Watched {
    descriptor: RawFd,
    token: u64,
    interest: Interest,
}

/// Ends a [`Poller::wait`]; clones wake the same poller.
#[derive(Debug, Clone)]
pub struct PollWaker {
    bell: Arc<OwnedFd>,
    /// It was rung and nobody has come yet: one system call is enough.
    is_rung: Arc<AtomicBool>,
}

impl Poller {
    /// A poller without descriptors.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn new() -> io::Result<Self> {
        let (rung, bell) = io::pipe()?;
        let (rung, bell) = (OwnedFd::from(rung), OwnedFd::from(bell));
        for end in [&rung, &bell] {
            ioctl_fionbio(end, /*value*/ true)?;
        }
        let waker = PollWaker { bell: Arc::new(bell), is_rung: Arc::default() };
        Ok(Self { watched: RefCell::default(), rung, waker })
    }

    /// What wakes this poller.
    #[must_use]
    pub fn waker(&self) -> PollWaker {
        self.waker.clone()
    }

    /// Watches a descriptor, which is known as `token` from here on, until it is removed: it has to stay open
    /// so long.
    ///
    /// # Errors
    /// None; it is fallible because other systems' pollers are.
    pub fn add(&self, source: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        let descriptor = source.as_fd().as_raw_fd();
        self.watched.borrow_mut().push(Watched { descriptor, token, interest });
        Ok(())
    }

    /// Watches a descriptor no longer. To be called before it is closed.
    pub fn remove(&self, source: impl AsFd) {
        let descriptor = source.as_fd().as_raw_fd();
        self.watched.borrow_mut().retain(|watched| watched.descriptor != descriptor);
    }

    /// Waits until something is ready or the waker was rung, and gives the numbers of what is ready.
    ///
    /// # Errors
    /// The operating system's refusal, which does not happen with descriptors of our own.
    pub fn wait(&mut self, ready: &mut Vec<u64>) -> io::Result<()> {
        ready.clear();
        let watched = self.watched.get_mut();
        let rung = self.rung.as_raw_fd();
        let highest = watched.iter().map(|watched| watched.descriptor).fold(rung, RawFd::max);
        let elements = fd_set_num_elements(watched.len() + 1, highest + 1);
        let (mut reads, mut writes);
        loop {
            reads = vec![FdSetElement::default(); elements];
            writes = reads.clone();
            fd_set_insert(&mut reads, rung);
            for Watched { descriptor, interest, .. } in &*watched {
                let set = if *interest == Interest::Read { &mut reads } else { &mut writes };
                fd_set_insert(set, *descriptor);
            }
            // SAFETY: the sets have room for the highest descriptor; one that was closed before it was
            // removed makes the call fail, and another with its number is only looked at.
            match unsafe { select(highest + 1, Some(&mut reads), Some(&mut writes), None, None) } {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let [reads, writes] = [reads, writes].map(|set| FdSetIter::new(&set).collect::<HashSet<RawFd>>());
        if reads.contains(&rung) {
            self.waker.answer(&self.rung);
        }
        ready.extend(watched.iter().filter_map(|Watched { descriptor, token, interest }| {
            let set = if *interest == Interest::Read { &reads } else { &writes };
            set.contains(descriptor).then_some(*token)
        }));
        Ok(())
    }
}

impl PollWaker {
    /// Ends the wait, or the next one if nobody waits now.
    pub fn wake(&self) {
        if !self.is_rung.swap(true, Ordering::SeqCst) {
            // It can only fail when the pipe is full, and then it is rung as well.
            let _ = rustix::io::write(&*self.bell, &[0]);
        }
    }

    fn answer(&self, rung: &OwnedFd) {
        let _ = rustix::io::read(rung, &mut [0; 8]);
        // After the reading: who rings from here on writes again, and what was put down before a ring that
        // wrote nothing is looked at after this.
        self.is_rung.store(false, Ordering::SeqCst);
    }
}
