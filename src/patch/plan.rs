//! What a patch would do, worked out against the files as they are, without writing any. Knows the file
//! system; runs on its caller's OS thread.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use super::edit::edited;
use super::ledger::{Change, Kind, Ledger, Snapshot};
use super::parse::{FilePatch, Hunk, Patch};
use super::resolve::{entry_path, is_absent, real_path};
use super::{PatchError, render, write};
use crate::limits::{PATCH_FILE_BYTES_MAX, PATCH_PLAN_BYTES_MAX};
use crate::proto::FileUpdateChange;

/// A patch that fits, and all that it does.
#[derive(Debug)]
pub struct Plan {
    cwd: PathBuf,
    ledger: Ledger,
    touched: Vec<PathBuf>,
    changes: Vec<FileUpdateChange>,
}

/// A path of a patch.
struct Place {
    real: PathBuf,
    shown: PathBuf,
}

struct Planner<'a> {
    cwd: &'a Path,
    ledger: Ledger,
    /// Bytes in memory: what was read and what was made.
    bytes: usize,
}

impl Plan {
    /// Works out what `patch` does to the files below `cwd`, an absolute path that relative paths begin at.
    /// Reads files, writes nothing.
    ///
    /// # Errors
    /// If it does not fit, changes nothing, or is too large; the text is for the model.
    pub fn new(patch: &Patch, cwd: &Path) -> Result<Plan, PatchError> {
        let mut planner = Planner { cwd, ledger: Ledger::default(), bytes: 0 };
        for file in &patch.files {
            planner.file(file)?;
        }
        let ledger = planner.ledger;
        let changes: Vec<_> = ledger.changes().iter().map(render::file_change).collect();
        if changes.is_empty() {
            return Err(PatchError::fit(cwd, "it leaves every file as it is; is it applied already?"));
        }
        let touched = ledger.entries().map(|(real, _)| real.clone()).collect();
        Ok(Plan { cwd: cwd.to_owned(), ledger, touched, changes })
    }

    /// Real paths of all that applying would write, replace or remove: absolute, links and `..` resolved, in
    /// order. Folders that it would make lie above them. [`Plan::apply`] refuses if they lead elsewhere by
    /// then.
    #[must_use]
    pub fn touched(&self) -> &[PathBuf] {
        &self.touched
    }

    /// Those of [`Plan::touched`] that lie below none of `roots`, whose own links are resolved for that. A
    /// root that cannot be resolved contains nothing.
    #[must_use]
    pub fn outside(&self, roots: &[PathBuf]) -> Vec<&Path> {
        let roots: Vec<PathBuf> = roots.iter().filter_map(|root| real_path(root).ok()).collect();
        let is_outside = |path: &&PathBuf| !roots.iter().any(|root| path.starts_with(root));
        self.touched.iter().filter(is_outside).map(PathBuf::as_path).collect()
    }

    /// What a `fileChange` item shows, ordered by path.
    #[must_use]
    pub fn changes(&self) -> &[FileUpdateChange] {
        &self.changes
    }

    /// Makes the changes: all, or none.
    ///
    /// # Errors
    /// If a file is not as it was when the plan was made, or the file system refuses.
    pub fn apply(&self) -> Result<(), PatchError> {
        write::apply(&self.ledger)
    }

