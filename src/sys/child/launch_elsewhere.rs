//! Where it is not Linux: `std::process::Command` starts a child, and nothing confines it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::Pid;

use super::streams::ChildEnds;
use super::{ChildLimits, ChildSpec, Confine, NOT_INHERITED, apply_limits, close_at_exec, default_signals};
use crate::sys::lineage::{self, Mark};
use crate::sys::rlimit;

/// Starts the child with these ends of its streams.
pub(super) fn run<'a>(
    spec: &ChildSpec<'_>,
    ends: &ChildEnds,
    confine: Option<&'a mut (dyn Confine + 'a)>,
) -> io::Result<Pid> {
    if confine.is_some() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let mut command = Command::new(spec.program);
    command.args(spec.args).current_dir(spec.cwd);
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    for (name, value) in spec.env {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(ends.stdin.try_clone()?);
    command.stdout(ends.stdout.try_clone()?).stderr(ends.stderr.try_clone()?);
    let server = rustix::process::getpid();
    let (has_terminal, limits, mark) = (spec.terminal.is_some(), spec.limits, spec.mark);
    // SAFETY: between fork and exec only system calls are made, on numbers that were there before the fork:
    // no allocation, no lock, no other memory is touched.
    unsafe {
        command.pre_exec(move || prepare(server, has_terminal, limits, mark));
    }
    Ok(Pid::from_child(&command.spawn()?))
}

/// Runs in the child, between fork and exec.
fn prepare(server: Pid, has_terminal: bool, limits: ChildLimits, mark: Option<Mark>) -> io::Result<()> {
    if rustix::process::getppid() != Some(server) {
        return Err(rustix::io::Errno::CANCELED.into());
    }
    rustix::process::setsid()?;
    if has_terminal {
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdout())?;
    }
    if let Some(mark) = mark {
        lineage::put(mark);
    }
    default_signals();
    rlimit::restore_open_files()?;
    apply_limits(limits)?;
    close_at_exec();
    Ok(())
}
