//! Where there is no sandbox: commands run as they are, and whoever asks for less is refused.

use std::io;

use super::spec::{Enforce, Failure, Found, Step};
use crate::sys::child::Confine;

/// Nothing can be prepared here.
pub(super) enum Prepared {}

impl Prepared {
    /// Refuses to confine anything.
    pub(super) fn new(_: &Enforce) -> Result<Self, Failure> {
        Err(Failure(Step::Mounts, io::ErrorKind::Unsupported.into()))
    }

    pub(super) fn failed(&self) -> Option<Step> {
        match *self {}
    }
}

impl Confine for Prepared {
    fn files(&mut self) -> io::Result<()> {
        match *self {}
    }

    fn calls(&mut self) -> io::Result<()> {
        match *self {}
    }
}

/// Finds nothing.
pub(super) fn probe() -> io::Result<Found> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "there is no sandbox on this platform"))
}
