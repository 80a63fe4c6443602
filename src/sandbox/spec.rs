//! What is enforced, by which means, and what was found out about them.

use std::io;
use std::path::PathBuf;

use serde::Serialize;

/// What is enforced, and by which means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Enforce {
    /// Files are confined: only `layers` may be written.
    pub(super) files: bool,
    pub(super) mounts: Mounts,
    pub(super) landlock: bool,
    /// Nothing about a file may be changed, its mode and owner neither.
    pub(super) no_metadata: bool,
    /// No socket but a unix one.
    pub(super) no_network: bool,
    /// The system call filter, with the escapes closed.
    pub(super) filter: bool,
    /// From the outermost to the innermost; the last that holds a path decides.
    pub(super) layers: Vec<Layer>,
    /// Files that look like an empty device, so that nobody finds a socket there. Needs mounts.
    pub(super) hidden: Vec<PathBuf>,
}

impl Enforce {
    /// True if there is nothing to do.
    pub(super) fn is_nothing(&self) -> bool {
        !self.files && !self.no_network && !self.filter
    }
}

/// A place, and whether it may be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) path: PathBuf,
    pub(super) writable: bool,
}

/// How a process gets mounts of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Mounts {
    /// It cannot.
    #[default]
    None,
    /// By its own privilege.
    Privileged,
    /// In a user namespace.
    UserNamespace,
}

/// What a child was doing to itself when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Making a mount namespace.
    Namespace,
    /// Arranging the mounts in it.
    Mounts,
    /// Landlock.
    Landlock,
    /// Giving up capabilities.
    Capabilities,
    /// The system call filter.
    Filter,
}

impl Step {
    /// The step in words, as `cannot …` goes on.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Namespace => "make a mount namespace",
            Self::Mounts => "arrange the mounts",
            Self::Landlock => "apply the landlock rules",
            Self::Capabilities => "give up capabilities",
            Self::Filter => "apply the system call filter",
        }
    }
}

/// What went wrong, and where.
#[derive(Debug)]
pub(super) struct Failure(pub(super) Step, pub(super) io::Error);

/// `map_err` with the step.
#[cfg(target_os = "linux")]
pub(super) fn at<E: Into<io::Error>>(step: Step) -> impl FnOnce(E) -> Failure {
    move |error| Failure(step, error.into())
}

/// What a child could do to itself here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) mounts: Mounts,
    /// Why there are no mounts; an error's number.
    pub(super) mounts_errno: i32,
    /// Landlock's version in force; 0 is none.
    pub(super) landlock_abi: u8,
    /// A process outside could not be sent a signal.
    pub(super) signals: bool,
    /// The filter was accepted and kept a socket from being opened.
    pub(super) filter: bool,
}
