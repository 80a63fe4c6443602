//! Landlock: which places may be written, and that nothing outside can be reached by signals and abstract
//! sockets. The rules are made in the server, which they do not touch; a child applies them to itself.
//!
//! They belong to files and folders wherever those are mounted, so the mounts that a child makes for itself
//! change nothing about them.
//!
//! Reading and executing are allowed everywhere, so they are not among the rights that the rules handle.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use landlock::{
    ABI, AccessFs, BitFlags, PathBeneath, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetError, Scope,
};
use rustix::path::Arg;

use super::spec::Layer;
use crate::sys::landlock::version;
use crate::sys::namespace::open_place;

/// The newest version whose rights are all meant to be handled. The next one would close unix sockets.
const NEWEST: ABI = ABI::V8;

/// Devices that programs write to without anything being written.
const DEVICES: &[&str] = &[
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
];

/// Rights that a file can have; the others are a folder's.
fn of_a_file() -> BitFlags<AccessFs> {
    AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev
}

/// The version whose rights the rules handle here; 0 is none.
pub(super) fn effective_version() -> u8 {
    version().min(NEWEST as u8)
}

/// The rules, for [`crate::sys::landlock::restrict_self`]; none if the system knows no such thing.
pub(super) fn make(layers: &[Layer]) -> io::Result<Option<OwnedFd>> {
    let rights = AccessFs::from_write(NEWEST);
    let mut ruleset = Ruleset::default()
        .handle_access(rights)
        .and_then(|ruleset| ruleset.scope(Scope::AbstractUnixSocket | Scope::Signal))
        .and_then(Ruleset::create)
        .map_err(refused)?;
    for device in DEVICES {
        // Not every container has all of them.
        ruleset = grant(ruleset, Path::new(device), of_a_file(), of_a_file())?.unwrap_or_else(|same| same);
    }
    for layer in layers.iter().filter(|layer| layer.writable) {
        ruleset = grant(ruleset, &layer.path, rights & !BitFlags::from(AccessFs::IoctlDev), of_a_file())?
            .map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
    }
    Ok(ruleset.into())
}

/// Adds a rule, with the rights for a folder or those for a file; gives the set back as it was if there is no
/// such place.
fn grant(
    ruleset: RulesetCreated,
    path: &Path,
    folder: BitFlags<AccessFs>,
    file: BitFlags<AccessFs>,
) -> io::Result<Result<RulesetCreated, RulesetCreated>> {
    let open = |path: &Path| open_place(&path.into_c_str()?);
    let place = match open(path) {
        Ok(place) => place,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(ruleset)),
        // A device that is a link, as in some containers, is granted as what it leads to.
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) && path.starts_with("/dev") => {
            match path.canonicalize().and_then(|path| open(&path)) {
                Ok(place) => place,
                Err(_) => return Ok(Err(ruleset)),
            }
        }
        Err(error) => return Err(error),
    };
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&place)?.st_mode);
    let rights = if kind.is_dir() { folder } else { file & folder };
    ruleset.add_rule(PathBeneath::new(place, rights)).map(Ok).map_err(refused)
}

fn refused(error: RulesetError) -> io::Error {
    io::Error::other(error)
}
