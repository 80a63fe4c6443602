//! How a command ended, or why it did not start.

use std::io;

use super::limit::ResourceLimit;
use crate::sandbox::SandboxError;
use crate::sys::child::ChildEnd;

/// The exit code of a command that took too long, as `timeout(1)` has it.
const TIMED_OUT_CODE: i32 = 124;
/// The exit code of a command that was killed: 128 and the number of KILL, as shells have it.
const KILLED_CODE: i32 = 137;
/// What is added to a signal's number to make an exit code.
pub(super) const SIGNAL_BASE: i32 = 128;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitOutcome {
    /// Its exit code; 128 and the signal's number if a signal ended it, 124 after a timeout.
    pub code: i32,
    /// Why it ended.
    pub cause: EndCause,
    /// Something that it started still held its output when the deadline for that had passed: some of the
    /// output may be missing.
    pub drain_timed_out: bool,
}

/// Why a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndCause {
    /// By itself.
    Exited,
    /// By a signal that was not ours.
    Signalled,
    /// It took longer than its timeout.
    TimedOut,
    /// It was killed on demand: [`super::Running::kill`], a drop, the server's end.
    Killed,
    /// It used more than it may, as far as that shows.
    Limit(ResourceLimit),
}

/// Why a command did not start.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The operating system refused: no such program, no such folder, not executable, out of resources.
    #[error("{}", .0)]
    Os(#[from] io::Error),
    /// The sandbox that was asked for cannot be enforced here.
    #[error("{0}")]
    Sandbox(#[from] SandboxError),
    /// Its sandbox could not be set up, although it can be in general.
    #[error("{0}")]
    Rules(String),
    /// It was killed, or the server ended, before it could start.
    #[error("the command was killed before it started")]
    Killed,
}

/// Why a command is to end; the first reason is the one that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KillReason {
    TimedOut,
    Demanded,
}

impl ExitOutcome {
    pub(super) fn new(
        end: ChildEnd,
        kill: Option<KillReason>,
        limit: Option<ResourceLimit>,
        drain_timed_out: bool,
    ) -> Self {
        let own = match end {
            ChildEnd::Code(code) => code,
            ChildEnd::Signal(signal) => SIGNAL_BASE + signal,
        };
        // Words may be about anything once it was killed; the signal is not.
        let limit = limit.filter(|limit| kill.is_none() || *limit == ResourceLimit::CpuSeconds);
        if let Some(limit) = limit.filter(|_| kill != Some(KillReason::TimedOut)) {
            return Self { code: own, cause: EndCause::Limit(limit), drain_timed_out };
        }
        let (code, cause) = match (kill, end) {
            (Some(KillReason::TimedOut), _) => (TIMED_OUT_CODE, EndCause::TimedOut),
            // It may have gone at the first, polite signal; for whoever wanted it gone that is the same.
            (Some(KillReason::Demanded), ChildEnd::Signal(_)) => (KILLED_CODE, EndCause::Killed),
            (Some(KillReason::Demanded), ChildEnd::Code(_)) => (own, EndCause::Killed),
            (None, ChildEnd::Signal(_)) => (own, EndCause::Signalled),
            (None, ChildEnd::Code(_)) => (own, EndCause::Exited),
        };
        Self { code, cause, drain_timed_out }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ResourceLimits;
    use super::super::limit::LimitWatch;
    use super::*;

    #[test]
    fn codes_are_those_of_shells() {
        let outcome = |end, kill| {
            let set = ResourceLimits { cpu_secs: Some(1), ..ResourceLimits::default() };
            let limit = LimitWatch::new(set).hit(end);
            let outcome = ExitOutcome::new(end, kill, limit, /*drain_timed_out*/ false);
            (outcome.code, outcome.cause)
        };
        assert_eq!(outcome(ChildEnd::Code(3), None), (3, EndCause::Exited));
        assert_eq!(outcome(ChildEnd::Signal(9), None), (137, EndCause::Signalled));
        assert_eq!(outcome(ChildEnd::Signal(15), Some(KillReason::Demanded)), (137, EndCause::Killed));
        assert_eq!(outcome(ChildEnd::Code(3), Some(KillReason::Demanded)), (3, EndCause::Killed));
        assert_eq!(outcome(ChildEnd::Code(0), Some(KillReason::TimedOut)), (124, EndCause::TimedOut));
        let cpu = EndCause::Limit(ResourceLimit::CpuSeconds);
        assert_eq!(outcome(ChildEnd::Signal(libc::SIGXCPU), None), (152, cpu));
        assert_eq!(outcome(ChildEnd::Code(152), None), (152, cpu), "told by a shell");
    }
}