    /// What the model is told of success: `A`, `M` and `D` lines, paths relative to the cwd where they are
    /// below it.
    #[must_use]
    pub fn summary(&self) -> String {
        let (mut added, mut changed, mut gone) = (String::new(), String::new(), String::new());
        let line = |path: &Path| path.strip_prefix(&self.cwd).unwrap_or(path).display().to_string();
        for change in self.ledger.changes() {
            match change {
                Change::Add(entry, _) => added.push_str(&format!("A {}\n", line(&entry.shown))),
                Change::Update { to, .. } => changed.push_str(&format!("M {}\n", line(&to.shown))),
                Change::Delete(entry, _) => gone.push_str(&format!("D {}\n", line(&entry.shown))),
            }
        }
        format!("Success. Updated the following files:\n{added}{changed}{gone}")
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl Planner<'_> {
    fn file(&mut self, file: &FilePatch) -> Result<(), PatchError> {
        match file {
            FilePatch::Add { path, content } => self.add(path, content),
            FilePatch::Delete { path } => self.delete(path),
            FilePatch::Update { path, move_to, hunks } => self.update(path, move_to.as_deref(), hunks),
        }
    }

    /// A file that is there already gets the new content and keeps its permissions.
    fn add(&mut self, path: &str, content: &str) -> Result<(), PatchError> {
        let place = self.place(path, real_path)?;
        let present = self.open(&place)?;
        let original = self.ledger.get(&place.real).and_then(|entry| entry.original.as_ref());
        let (kind, origin) = match (present, original.map(|original| original.kind)) {
            (Some(present), _) => (present.kind, present.origin),
            (None, Some(kept @ Kind::File(_))) => (kept, None),
            (None, _) => (Kind::File(NEW_FILE_MODE), None),
        };
        self.count(content.len())?;
        self.ledger.set(&place.real, Some(Snapshot::new(content.as_bytes(), kind, origin)));
        Ok(())
    }

    fn delete(&mut self, path: &str) -> Result<(), PatchError> {
        let place = self.place(path, entry_path)?;
        if self.open(&place)?.is_none() {
            return Err(PatchError::fit(&place.shown, "the file to delete does not exist"));
        }
        self.ledger.set(&place.real, /*current*/ None);
        Ok(())
    }

    fn update(&mut self, path: &str, move_to: Option<&str>, hunks: &[Hunk]) -> Result<(), PatchError> {
        let place = self.place(path, real_path)?;
        let Some(present) = self.open(&place)? else {
            return Err(PatchError::fit(&place.shown, "the file to update does not exist"));
        };
        let Some(text) = present.text().filter(|_| present.kind != Kind::Link) else {
            return Err(PatchError::fit(&place.shown, "it is not UTF-8 text, so it can only be deleted"));
        };
        let edited = edited(text, hunks).map_err(|reason| PatchError::fit(&place.shown, reason))?;
        self.count(edited.len())?;
        let edited = Snapshot::new(edited.into_bytes(), present.kind, present.origin);
        let Some(target) = move_to else {
            self.ledger.set(&place.real, Some(edited));
            return Ok(());
        };
        let target = self.place(target, real_path)?;
        if target.real == place.real {
            self.ledger.set(&place.real, Some(edited));
            return Ok(());
        }
        if self.open(&target)?.is_some() {
            let reason =
                format!("{} cannot move there: a file is there; delete it first", place.shown.display());
            return Err(PatchError::fit(&target.shown, reason));
        }
        // What goes is the entry that was named; what it leads to stays if it is a link.
        let named = self.place(path, entry_path)?;
        self.open(&named)?;
        self.ledger.set(&named.real, /*current*/ None);
        self.ledger.set(&target.real, Some(edited));
        Ok(())
    }

    fn place(&self, path: &str, resolve: fn(&Path) -> io::Result<PathBuf>) -> Result<Place, PatchError> {
        let path = Path::new(path);
        let full = self.cwd.join(path);
        let failed = |error| PatchError::io("cannot resolve", &full, error);
        let entry = entry_path(&full).map_err(failed)?;
        // A link that this patch deletes leads nowhere afterwards.
        let is_gone = self.ledger.get(&entry).is_some_and(|known| known.current.is_none());
        let real = if is_gone { entry } else { resolve(&full).map_err(failed)? };
        // A name with `..` in it shows less than what it leads to.
        let climbs = path.components().any(|part| part == Component::ParentDir);
        let shown = if climbs { real.clone() } else { full.components().collect() };
        Ok(Place { real, shown })
    }

    /// What is at a place now, in this patch's view.
    fn open(&mut self, place: &Place) -> Result<Option<Snapshot>, PatchError> {
        if self.ledger.get(&place.real).is_none() {
            let present = read(&place.real)?;
            self.count(present.as_ref().map_or(0, |present| present.bytes.len()))?;
            self.ledger.open(&place.real, &place.shown, present);
        }
        Ok(self.ledger.get(&place.real).and_then(|entry| entry.current.clone()))
    }

    fn count(&mut self, bytes: usize) -> Result<(), PatchError> {
        self.bytes += bytes;
        match self.bytes > PATCH_PLAN_BYTES_MAX {
            true => Err(PatchError::TooLarge(format!(
                "its files have more than {PATCH_PLAN_BYTES_MAX} bytes in all; split it"
            ))),
            false => Ok(()),
        }
    }
}

/// Permission bits of a new file, before the process's mask.
pub(super) const NEW_FILE_MODE: u32 = 0o666;

/// What is at a real path, without following a link there.
pub(super) fn read(real: &Path) -> Result<Option<Snapshot>, PatchError> {
    let failed = |error| PatchError::io("cannot read", real, error);
    let metadata = match fs::symlink_metadata(real) {
        Ok(metadata) => metadata,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if metadata.is_symlink() {
        let target = fs::read_link(real).map_err(failed)?;
        return Ok(Some(Snapshot::new(target.as_os_str().as_bytes(), Kind::Link, /*origin*/ None)));
    }
    // It may become something else between two looks; then opening must not wait or follow.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let is_file = |metadata: &fs::Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(PatchError::fit(real, "it is no regular file")),
    };
    is_file(&metadata)?;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(real).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    is_file(&metadata)?;
    let mut bytes = Vec::new();
    file.take(PATCH_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > PATCH_FILE_BYTES_MAX {
        let reason = format!("{}: at most {PATCH_FILE_BYTES_MAX} bytes a file are accepted", real.display());
        return Err(PatchError::TooLarge(reason));
    }
    Ok(Some(Snapshot::new(bytes, Kind::File(metadata.mode() & 0o7777), /*origin*/ None)))
}
