//! Carries a plan out, all or nothing: every new content is on the disk under a temporary name before the
//! first file changes, then names are exchanged, and what was done is undone if one of them fails. Folders
//! are opened part by part without following links, so a folder that became a link since the plan was made
//! leads nowhere. Runs on its caller's OS thread.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawMode};
use rustix::io::Errno;
use uuid::Uuid;

use super::PatchError;
use super::ledger::{Entry, Kind, Ledger, Snapshot};
use super::plan::{NEW_FILE_MODE, read};
use super::resolve::real_path;

/// One name in one folder.
struct Name {
    folder: OwnedFd,
    name: OsString,
}

/// What was done, by real paths, and how to take it back. Folders are opened anew for that, so that a large
/// patch holds few descriptors.
enum Done {
    /// A folder was made.
    Folder(PathBuf),
    /// New content lies beside the file under a temporary name, to be removed in any case.
    Temporary(PathBuf, OsString),
    /// A name that was free has a file now.
    Placed(PathBuf),
    /// What had the name has this temporary one now, alone or as a second one.
    Aside(PathBuf, OsString),
}

/// Makes the changes of a ledger: all, or none.
pub(super) fn apply(ledger: &Ledger) -> Result<(), PatchError> {
    let pending: Vec<(&PathBuf, &Entry)> = ledger.entries().collect();
    for (real, entry) in &pending {
        is_as_planned(real, entry)?;
    }
    carry_out(&pending)
}

fn carry_out(pending: &[(&PathBuf, &Entry)]) -> Result<(), PatchError> {
    let mut done = Vec::new();
    match all(pending, &mut done) {
        Ok(()) => {
            finish(done);
            Ok(())
        }
        Err(cause) => Err(undone(cause, done)),
    }
}

/// An answer may have taken its time: nothing is changed that is not what was looked at.
fn is_as_planned(real: &Path, entry: &Entry) -> Result<(), PatchError> {
    let same = |now: &Snapshot, then: &Snapshot| now.kind == then.kind && now.bytes == then.bytes;
    let leads_there = match real.parent() {
        Some(parent) => real_path(parent).is_ok_and(|now| now == parent),
        None => true,
    };
    let is_same = leads_there
        && match (read(real)?, &entry.original) {
            (Some(now), Some(then)) => same(&now, then),
            (now, then) => now.is_none() && then.is_none(),
        };
    match is_same {
        true => Ok(()),
        false => Err(PatchError::fit(real, "the file changed after the patch was checked; send it again")),
    }
}

fn all(pending: &[(&PathBuf, &Entry)], done: &mut Vec<Done>) -> Result<(), PatchError> {
    let is_changed = |entry: &Entry| match (&entry.original, &entry.current) {
        (Some(before), Some(after)) => before.kind != after.kind || before.bytes != after.bytes,
        (before, after) => before.is_some() || after.is_some(),
    };
    let mut prepared = Vec::new();
    for (real, entry) in pending.iter().filter(|(_, entry)| is_changed(entry)) {
        let temporary = match &entry.current {
            Some(current) => Some(prepare(real, entry, current, done)?),
            None => None,
        };
        prepared.push((real, entry, temporary));
    }
    for (real, entry, temporary) in prepared {
        let name = name(real, /*make*/ None)?;
        let failed = |error: Errno| PatchError::io("cannot replace", real, error);
        if entry.original.is_some() {
            let aside = temporary_name();
            match temporary {
                // A second name for the old content, so that the first one is never free.
                Some(_) if link(&name, &aside).is_ok() => {}
                _ => rename(&name, &name.name, &aside).map_err(failed)?,
            }
            done.push(Done::Aside((*real).clone(), aside));
        }
        if let Some(temporary) = temporary {
            if entry.original.is_none() {
                // Unlike a rename, a link fails if somebody was faster.
                let placed =
                    rustix::fs::linkat(&name.folder, &temporary, &name.folder, &name.name, AtFlags::empty());
                match placed {
                    Err(Errno::EXIST) => return Err(failed(Errno::EXIST)),
                    Err(_) => rename(&name, &temporary, &name.name).map_err(failed)?,
                    Ok(()) => {}
                }
                done.push(Done::Placed((*real).clone()));
            } else {
                rename(&name, &temporary, &name.name).map_err(failed)?;
            }
        }
    }
    Ok(())
}

