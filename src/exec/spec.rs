//! What to run.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::ResourceLimits;
use crate::limits;
use crate::proto::SandboxPolicy;

/// A command and how it is to be run.
#[derive(Debug, Clone)]
pub struct CommandSpec {
    /// The program, which is looked for in the command's `PATH` unless it has a slash.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// The folder that it starts in, absolute.
    pub cwd: PathBuf,
    /// Variables that differ from the server's: set, or with none taken out.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// Whether it gets input from [`super::Running::write_stdin`]. Without, its input is at its end. A
    /// terminal always gets input.
    pub stdin: bool,
    /// A terminal of this size instead of pipes; everything that the command says is then on stdout.
    pub terminal: Option<TerminalSize>,
    /// It is killed after this; none is never.
    pub timeout: Option<Duration>,
    /// What it may use.
    pub limits: ResourceLimits,
    /// What it may do.
    pub sandbox: SandboxPolicy,
}

/// The size of a terminal in characters, neither of them zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Height.
    pub rows: u16,
    /// Width.
    pub columns: u16,
}

impl Default for TerminalSize {
    fn default() -> Self {
        let (rows, columns) = limits::TERMINAL_SIZE;
        Self { rows, columns }
    }
}

impl CommandSpec {
    /// A command with pipes, without input, timeout and limits.
    #[must_use]
    pub fn new(program: impl Into<OsString>, cwd: impl Into<PathBuf>, sandbox: SandboxPolicy) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            cwd: cwd.into(),
            env: Vec::new(),
            stdin: false,
            terminal: None,
            timeout: None,
            limits: ResourceLimits::default(),
            sandbox,
        }
    }
}
