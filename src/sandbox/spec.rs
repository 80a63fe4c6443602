//! What the server tells the helper stage, and what the stage tells back: bytes over a socket that only the
//! two of them know, so that neither the rules nor the environment show in any process list.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use serde::Serialize;

use crate::sys::child::ChildLimits;

/// A command with everything that is done before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spec {
    /// Try out what can be enforced instead of running something.
    pub(super) probe: bool,
    pub(super) enforce: Enforce,
    pub(super) limits: ChildLimits,
    /// Who started the stage; the command dies with it.
    pub(super) parent: u32,
    pub(super) cwd: PathBuf,
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
}

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

/// What the stage was doing when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Understanding what it should do.
    Read,
    /// Making a mount namespace.
    Namespace,
    /// Arranging the mounts in it.
    Mounts,
    /// Landlock.
    Landlock,
    /// Giving up capabilities.
    Capabilities,
    /// Resource limits.
    Limits,
    /// Taking over the standard input.
    Input,
    /// The system call filter.
    Filter,
    /// Binding the command's life to the server's.
    Parent,
    /// Going to the working directory.
    Cwd,
    /// Becoming the program.
    Program,
}

impl Step {
    const ALL: [Self; 11] = [
        Self::Read,
        Self::Namespace,
        Self::Mounts,
        Self::Landlock,
        Self::Capabilities,
        Self::Limits,
        Self::Input,
        Self::Filter,
        Self::Parent,
        Self::Cwd,
        Self::Program,
    ];

    /// The step in words, as `cannot …` goes on.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Read => "read what to do",
            Self::Namespace => "make a mount namespace",
            Self::Mounts => "arrange the mounts",
            Self::Landlock => "apply the landlock rules",
            Self::Capabilities => "give up capabilities",
            Self::Limits => "set the resource limits",
            Self::Input => "take over the standard input",
            Self::Filter => "apply the system call filter",
            Self::Parent => "bind the command to the server",
            Self::Cwd => "go to the working directory",
            Self::Program => "start the program",
        }
    }
}

/// What the stage says before it ends; silence means that it became the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It failed, with the number of the operating system's error.
    Failed(Step, i32),
    /// What the probe found out.
    Probed(Found),
}

/// What a helper stage could do here.
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

impl Verdict {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::new());
        match self {
            Self::Failed(step, errno) => {
                out.byte(0);
                out.byte(*step as u8);
                out.number(u64::from(errno.unsigned_abs()));
            }
            Self::Probed(found) => {
                out.byte(1);
                out.byte(found.mounts as u8);
                out.number(u64::from(found.mounts_errno.unsigned_abs()));
                out.byte(found.landlock_abi);
                out.byte(u8::from(found.signals));
                out.byte(u8::from(found.filter));
            }
        }
        out.0
    }

    pub(super) fn decode(bytes: &[u8]) -> io::Result<Self> {
        let mut from = Reader(bytes);
        let errno = |number: u64| i32::try_from(number).unwrap_or(0);
        match from.byte()? {
            0 => {
                let step = usize::from(from.byte()?);
                let step = Step::ALL.get(step).copied().ok_or_else(garbled)?;
                Ok(Self::Failed(step, errno(from.number()?)))
            }
            1 => Ok(Self::Probed(Found {
                mounts: from.mounts()?,
                mounts_errno: errno(from.number()?),
                landlock_abi: from.byte()?,
                signals: from.flag()?,
                filter: from.flag()?,
            })),
            _ => Err(garbled()),
        }
    }
}

