//! One sandbox for all who start commands, probed once.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::{Confinement, Sandbox, SandboxError, Settings};
use crate::proto::SandboxPolicy;

/// The sandbox of a server. It is probed by whoever needs it first, and everybody else waits for that. Clones
/// share it.
#[derive(Debug, Clone)]
pub struct SharedSandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    probe: fn(Settings) -> Sandbox,
    probed: OnceLock<Sandbox>,
    hidden: OnceLock<PathBuf>,
}

impl SharedSandbox {
    /// One that is not probed yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self::probed_by(settings, Sandbox::probe)
    }

    /// One that will turn out to be able to enforce nothing.
    #[cfg(test)]
    pub(crate) fn hopeless(settings: Settings) -> Self {
        Self::probed_by(settings, Sandbox::hopeless)
    }

    fn probed_by(settings: Settings, probe: fn(Settings) -> Sandbox) -> Self {
        Self(Arc::new(Inner { settings, probe, probed: OnceLock::new(), hidden: OnceLock::new() }))
    }

    /// What can be enforced; waits a few milliseconds for the probe if that is not known yet, so it is not
    /// for the processor.
    #[must_use]
    pub fn wait(&self) -> &Sandbox {
        self.0.probed.get_or_init(|| (self.0.probe)(self.0.settings.clone()))
    }

    /// What can be enforced, if that is known by now.
    #[must_use]
    pub fn get(&self) -> Option<&Sandbox> {
        self.0.probed.get()
    }

    /// Hides the unix socket on which the server listens from confined commands, where they have mounts of
    /// their own: who reaches it may ask for a command without a sandbox.
    pub fn hide(&self, socket: &Path) {
        if let Ok(path) = socket.canonicalize() {
            let _ = self.0.hidden.set(path);
        }
    }

    /// As [`Sandbox::confine`], after [`Self::wait`].
    ///
    /// # Errors
    /// The policy cannot be enforced here.
    pub fn confine(&self, policy: &SandboxPolicy, cwd: &Path) -> Result<Confinement, SandboxError> {
        let mut confinement = self.wait().confine(policy, cwd)?;
        confinement.enforce.hidden.extend(self.0.hidden.get().cloned());
        Ok(confinement)
    }
}