/// Writes the new content under a temporary name beside the file.
fn prepare(
    real: &Path,
    entry: &Entry,
    current: &Snapshot,
    done: &mut Vec<Done>,
) -> Result<OsString, PatchError> {
    let name = name(real, Some(done))?;
    let failed = |error: Errno| PatchError::io("cannot write beside", real, error);
    if entry.original.as_ref().is_some_and(|original| original.kind != Kind::Link) {
        // The folder would let it be replaced, but its owner said that it is not to be written.
        rustix::fs::accessat(&name.folder, &name.name, rustix::fs::Access::WRITE_OK, AtFlags::EACCESS)
            .map_err(|error| PatchError::io("cannot write", real, error))?;
    }
    let mode = match current.kind {
        Kind::File(mode) => mode,
        Kind::Link => return Err(PatchError::fit(real, "a symbolic link cannot be written")),
    };
    let temporary = temporary_name();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file =
        rustix::fs::openat(&name.folder, &temporary, flags, Mode::from_raw_mode((mode & 0o777) as RawMode))
            .map_err(failed)?;
    done.push(Done::Temporary(real.to_owned(), temporary.clone()));
    // The mask applied to a new file's mode; a kept one is what it was, and a move keeps it too.
    if current.origin.is_some() || mode != NEW_FILE_MODE {
        if let Ok(before) = rustix::fs::statat(&name.folder, &name.name, AtFlags::SYMLINK_NOFOLLOW) {
            let owner = rustix::fs::Uid::from_raw(before.st_uid);
            let group = rustix::fs::Gid::from_raw(before.st_gid);
            // Only root may give files away; for all others it is theirs anyway.
            let _ = rustix::fs::fchown(&file, Some(owner), Some(group));
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode as RawMode)).map_err(failed)?;
    }
    std::fs::File::from(file)
        .write_all(&current.bytes)
        .map_err(|error| PatchError::io("cannot write beside", real, error))?;
    Ok(temporary)
}

/// Opens the folder of a real path; with `make`, folders that are missing are made and noted.
fn name(real: &Path, mut make: Option<&mut Vec<Done>>) -> Result<Name, PatchError> {
    let failed = |error: Errno| PatchError::io("cannot open the folder of", real, error);
    let (Some(parent), Some(own)) = (real.parent(), real.file_name()) else {
        return Err(PatchError::fit(real, "it is no file"));
    };
    let mut folder = open_folder(CWD, Path::new("/")).map_err(failed)?;
    let mut path = PathBuf::from("/");
    for part in parent.components() {
        let Component::Normal(part) = part else { continue };
        path.push(part);
        folder = match open_folder(&folder, Path::new(part)) {
            Err(Errno::NOENT) if make.is_some() => {
                rustix::fs::mkdirat(&folder, part, Mode::from_raw_mode(0o777)).map_err(failed)?;
                let inside = open_folder(&folder, Path::new(part)).map_err(failed)?;
                if let Some(done) = make.as_deref_mut() {
                    done.push(Done::Folder(path.clone()));
                }
                inside
            }
            opened => opened.map_err(failed)?,
        };
    }
    Ok(Name { folder, name: own.to_owned() })
}

fn open_folder(at: impl std::os::fd::AsFd, part: &Path) -> Result<OwnedFd, Errno> {
    // One that may be entered but not read is a folder to write into all the same, where the system can say
    // that.
    #[cfg(target_os = "linux")]
    const ENTER: OFlags = OFlags::PATH;
    #[cfg(not(target_os = "linux"))]
    const ENTER: OFlags = OFlags::RDONLY;
    let flags = ENTER | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, part, flags, Mode::empty())
}