impl Spec {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::new());
        let enforce = &self.enforce;
        for flag in [
            self.probe,
            enforce.files,
            enforce.landlock,
            enforce.no_metadata,
            enforce.no_network,
            enforce.filter,
        ] {
            out.byte(u8::from(flag));
        }
        out.byte(enforce.mounts as u8);
        out.number(enforce.layers.len() as u64);
        for layer in &enforce.layers {
            out.byte(u8::from(layer.writable));
            out.text(layer.path.as_os_str().as_bytes());
        }
        out.number(enforce.hidden.len() as u64);
        for path in &enforce.hidden {
            out.text(path.as_os_str().as_bytes());
        }
        for limit in limits(&self.limits) {
            out.byte(u8::from(limit.is_some()));
            out.number(limit.unwrap_or(0));
        }
        out.number(u64::from(self.parent));
        out.text(self.cwd.as_os_str().as_bytes());
        out.text(self.program.as_bytes());
        out.number(self.args.len() as u64);
        for arg in &self.args {
            out.text(arg.as_bytes());
        }
        out.number(self.env.len() as u64);
        for (name, value) in &self.env {
            out.text(name.as_bytes());
            out.text(value.as_bytes());
        }
        out.0
    }

    pub(super) fn decode(bytes: &[u8]) -> io::Result<Self> {
        let mut from = Reader(bytes);
        let probe = from.flag()?;
        let mut enforce = Enforce {
            files: from.flag()?,
            landlock: from.flag()?,
            no_metadata: from.flag()?,
            no_network: from.flag()?,
            filter: from.flag()?,
            mounts: from.mounts()?,
            layers: Vec::new(),
            hidden: Vec::new(),
        };
        for _ in 0..from.number()? {
            let writable = from.flag()?;
            enforce.layers.push(Layer { writable, path: PathBuf::from(from.text()?) });
        }
        for _ in 0..from.number()? {
            enforce.hidden.push(PathBuf::from(from.text()?));
        }
        let limits = ChildLimits {
            cpu_secs: from.optional()?,
            address_space_bytes: from.optional()?,
            open_files: from.optional()?,
            processes: from.optional()?,
        };
        let parent = u32::try_from(from.number()?).map_err(|_| garbled())?;
        let (cwd, program) = (PathBuf::from(from.text()?), from.text()?);
        let (mut args, mut env) = (Vec::new(), Vec::new());
        for _ in 0..from.number()? {
            args.push(from.text()?);
        }
        for _ in 0..from.number()? {
            env.push((from.text()?, from.text()?));
        }
        Ok(Self { probe, enforce, limits, parent, cwd, program, args, env })
    }
}

/// In the order in which they are read.
fn limits(limits: &ChildLimits) -> [Option<u64>; 4] {
    [limits.cpu_secs, limits.address_space_bytes, limits.open_files, limits.processes]
}

fn garbled() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}

struct Writer(Vec<u8>);

impl Writer {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text);
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> io::Result<u8> {
        let (first, rest) = self.0.split_first().ok_or_else(garbled)?;
        self.0 = rest;
        Ok(*first)
    }

    fn flag(&mut self) -> io::Result<bool> {
        Ok(self.byte()? != 0)
    }

    fn number(&mut self) -> io::Result<u64> {
        let (number, rest) = self.0.split_first_chunk().ok_or_else(garbled)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*number))
    }

    fn text(&mut self) -> io::Result<OsString> {
        let length = usize::try_from(self.number()?).map_err(|_| garbled())?;
        let (text, rest) = self.0.split_at_checked(length).ok_or_else(garbled)?;
        self.0 = rest;
        Ok(OsString::from_vec(text.to_owned()))
    }

    fn optional(&mut self) -> io::Result<Option<u64>> {
        let (is_set, number) = (self.flag()?, self.number()?);
        Ok(is_set.then_some(number))
    }

    fn mounts(&mut self) -> io::Result<Mounts> {
        match self.byte()? {
            0 => Ok(Mounts::None),
            1 => Ok(Mounts::Privileged),
            2 => Ok(Mounts::UserNamespace),
            _ => Err(garbled()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec {
            probe: false,
            enforce: Enforce {
                files: true,
                mounts: Mounts::UserNamespace,
                landlock: true,
                no_metadata: false,
                no_network: true,
                filter: true,
                layers: vec![Layer { path: "/work".into(), writable: true }],
                hidden: vec!["/run/socket".into()],
            },
            limits: ChildLimits { open_files: Some(7), ..ChildLimits::default() },
            parent: 42,
            cwd: "/work".into(),
            program: OsString::from_vec(vec![b'a', 0xff]),
            args: vec!["one".into(), OsString::new()],
            env: vec![("PATH".into(), "/bin".into())],
        }
    }

    #[test]
    fn a_spec_comes_back_as_it_was() {
        assert_eq!(Spec::decode(&spec().encode()).expect("decodes"), spec());
    }

    #[test]
    fn a_cut_spec_is_refused_wherever_it_is_cut() {
        let bytes = spec().encode();
        for end in 0..bytes.len() {
            assert!(Spec::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn verdicts_come_back_as_they_were() {
        let found = Found {
            mounts: Mounts::Privileged,
            mounts_errno: 1,
            landlock_abi: 7,
            signals: true,
            filter: true,
        };
        let failed = Step::ALL.map(|step| Verdict::Failed(step, 13));
        for verdict in failed.into_iter().chain([Verdict::Probed(found)]) {
            assert_eq!(Verdict::decode(&verdict.encode()).expect("decodes"), verdict);
        }
        assert!(Verdict::decode(&[9]).is_err());
    }
}
