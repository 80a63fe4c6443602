//! A view of the file system of one's own: mounts that nobody else sees, made read-only where they should be.
//!
//! For a child between its birth and its program ([`super::child::Confine`]): nothing here allocates. It may
//! not know what the rules are for.

use std::ffi::CStr;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use rustix::thread::UnshareFlags;

/// Leaves the mount namespace of the parent, as one who may do so.
///
/// # Errors
/// EPERM for who has no `CAP_SYS_ADMIN`.
pub fn unshare_mounts() -> io::Result<()> {
    unshare(UnshareFlags::NEWNS)
}

/// Leaves the mount namespace by way of a user namespace, in which the caller keeps its user and group ids.
/// Supplementary groups stay in force.
///
/// # Errors
/// The operating system's refusal; containers and hardened systems refuse this. The process should then end:
/// it may be half way.
pub fn unshare_user_and_mounts() -> io::Result<()> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)?;
    say(c"/proc/self/setgroups", b"deny")?;
    say_one(c"/proc/self/uid_map", user)?;
    say_one(c"/proc/self/gid_map", group)
}

/// An id inside of the namespace is the same outside.
fn say_one(file: &CStr, id: u32) -> io::Result<()> {
    let mut line = [0; 32];
    let mut rest = &mut line[..];
    write!(rest, "{id} {id} 1")?;
    let left = rest.len();
    say(file, &line[..line.len() - left])
}

fn say(file: &CStr, text: &[u8]) -> io::Result<()> {
    let file = rustix::fs::open(file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text)?;
    Ok(())
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: the hazard of this call is FILES, which takes descriptors away from other OS threads; it is
    // not among the flags of the callers.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

/// Opens a place without reading it. A symbolic link anywhere in the path is refused with ELOOP: the path was
/// resolved before, so a link means that somebody changed it since.
///
/// # Errors
/// The operating system's refusal.
pub fn open_place(path: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?)
}

/// Copies the mounts at and below a place, attached nowhere yet.
///
/// # Errors
/// The operating system's refusal.
pub fn copy_tree(place: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    Ok(open_tree(place, c"", flags)?)
}

/// Attaches copied mounts over a place.
///
/// # Errors
/// The operating system's refusal.
pub fn attach_tree(tree: &OwnedFd, place: &OwnedFd) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(tree, c"", place, c"", flags)?)
}

/// Keeps what is mounted from here on to this namespace, for the mount `at` and all below it.
///
/// # Errors
/// The operating system's refusal; before Linux 5.12 there is no such call.
pub fn make_private(at: &impl AsFd) -> io::Result<()> {
    set_attributes(at, /*attributes*/ 0, libc::MS_PRIVATE)
}

/// Makes the mount `at` and all below it read-only.
///
/// # Errors
/// As of [`make_private`].
pub fn make_read_only(at: &impl AsFd) -> io::Result<()> {
    set_attributes(at, libc::MOUNT_ATTR_RDONLY, /*propagation*/ 0)
}

fn set_attributes(at: &impl AsFd, attributes: u64, propagation: u64) -> io::Result<()> {
    let wanted = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation, userns_fd: 0 };
    // SAFETY: the descriptor is open, the path is a text that ends with NUL, and the struct is the kernel's
    // own, passed with its size; the call only reads it.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            at.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const wanted,
            size_of::<libc::mount_attr>(),
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