impl Name {
    fn remove(&self, name: &OsString) -> Result<(), Errno> {
        rustix::fs::unlinkat(&self.folder, name, AtFlags::empty())
    }
}

fn link(name: &Name, second: &OsString) -> Result<(), Errno> {
    rustix::fs::linkat(&name.folder, &name.name, &name.folder, second, AtFlags::empty())
}

fn rename(name: &Name, from: &OsString, to: &OsString) -> Result<(), Errno> {
    rustix::fs::renameat(&name.folder, from, &name.folder, to)
}

/// Hidden, and found by nobody who looks for sources.
fn temporary_name() -> OsString {
    format!(".{}.apply-patch.tmp", Uuid::new_v4().simple()).into()
}

/// Removes what only a failure would have needed. What cannot be removed is litter, but no failure.
fn finish(done: Vec<Done>) {
    for step in done {
        if let Done::Temporary(real, temporary) | Done::Aside(real, temporary) = step
            && let Ok(name) = name(&real, /*make*/ None)
        {
            // A new content that was renamed is not there any more.
            let _ = name.remove(&temporary);
        }
    }
}

/// Takes back, last first, what was done.
fn undone(cause: PatchError, done: Vec<Done>) -> PatchError {
    let mut left = Vec::new();
    for step in done.into_iter().rev() {
        if let Err((real, error)) = take_back(step) {
            left.push(format!("{} ({error})", real.display()));
        }
    }
    match left.is_empty() {
        true => cause,
        false => PatchError::Rollback { cause: Box::new(cause), left: left.join(", ") },
    }
}

fn take_back(step: Done) -> Result<(), (PathBuf, String)> {
    let (Done::Folder(real) | Done::Temporary(real, _) | Done::Placed(real) | Done::Aside(real, _)) = &step;
    let name = name(real, /*make*/ None).map_err(|error| (real.clone(), error.to_string()))?;
    match &step {
        Done::Folder(_) => {
            // Somebody else may use it by now; then it stays.
            let _ = rustix::fs::unlinkat(&name.folder, &name.name, AtFlags::REMOVEDIR);
            Ok(())
        }
        Done::Temporary(_, temporary) => {
            // Gone already if it was renamed.
            let _ = name.remove(temporary);
            Ok(())
        }
        Done::Placed(_) => name.remove(&name.name),
        Done::Aside(_, aside) => {
            let renamed = rename(&name, aside, &name.name);
            // Two names of one file: the rename did nothing, and the second name goes.
            let _ = name.remove(aside);
            renamed
        }
    }
    .map_err(|error| (real.clone(), io::Error::from(error).to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Folder;
    use super::*;

    #[test]
    fn a_failure_half_way_is_taken_back() {
        let folder = Folder::with(&[("a", "old a\n"), ("c", "old c\n")]);
        let before = folder.listing();
        let snapshot =
            |text: &str| Some(Snapshot::new(text.as_bytes(), Kind::File(0o600), /*origin*/ None));
        let mut ledger = Ledger::default();
        let mut change = |name: &str, old: Option<&str>, new: Option<&str>| {
            let real = folder.path().join(name);
            ledger.open(&real, &real, old.and_then(snapshot));
            ledger.set(&real, new.and_then(snapshot));
        };
        change("a", Some("old a\n"), Some("new a\n"));
        change("b/deep/er", None, Some("new b\n"));
        change("c", Some("old c\n"), None);
        // It is not there, which is seen when all others are done.
        change("z", Some("never was\n"), None);
        let pending: Vec<_> = ledger.entries().collect();
        let error = carry_out(&pending).expect_err("the last one fails");
        assert!(matches!(error, PatchError::Io { .. }), "{error}");
        assert_eq!(folder.listing(), before);
    }
}
