//! Linux: becoming another program without a copy of the server.
//!
//! A `fork` copies the page tables of the whole server, and afterwards every page that either side writes to;
//! `std::process::Command` forks as soon as anything is to be done before the program begins. So the child is
//! made as `posix_spawn` makes it: `clone` with `CLONE_VM` and `CLONE_VFORK` on a stack of its own. It runs
//! in the server's memory, in place of the OS thread that called, which waits until the program has begun or
//! something has failed. All that it needs is made ready before; it only makes system calls, so that one that
//! is killed half way leaves no lock taken and nothing half changed.
//!
//! What went wrong is left in the memory that both have: there is no pipe for it.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::ptr;

use rustix::process::{Pid, Signal};

use super::streams::ChildEnds;
use super::{
    ChildLimits, ChildSpec, Confine, NOT_INHERITED, apply_limits, close_at_exec, default_signals, reap,
};
use crate::sys::lineage::{self, Mark};
use crate::sys::rlimit;

/// Bytes of a child's stack. It calls a few small functions; unoptimised ones are larger.
const STACK_BYTES: usize = 128 * 1024;
/// Where programs are looked for when the environment does not say.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// What runs a file that is executable and in no format that the system knows, as `execvp(3)` has it.
const SHELL: &std::ffi::CStr = c"/bin/sh";
/// The exit code of a child that did not become its program; nobody sees it.
const FAILED: c_int = 127;

/// Everything about a child, made ready.
struct Orders<'a> {
    program: Program,
    cwd: CString,
    stdio: [RawFd; 3],
    server: Pid,
    has_terminal: bool,
    limits: ChildLimits,
    mark: Option<Mark>,
    confine: Option<&'a mut dyn Confine>,
    /// What the child could not do.
    failure: Option<io::Error>,
}

/// Starts the child with these ends of its streams. It has begun its program when this returns.
pub(super) fn run<'a>(
    spec: &ChildSpec<'_>,
    ends: &ChildEnds,
    confine: Option<&'a mut (dyn Confine + 'a)>,
) -> io::Result<Pid> {
    let mut orders = Orders {
        program: Program::new(spec)?,
        cwd: text(spec.cwd.as_os_str().to_owned())?,
        stdio: [ends.stdin.as_raw_fd(), ends.stdout.as_raw_fd(), ends.stderr.as_raw_fd()],
        server: rustix::process::getpid(),
        has_terminal: spec.terminal.is_some(),
        limits: spec.limits,
        mark: spec.mark,
        confine,
        failure: None,
    };
    let pid = in_a_child(|| {
        let error = orders.carry_out();
        orders.failure = Some(error);
    })?;
    match orders.failure {
        None => Ok(pid),
        Some(error) => {
            reap(pid);
            Err(error)
        }
    }
}

/// Does something in a process of its own, which shares this one's memory and is gone afterwards. The calling
/// OS thread waits for it. `work` should make system calls only: whatever kills it must leave nothing half
/// done.
///
/// # Errors
/// The operating system's refusal of the process.
pub fn aside(work: impl FnMut()) -> io::Result<()> {
    reap(in_a_child(work)?);
    Ok(())
}

/// A child that does this, and ends unless it has become a program by then.
fn in_a_child<F: FnMut()>(mut work: F) -> io::Result<Pid> {
    extern "C" fn child<F: FnMut()>(work: *mut c_void) -> c_int {
        // SAFETY: it is the closure that `in_a_child` passes, and nobody else uses it before this ends.
        unsafe { (*work.cast::<F>())() };
        // SAFETY: it does not come back; nothing of the server's is flushed or torn down.
        unsafe { libc::_exit(FAILED) }
    }
    let mut stack = Box::<[u128]>::new_uninit_slice(STACK_BYTES / size_of::<u128>());
    let top = stack.as_mut_ptr_range().end;
    // No handler of the server's may run in the child: it would do its work in the server's memory.
    let before = mask_signals();
    // SAFETY: the stack is aligned, large enough for what the child calls, and outlives the child's use of
    // it, as does `work`: CLONE_VFORK lets this OS thread go on only when the child has left this memory.
    // Until then it alone acts for this OS thread, whose thread-local memory (errno) it uses. A panic in
    // `work` cannot unwind past `child`.
    let pid = unsafe {
        libc::clone(
            child::<F>,
            top.cast(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
            (&raw mut work).cast(),
        )
    };
    let outcome = Pid::from_raw(pid.max(0)).ok_or_else(io::Error::last_os_error);
    set_mask(&before);
    outcome
}

impl Orders<'_> {
    /// Runs in the child. Comes back only with a failure.
    fn carry_out(&mut self) -> io::Error {
        match self.prepare() {
            Ok(()) => self.program.begin(),
            Err(error) => error,
        }
    }

    fn prepare(&mut self) -> io::Result<()> {
        self.die_with_the_server()?;
        rustix::process::setsid()?;
        for (to, from) in (0..).zip(self.stdio) {
            // SAFETY: a system call that takes two numbers; the standard descriptors of this process are its
            // own, and nothing uses them before the program.
            if unsafe { libc::dup2(from, to) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        if self.has_terminal {
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdout())?;
        }
        if let Some(mark) = self.mark {
            lineage::put(mark);
        }
        default_signals();
        rlimit::restore_open_files()?;
        close_at_exec();
        if let Some(confine) = &mut self.confine {
            confine.files()?;
        }
        // After that: a working directory from before could still be a place that is writable.
        rustix::process::chdir(self.cwd.as_c_str())?;
        apply_limits(self.limits)?;
        if let Some(confine) = &mut self.confine {
            confine.calls()?;
            // A change of privileges takes the death signal back.
            self.die_with_the_server()?;
        }
        unmask_signals();
        Ok(())
    }

    fn die_with_the_server(&self) -> io::Result<()> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The server may have ended before the line above, and then nobody sends the signal.
        if rustix::process::getppid() == Some(self.server) {
            Ok(())
        } else {
            Err(rustix::io::Errno::CANCELED.into())
        }
    }
}

