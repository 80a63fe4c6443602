//! Where there is no sandbox: commands run as they are, and whoever asks for less is refused.

use std::io;

use super::spec::{Enforce, Found, Step};
use super::stage::Failure;

/// Refuses to confine files.
pub(super) fn files(enforce: &Enforce) -> Result<(), Failure> {
    refuse_unless_nothing(enforce, Step::Mounts)
}

/// Refuses to confine system calls.
pub(super) fn calls(enforce: &Enforce) -> Result<(), Failure> {
    refuse_unless_nothing(enforce, Step::Filter)
}

/// There is no such signal here; the process group is killed by its owner.
pub(super) fn die_with(_parent: u32) -> Result<(), Failure> {
    Ok(())
}

/// Finds nothing.
pub(super) fn probe() -> Found {
    Found::default()
}

fn refuse_unless_nothing(enforce: &Enforce, step: Step) -> Result<(), Failure> {
    if enforce.is_nothing() { Ok(()) } else { Err(Failure(step, io::ErrorKind::Unsupported.into())) }
}
