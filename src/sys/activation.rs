//! Socket activation: a listening socket that a supervisor opened and passes on (`sd_listen_fds(3)`).
//!
//! It may not know what is spoken on the socket.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::SocketAddrUnix;

use crate::error::StartError;

/// The first descriptor that a supervisor passes.
const FIRST: RawFd = 3;

/// Takes the passed socket, if the environment says that there is one for this process. To be called once,
/// before anything else opens a file.
///
/// # Errors
/// There are several, or what was passed is no listening socket.
pub fn take() -> Result<Option<OwnedFd>, StartError> {
    let variable = |name| std::env::var(name).ok();
    let count =
        passed(variable("LISTEN_PID").as_deref(), variable("LISTEN_FDS").as_deref(), std::process::id())?;
    if count == 0 {
        return Ok(None);
    }
    // SAFETY: only borrowed for the check, and the check is what finds out whether it is open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(FIRST) };
    if !is_listening(borrowed).map_err(|error| not_a_listener(&error))? {
        return Err(not_a_listener(&io::Error::from(io::ErrorKind::InvalidInput)));
    }
    // Children must not hold the door open.
    fcntl_setfd(borrowed, FdFlags::CLOEXEC).map_err(|error| not_a_listener(&error.into()))?;
    // SAFETY: LISTEN_PID names this process, so by the protocol the descriptor was passed to it and is
    // ours; it is open, as the check has shown, and nobody else in the process owns it.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(FIRST) }))
}

#[cfg(target_os = "linux")]
fn is_listening(socket: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(rustix::net::sockopt::socket_acceptconn(socket)?)
}

/// Other systems do not tell whether it listens, only what it is.
#[cfg(not(target_os = "linux"))]
fn is_listening(socket: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(rustix::net::sockopt::socket_type(socket)? == rustix::net::SocketType::STREAM)
}

/// How many descriptors are for the process `own`: none or one.
fn passed(pid: Option<&str>, count: Option<&str>, own: u32) -> Result<u32, StartError> {
    let (Some(pid), Some(count)) = (pid, count) else { return Ok(0) };
    // Inherited from a parent that was activated: not for this process.
    if pid.parse() != Ok(own) {
        return Ok(0);
    }
    match count.parse() {
        Ok(count @ 0..=1) => Ok(count),
        _ => Err(StartError::Other(format!(
            "LISTEN_FDS is `{count}`; this server takes one socket: use one ListenStream= per socket unit"
        ))),
    }
}

fn not_a_listener(error: &io::Error) -> StartError {
    StartError::Other(format!(
        "LISTEN_FDS says that descriptor {FIRST} is a listening stream socket, but it is not ({error}); \
         use ListenStream= and Accept=no in the socket unit"
    ))
}

/// Where a socket is in the file system; none for one that is not.
#[must_use]
pub fn unix_path(socket: &OwnedFd) -> Option<PathBuf> {
    let address = SocketAddrUnix::try_from(rustix::net::getsockname(socket).ok()?).ok()?;
    Some(PathBuf::from(OsStr::from_bytes(address.path()?.to_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_socket_for_this_process_is_taken() {
        let passed = |pid, count| passed(pid, count, /*own*/ 42).map_err(|error| error.to_string());
        assert_eq!(passed(Some("42"), Some("1")), Ok(1));
        assert_eq!(passed(Some("42"), Some("0")), Ok(0));
        for (pid, count) in
            [(None, None), (Some("41"), Some("1")), (Some("x"), Some("1")), (Some("42"), None)]
        {
            assert_eq!(passed(pid, count), Ok(0), "{pid:?} {count:?}");
        }
        for count in ["2", "-1", "x"] {
            let error = passed(Some("42"), Some(count)).expect_err(count);
            assert!(error.contains("LISTEN_FDS"), "{error}");
        }
    }
}
