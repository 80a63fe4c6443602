//! Starts a command that confines itself before it begins.

use std::io;
use std::path::PathBuf;

use super::enforce::Prepared;
use super::spec::{Enforce, Failure, Step};
use crate::sys::child::{self, Child, ChildSpec};

/// A policy made ready for one command's working directory.
#[derive(Debug, Clone)]
pub struct Confinement {
    pub(super) cwd: PathBuf,
    pub(super) enforce: Enforce,
}

/// Why a command did not begin. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The program or the working directory is missing or not to be used. Shown as the operating system
    /// says it.
    #[error("{0}")]
    Command(io::Error),
    /// Its rules could not be applied, so it was not started.
    #[error("cannot {}: {source}", step.words())]
    Rules {
        /// What it was doing.
        step: Step,
        /// The operating system's reason.
        source: io::Error,
    },
}

impl From<Failure> for SpawnError {
    fn from(Failure(step, source): Failure) -> Self {
        Self::Rules { step, source }
    }
}

impl Confinement {
    /// Starts a command and waits until it has begun. The command's folder is the one it was confined for,
    /// whatever `spec` says. It is killed when the OS thread that called this ends, so that must be one that
    /// lives as long as the server.
    ///
    /// # Errors
    /// It did not begin; see [`SpawnError`].
    pub fn spawn(&self, spec: &ChildSpec<'_>) -> Result<Child, SpawnError> {
        let spec = ChildSpec { cwd: &self.cwd, ..*spec };
        if self.enforce.is_nothing() {
            return child::start(&spec).map_err(SpawnError::Command);
        }
        let mut prepared = Prepared::new(&self.enforce)?;
        child::start_confined(&spec, &mut prepared).map_err(|source| match prepared.failed() {
            Some(step) => SpawnError::Rules { step, source },
            None => SpawnError::Command(source),
        })
    }
}
