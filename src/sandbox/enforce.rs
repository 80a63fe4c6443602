//! Linux: the helper stage confines itself. The order matters: mounts while it may still mount, landlock
//! over what is mounted, and the filter last, because it forbids what the others need.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;
use rustix::process::Signal;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::spec::{Enforce, Found, Layer, Mounts, Step};
use super::stage::{Failure, at};
use super::{filter, rules};
use crate::sys::namespace;

/// What a confined root keeps: owning and reading files, changing its user, low ports. Not what reaches past
/// files and processes of its own.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::NET_BIND_SERVICE);

/// Confines what may be written.
pub(super) fn files(enforce: &Enforce) -> Result<(), Failure> {
    if enforce.is_nothing() {
        return Ok(());
    }
    rustix::thread::set_no_new_privs(/*no_new_privs*/ true).map_err(at(Step::Capabilities))?;
    if !enforce.files {
        return Ok(());
    }
    match enforce.mounts {
        Mounts::None => {}
        Mounts::Privileged => namespace::unshare_mounts().map_err(at(Step::Namespace))?,
        Mounts::UserNamespace => namespace::unshare_user_and_mounts().map_err(at(Step::Namespace))?,
    }
    if enforce.mounts != Mounts::None {
        arrange(&enforce.layers, &enforce.hidden).map_err(at(Step::Mounts))?;
    }
    if enforce.landlock && rules::apply(&enforce.layers).map_err(at(Step::Landlock))? == 0 {
        return Err(Failure(Step::Landlock, io::ErrorKind::Unsupported.into()));
    }
    drop_capabilities().map_err(at(Step::Capabilities))
}

/// Confines which system calls may be made.
pub(super) fn calls(enforce: &Enforce) -> Result<(), Failure> {
    if enforce.filter { filter::apply(enforce).map_err(at(Step::Filter)) } else { Ok(()) }
}

/// Has this process killed when its parent ends, also if that has happened by now.
pub(super) fn die_with(parent: u32) -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(at(Step::Parent))?;
    let is_parent = |pid: rustix::process::Pid| u32::try_from(pid.as_raw_nonzero().get()) == Ok(parent);
    match rustix::process::getppid() {
        Some(pid) if is_parent(pid) => Ok(()),
        _ => Err(Failure(Step::Parent, io::Error::from_raw_os_error(libc::ESRCH))),
    }
}

/// Everything read-only, then the layers over it, then what hides.
fn arrange(layers: &[Layer], hidden: &[PathBuf]) -> io::Result<()> {
    let root = namespace::open_place(Path::new("/"))?;
    // First of all, or what is mounted here would show up outside.
    namespace::make_private(&root)?;
    let copies = layers.iter().map(|layer| {
        let copy = namespace::copy_tree(&namespace::open_place(&layer.path)?)?;
        if !layer.writable {
            namespace::make_read_only(&copy)?;
        }
        Ok(copy)
    });
    let copies = copies.collect::<io::Result<Vec<_>>>()?;
    // A mount over the root is not seen by who stands in the root already.
    let is_all_writable = layers.iter().any(|layer| layer.writable && layer.path == Path::new("/"));
    if !is_all_writable {
        namespace::make_read_only(&root)?;
    }
    for (layer, copy) in layers.iter().zip(&copies).filter(|(layer, _)| layer.path != Path::new("/")) {
        // Looked up again: the place may lie in what was just attached.
        namespace::attach_tree(copy, &namespace::open_place(&layer.path)?)?;
    }
    for path in hidden {
        let place = match namespace::open_place(path) {
            Ok(place) => place,
            // Nothing is there that could be found.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let nothing = namespace::copy_tree(&namespace::open_place(Path::new("/dev/null"))?)?;
        namespace::attach_tree(&nothing, &place)?;
    }
    Ok(())
}

fn drop_capabilities() -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        // Becoming a program takes them all away.
        return Ok(());
    }
    let held = rustix::thread::capabilities(/*pid*/ None)?;
    if held.effective.contains(CapabilitySet::SETPCAP) {
        // Bits beyond the newest capability are unknown to the kernel.
        for bit in 0..u64::BITS {
            let capability = CapabilitySet::from_bits_retain(1 << bit);
            if KEPT.contains(capability) {
                continue;
            }
            match rustix::thread::remove_capability_from_bounding_set(capability) {
                Ok(()) => {}
                Err(rustix::io::Errno::INVAL) => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    let kept = held.permitted & KEPT;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    Ok(rustix::thread::set_capabilities(/*pid*/ None, sets)?)
}

/// Tries out everything, as far as it goes.
pub(super) fn probe() -> Found {
    let mut found = Found::default();
    if rustix::thread::set_no_new_privs(/*no_new_privs*/ true).is_err() {
        return found;
    }
    match probe_mounts() {
        Ok(mounts) => found.mounts = mounts,
        Err(error) => found.mounts_errno = error.raw_os_error().unwrap_or(libc::EINVAL),
    }
    found.landlock_abi = rules::apply(&[]).unwrap_or(0);
    found.signals = matches!(
        rustix::process::getppid().map(rustix::process::test_kill_process),
        Some(Err(rustix::io::Errno::PERM))
    );
    let enforce = Enforce { no_network: true, ..Enforce::default() };
    let open = |family| rustix::net::socket(family, rustix::net::SocketType::STREAM, None);
    found.filter = filter::apply(&enforce).is_ok()
        && open(rustix::net::AddressFamily::INET).is_err_and(|error| error == rustix::io::Errno::PERM)
        && open(rustix::net::AddressFamily::UNIX).is_ok();
    found
}

fn probe_mounts() -> io::Result<Mounts> {
    let mounts = match namespace::unshare_mounts() {
        Ok(()) => Mounts::Privileged,
        Err(_) => {
            namespace::unshare_user_and_mounts()?;
            Mounts::UserNamespace
        }
    };
    let writable = Path::new("/dev");
    arrange(&[Layer { path: writable.to_owned(), writable: true }], /*hidden*/ &[])?;
    let is_read_only = |path: &Path| {
        Ok::<_, io::Error>(rustix::fs::statvfs(path)?.f_flag.contains(StatVfsMountFlags::RDONLY))
    };
    if is_read_only(Path::new("/"))? { Ok(mounts) } else { Err(io::ErrorKind::Unsupported.into()) }
}
