//! Linux: a child confines itself. The order matters: mounts while it may still mount, landlock over what is
//! mounted, and the filter last, because it forbids what the others need.
//!
//! [`Prepared::new`] runs in the server and makes all that is needed; the rest runs in the child, in the
//! server's memory (`sys::child`), and makes system calls only.

use std::ffi::CString;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use rustix::path::Arg;
use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::BpfProgram;

use super::spec::{Enforce, Failure, Found, Layer, Mounts, Step, at};
use super::{filter, rules};
use crate::sys::child::{self, Confine};
use crate::sys::{landlock, namespace};

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

/// All that a child needs to confine itself.
pub(super) struct Prepared {
    /// Files are confined.
    files: bool,
    mounts: Mounts,
    arrangement: Arrangement,
    /// The landlock rules, if they are to be applied.
    rules: Option<OwnedFd>,
    filter: Option<&'static BpfProgram>,
    /// What failed in the child.
    failed: Option<Step>,
}

/// What is mounted how.
struct Arrangement {
    /// Places below the root, and whether they may be written.
    layers: Vec<(CString, bool)>,
    is_root_writable: bool,
    hidden: Vec<CString>,
    /// Room for a copy of each layer's mounts. The descriptors in it are the child's, whose memory this also
    /// is: the server must not close what has the same numbers there.
    copies: Vec<ManuallyDrop<OwnedFd>>,
}

impl Prepared {
    /// Makes everything ready.
    pub(super) fn new(enforce: &Enforce) -> Result<Self, Failure> {
        let rules = match enforce.files && enforce.landlock {
            false => None,
            true => {
                let rules = rules::make(&enforce.layers).map_err(at(Step::Landlock))?;
                let none = || Failure(Step::Landlock, io::ErrorKind::Unsupported.into());
                Some(rules.ok_or_else(none)?)
            }
        };
        let filter = match enforce.filter {
            true => Some(filter::compiled(enforce).map_err(at(Step::Filter))?),
            false => None,
        };
        let arrangement = Arrangement::new(&enforce.layers, &enforce.hidden).map_err(at(Step::Mounts))?;
        let (files, mounts) = (enforce.files, enforce.mounts);
        Ok(Self { files, mounts, arrangement, rules, filter, failed: None })
    }

    /// What failed in the child, if it was this.
    pub(super) fn failed(&self) -> Option<Step> {
        self.failed
    }

    fn confine_files(&mut self) -> Result<(), Failure> {
        rustix::thread::set_no_new_privs(/*no_new_privs*/ true).map_err(at(Step::Capabilities))?;
        if !self.files {
            return Ok(());
        }
        match self.mounts {
            Mounts::None => {}
            Mounts::Privileged => namespace::unshare_mounts().map_err(at(Step::Namespace))?,
            Mounts::UserNamespace => namespace::unshare_user_and_mounts().map_err(at(Step::Namespace))?,
        }
        if self.mounts != Mounts::None {
            self.arrangement.carry_out().map_err(at(Step::Mounts))?;
        }
        if let Some(rules) = &self.rules {
            landlock::restrict_self(rules.as_fd()).map_err(at(Step::Landlock))?;
        }
        drop_capabilities().map_err(at(Step::Capabilities))
    }

    fn note(&mut self, outcome: Result<(), Failure>) -> io::Result<()> {
        outcome.map_err(|Failure(step, error)| {
            self.failed = Some(step);
            error
        })
    }
}

impl Confine for Prepared {
    fn files(&mut self) -> io::Result<()> {
        let outcome = self.confine_files();
        self.note(outcome)
    }

    fn calls(&mut self) -> io::Result<()> {
        let outcome = self.filter.map_or(Ok(()), filter::apply);
        self.note(outcome.map_err(at(Step::Filter)))
    }
}