/// A program with its words and its environment, as the system call takes them.
struct Program {
    /// The places where it may be, in their order.
    paths: Vec<CString>,
    /// The shell, the program's name, its arguments, and null.
    words: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    /// What the pointers point into.
    _texts: Vec<CString>,
}

impl Program {
    fn new(spec: &ChildSpec<'_>) -> io::Result<Self> {
        let environment = environment(spec.env);
        let paths = paths(spec.program, environment.get(OsStr::new("PATH")))?;
        let mut texts = Vec::with_capacity(1 + spec.args.len() + environment.len());
        texts.push(text(spec.program.to_owned())?);
        for arg in spec.args {
            texts.push(text(arg.clone())?);
        }
        let words = texts.len();
        for (mut variable, value) in environment {
            variable.push("=");
            variable.push(value);
            texts.push(text(variable)?);
        }
        let ended = |texts: &[CString]| {
            texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect::<Vec<_>>()
        };
        let (words, environment) = texts.split_at(words);
        let (mut words, environment) = (ended(words), ended(environment));
        words.insert(0, SHELL.as_ptr());
        Ok(Self { paths, words, environment, _texts: texts })
    }

    /// Becomes the program, the first that is there, as `execvp(3)` does. Comes back only with a failure.
    fn begin(&mut self) -> io::Error {
        let (mut failure, mut is_denied) = (libc::ENOENT, false);
        for path in &self.paths {
            let Some(words) = self.words.get(1..) else { break };
            // SAFETY: `words` and the environment are texts that end with NUL, and end with null themselves.
            unsafe { libc::execve(path.as_ptr(), words.as_ptr(), self.environment.as_ptr()) };
            let mut error = io::Error::last_os_error();
            if error.raw_os_error() == Some(libc::ENOEXEC)
                && let Some(name) = self.words.get_mut(1)
            {
                *name = path.as_ptr();
                // SAFETY: as above.
                unsafe { libc::execve(SHELL.as_ptr(), self.words.as_ptr(), self.environment.as_ptr()) };
                error = io::Error::last_os_error();
            }
            match error.raw_os_error() {
                Some(libc::EACCES) => is_denied = true,
                Some(libc::ENOENT | libc::ENOTDIR | libc::ENODEV | libc::ESTALE | libc::ETIMEDOUT) => {}
                _ => return error,
            }
            failure = error.raw_os_error().unwrap_or(libc::ENOENT);
        }
        io::Error::from_raw_os_error(if is_denied { libc::EACCES } else { failure })
    }
}

/// The environment of a child with these changes.
fn environment(changes: &[(OsString, Option<OsString>)]) -> BTreeMap<OsString, OsString> {
    let mut all: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    for name in NOT_INHERITED {
        all.remove(OsStr::new(name));
    }
    for (name, value) in changes {
        match value {
            Some(value) => all.insert(name.clone(), value.clone()),
            None => all.remove(name),
        };
    }
    all
}

/// Where a program may be: itself, if it is a path, else in the folders of the child's `PATH`.
fn paths(program: &OsStr, path: Option<&OsString>) -> io::Result<Vec<CString>> {
    let name = program.as_bytes();
    if name.contains(&b'/') {
        return Ok(vec![text(program.to_owned())?]);
    }
    let folders = path.map_or(DEFAULT_PATH.as_bytes(), |path| path.as_bytes());
    let place = |folder: &[u8]| {
        let mut place = folder.to_vec();
        if !folder.is_empty() {
            place.push(b'/');
        }
        place.extend_from_slice(name);
        text(OsString::from_vec(place))
    };
    folders.split(|&byte| byte == b':').map(place).collect()
}

fn text(text: OsString) -> io::Result<CString> {
    let what = "a nul byte in the program's name, its folder, its arguments or its environment";
    CString::new(text.into_vec()).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, what))
}

/// Holds all signals back from this OS thread. Gives what was held back before.
fn mask_signals() -> libc::sigset_t {
    let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: the first call fills `all`, and the second one `before`; neither fails with these arguments.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    }
}

fn unmask_signals() {
    let mut none = MaybeUninit::uninit();
    // SAFETY: the call fills `none`; it does not fail.
    let none = unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        none.assume_init()
    };
    set_mask(&none);
}

fn set_mask(signals: &libc::sigset_t) {
    // SAFETY: a system call that reads the set.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, signals, ptr::null_mut()) };
}
