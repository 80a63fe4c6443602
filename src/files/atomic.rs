//! Writing a file so that nobody ever sees half of it.
//!
//! What is written goes into a new file beside the old one, which then takes the old one's name: who has the
//! old one open keeps the old content, who opens the name gets the old or the new one, whole. A symbolic link
//! is followed, the file that it leads to is replaced, and the link stays.
//!
//! Before it takes the place of a file with content, the new file's content is brought to the disk: otherwise
//! a power loss could cost the old content and the new one both. A file that was not there or was empty has
//! nothing to lose, so it is left to the operating system. Being killed costs nothing either way: what is
//! written is in the system's cache.
//!
//! In place, as the only way, are written: what is no regular file (`/dev/…`, `/proc/…`), a file whose folder
//! lets nobody make another one, and a file of another owner that could not be given to that owner again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// How the names of files begin that are on their way to another name. Watches do not tell of them.
pub(super) const TEMPORARY_PREFIX: &str = ".app-server-tmp-";

/// Symbolic links in a row that are followed, as Linux does.
const LINKS_MAX: usize = 40;

/// The permissions of a file.
const MODE_BITS: u32 = 0o777;

/// Which permissions a written file gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Those of the file that is replaced; the usual ones for a new file.
    Keep,
    /// These.
    Set(u32),
}

/// Gives the file at `path` the content that `fill` writes. `fill` may be called twice, each time for an
/// empty file.
pub(super) fn replace(path: &Path, mode: Mode, fill: &dyn Fn(&mut File) -> io::Result<()>) -> io::Result<()> {
    let target = resolve(path)?;
    // Opening for writing asks the system whether this may be done at all: a folder, no permission, a program
    // that runs. Nothing is cut off yet. Without blocking: nobody may ever read from the pipe.
    let old = match OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&target) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let old_metadata = old.as_ref().map(File::metadata).transpose()?;
    if let (Some(file), Some(metadata)) = (&old, &old_metadata)
        && !metadata.is_file()
    {
        return fill_in_place(file, fill);
    }
    let mode = match (mode, &old_metadata) {
        (Mode::Set(mode), _) => Some(mode & MODE_BITS),
        (Mode::Keep, Some(old)) => Some(old.mode() & MODE_BITS),
        (Mode::Keep, None) => None,
    };
    let temporary = match Temporary::beside(&target, mode.is_some()) {
        Ok(temporary) => temporary,
        Err(error) => return in_place_or(error, old.as_ref(), fill),
    };
    if let Some(old_metadata) = &old_metadata
        && let Err(error) = temporary.give_to_owner_of(old_metadata)
    {
        return in_place_or(error, old.as_ref(), fill);
    }
    let mut file = &temporary.file;
    fill(&mut file.try_clone()?)?;
    file.flush()?;
    if let Some(mode) = mode {
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    if old_metadata.is_some_and(|old| old.len() > 0) {
        file.sync_data()?;
    }
    match temporary.rename_to(&target) {
        Err(error) => in_place_or(error, old.as_ref(), fill),
        Ok(()) => Ok(()),
    }
}

/// Writes in place if that is what a refusal leaves; anything else is told.
fn in_place_or(
    error: io::Error,
    old: Option<&File>,
    fill: &dyn Fn(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let may_not = matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::ResourceBusy
    );
    match old {
        Some(old) if may_not => fill_in_place(old, fill),
        _ => Err(error),
    }
}

fn fill_in_place(file: &File, fill: &dyn Fn(&mut File) -> io::Result<()>) -> io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    // A pipe that nobody reads refuses instead of waiting, which is all that can be said of it here.
    fill(&mut file.try_clone()?)
}

/// Where a path leads: the end of a chain of symbolic links, which need not be there.
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            // No link, or nothing there.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

/// A file on its way to another name; removed if it does not get there.
struct Temporary {
    file: File,
    path: PathBuf,
    arrived: bool,
}

impl Temporary {
    /// `is_private` keeps others out until the permissions are set: the old file may be a secret.
    fn beside(target: &Path, is_private: bool) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let folder = target.parent().unwrap_or(Path::new("/"));
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{TEMPORARY_PREFIX}{}-{number}", std::process::id()));
            let mode = if is_private { 0o600 } else { 0o666 };
            match OpenOptions::new().write(true).create_new(true).mode(mode).open(&path) {
                Ok(file) => return Ok(Self { file, path, arrived: false }),
                // Left by a process that was killed and had the same id.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn give_to_owner_of(&self, old: &fs::Metadata) -> io::Result<()> {
        let new = self.file.metadata()?;
        if (new.uid(), new.gid()) == (old.uid(), old.gid()) {
            return Ok(());
        }
        fchown(&self.file, Some(old.uid()), Some(old.gid()))
    }

    fn rename_to(mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.arrived = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.arrived {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
#[path = "tests/atomic.rs"]
mod tests;
