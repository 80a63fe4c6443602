//! Which resource limit a command has hit, as far as that shows.
//!
//! The kernel tells of processor time, by a signal. Of the others it tells only the command, by an error
//! number, and what the command makes of it is its own business: so such a limit counts as hit if it is set,
//! the command failed, and the last that it said has the words that programs have for that error.

use super::ResourceLimits;
use super::end::SIGNAL_BASE;
use crate::limits;
use crate::sys::child::ChildEnd;

/// A limit of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceLimit {
    /// Seconds of processor time.
    CpuSeconds,
    /// Bytes of address space.
    AddressSpace,
    /// Open descriptors.
    OpenFiles,
    /// Processes of the user.
    Processes,
}

impl ResourceLimit {
    /// The key that sets it, below `app_server.command_limits`; clients are told this name.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::CpuSeconds => "cpu_secs",
            Self::AddressSpace => "address_space_bytes",
            Self::OpenFiles => "open_files",
            Self::Processes => "processes",
        }
    }

    /// What the C library, the dynamic linker, shells and language runtimes say when they run into it.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::CpuSeconds => &[],
            Self::AddressSpace => &[
                "Cannot allocate memory",
                "cannot allocate memory",
                "failed to map segment",
                "out of memory",
                "Out of memory",
                "memory exhausted",
                "memory allocation of",
                "MemoryError",
                "OutOfMemoryError",
                "bad_alloc",
            ],
            Self::OpenFiles => &["Too many open files", "too many open files", "Error 24"],
            Self::Processes => &["Resource temporarily unavailable", "Cannot fork", "cannot fork"],
        }
    }

    /// Those that are set and show in words only.
    fn worded(set: &ResourceLimits) -> impl Iterator<Item = Self> {
        let is_set = [
            (Self::AddressSpace, set.address_space_bytes),
            (Self::OpenFiles, set.open_files),
            (Self::Processes, set.processes),
        ];
        is_set.into_iter().filter_map(|(limit, value)| value.map(|_| limit))
    }
}

/// Listens for the words.
#[derive(Debug)]
pub(super) struct LimitWatch {
    set: ResourceLimits,
    /// The last that was said, if there is something to listen for.
    last: Option<Vec<u8>>,
}

impl LimitWatch {
    pub(super) fn new(set: ResourceLimits) -> Self {
        let listens = ResourceLimit::worded(&set).next().is_some();
        Self { set, last: listens.then(Vec::new) }
    }

    pub(super) fn hear(&mut self, said: &[u8]) {
        let Some(last) = &mut self.last else { return };
        let said = &said[said.len().saturating_sub(limits::COMMAND_LIMIT_WORDS_BYTES)..];
        last.extend_from_slice(said);
        let surplus = last.len().saturating_sub(limits::COMMAND_LIMIT_WORDS_BYTES);
        last.drain(..surplus);
    }

    /// The limit that brought about this end, if one did.
    pub(super) fn hit(&self, end: ChildEnd) -> Option<ResourceLimit> {
        let code = match end {
            ChildEnd::Code(code) => code,
            ChildEnd::Signal(signal) => SIGNAL_BASE + signal,
        };
        if self.set.cpu_secs.is_some() && code == SIGNAL_BASE + libc::SIGXCPU {
            return Some(ResourceLimit::CpuSeconds);
        }
        let last = self.last.as_ref().filter(|_| code != 0)?;
        let last = String::from_utf8_lossy(last);
        ResourceLimit::worded(&self.set).find(|limit| limit.words().iter().any(|words| last.contains(words)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_hit_if_it_is_set_and_the_command_failed_and_said_so() {
        let set = ResourceLimits { processes: Some(1), open_files: Some(1), ..ResourceLimits::default() };
        let mut watch = LimitWatch::new(set);
        let failed = ChildEnd::Code(2);
        assert_eq!(watch.hit(failed), None);
        watch.hear(b"sh: 1: Cannot fo");
        watch.hear(b"rk\n");
        assert_eq!((watch.hit(failed), watch.hit(ChildEnd::Code(0))), (Some(ResourceLimit::Processes), None));
        // What was said long before is not why it ended.
        watch.hear(&[b'.'; limits::COMMAND_LIMIT_WORDS_BYTES]);
        assert_eq!(watch.hit(failed), None);
        watch.hear(b"MemoryError");
        assert_eq!(watch.hit(failed), None, "no such limit is set");
        let mut nothing = LimitWatch::new(ResourceLimits { cpu_secs: Some(1), ..ResourceLimits::default() });
        nothing.hear(b"Too many open files");
        assert_eq!(nothing.hit(failed), None);
        assert_eq!(nothing.hit(ChildEnd::Signal(libc::SIGXCPU)), Some(ResourceLimit::CpuSeconds));
    }
}