impl Arrangement {
    fn new(layers: &[Layer], hidden: &[PathBuf]) -> io::Result<Self> {
        let root = Path::new("/");
        let below = layers.iter().filter(|layer| layer.path != root);
        let layers_below = below.map(|layer| Ok((text(&layer.path)?, layer.writable)));
        let layers_below = layers_below.collect::<io::Result<Vec<_>>>()?;
        Ok(Self {
            copies: Vec::with_capacity(layers_below.len()),
            layers: layers_below,
            // A mount over the root is not seen by who stands in the root already.
            is_root_writable: layers.iter().any(|layer| layer.writable && layer.path == root),
            hidden: hidden.iter().map(|path| text(path)).collect::<io::Result<_>>()?,
        })
    }

    /// Everything read-only, then the layers over it, then what hides.
    fn carry_out(&mut self) -> io::Result<()> {
        let root = namespace::open_place(c"/")?;
        // First of all, or what is mounted here would show up outside.
        namespace::make_private(&root)?;
        for (path, writable) in &self.layers {
            let copy = ManuallyDrop::new(namespace::copy_tree(&namespace::open_place(path)?)?);
            if !writable {
                namespace::make_read_only(&*copy)?;
            }
            // There is room: nothing is allocated.
            self.copies.push(copy);
        }
        if !self.is_root_writable {
            namespace::make_read_only(&root)?;
        }
        for ((path, _), copy) in self.layers.iter().zip(&self.copies) {
            // Looked up again: the place may lie in what was just attached.
            namespace::attach_tree(copy, &namespace::open_place(path)?)?;
        }
        for path in &self.hidden {
            let place = match namespace::open_place(path) {
                Ok(place) => place,
                // Nothing is there that could be found.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let nothing = namespace::copy_tree(&namespace::open_place(c"/dev/null")?)?;
            namespace::attach_tree(&nothing, &place)?;
        }
        Ok(())
    }
}

fn text(path: &Path) -> io::Result<CString> {
    Ok(path.into_c_str()?.into_owned())
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
                Err(Errno::INVAL) => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    let kept = held.permitted & KEPT;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    Ok(rustix::thread::set_capabilities(/*pid*/ None, sets)?)
}

/// Tries out everything, as far as it goes, in a process that is gone afterwards.
pub(super) fn probe() -> io::Result<Found> {
    let mut found = Found::default();
    let writable = [Layer { path: "/dev".into(), writable: true }];
    let rules = rules::make(&[]).ok().flatten();
    let landlock_abi = rules::effective_version();
    let no_network = filter::compiled(&Enforce { no_network: true, ..Enforce::default() }).ok();
    let mut arrangement = Arrangement::new(&writable, /*hidden*/ &[])?;
    child::aside(|| {
        if rustix::thread::set_no_new_privs(/*no_new_privs*/ true).is_err() {
            return;
        }
        match probe_mounts(&mut arrangement) {
            Ok(mounts) => found.mounts = mounts,
            Err(error) => found.mounts_errno = error.raw_os_error().unwrap_or(libc::EINVAL),
        }
        if rules.as_ref().is_some_and(|rules| landlock::restrict_self(rules.as_fd()).is_ok()) {
            found.landlock_abi = landlock_abi;
        }
        found.signals = matches!(
            rustix::process::getppid().map(rustix::process::test_kill_process),
            Some(Err(Errno::PERM))
        );
        let open = |family| rustix::net::socket(family, SocketType::STREAM, None);
        found.filter = no_network.is_some_and(|program| filter::apply(program).is_ok())
            && open(AddressFamily::INET).is_err_and(|error| error == Errno::PERM)
            && open(AddressFamily::UNIX).is_ok();
    })?;
    Ok(found)
}

fn probe_mounts(arrangement: &mut Arrangement) -> io::Result<Mounts> {
    let mounts = match namespace::unshare_mounts() {
        Ok(()) => Mounts::Privileged,
        Err(_) => {
            namespace::unshare_user_and_mounts()?;
            Mounts::UserNamespace
        }
    };
    arrangement.carry_out()?;
    let root = rustix::fs::statvfs(c"/")?;
    if root.f_flag.contains(StatVfsMountFlags::RDONLY) {
        Ok(mounts)
    } else {
        Err(io::ErrorKind::Unsupported.into())
    }
}
