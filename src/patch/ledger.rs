//! What became of files: for each its first content and its present one. The plan of a patch is one, the
//! diff of a turn is the sum of many. Knows no file system; runs on its owner's OS thread.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha1::{Digest, Sha1};

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file with these permission bits.
    File(u32),
    /// A symbolic link; its content is where it leads.
    Link,
}

impl Kind {
    /// The mode by which git knows it.
    pub(super) fn git_mode(self) -> &'static str {
        match self {
            Kind::File(mode) if mode & 0o100 != 0 => "100755",
            Kind::File(_) => "100644",
            Kind::Link => "120000",
        }
    }
}

/// The content of a file at one time; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) bytes: Arc<[u8]>,
    /// The blob id of what was too much to keep; `bytes` is empty then.
    pub(super) dropped: Option<Arc<str>>,
    pub(super) kind: Kind,
    /// Where the ledger saw this file first; none for one that was added.
    pub(super) origin: Option<PathBuf>,
}

impl Snapshot {
    pub(super) fn new(bytes: impl Into<Arc<[u8]>>, kind: Kind, origin: Option<PathBuf>) -> Snapshot {
        Snapshot { bytes: bytes.into(), dropped: None, kind, origin }
    }

    /// The content as text, if it is text and was kept.
    pub(super) fn text(&self) -> Option<&str> {
        if self.dropped.is_some() {
            return None;
        }
        let text = std::str::from_utf8(&self.bytes).ok()?;
        (!text.contains('\0')).then_some(text)
    }

    fn is_same(&self, other: &Snapshot) -> bool {
        let are_kept = self.dropped.is_none() && other.dropped.is_none();
        self.kind.git_mode() == other.kind.git_mode()
            && if are_kept { self.bytes == other.bytes } else { self.blob_id() == other.blob_id() }
    }

    /// The id that git gives the content: SHA-1 over a header with its length, and the content.
    pub(super) fn blob_id(&self) -> String {
        if let Some(id) = &self.dropped {
            return id.to_string();
        }
        let mut hash = Sha1::new();
        hash.update(format!("blob {}\0", self.bytes.len()));
        hash.update(&self.bytes);
        hash.finalize().iter().fold(String::with_capacity(40), |mut id, byte| {
            // Writing into a text cannot fail.
            let _ = write!(id, "{byte:02x}");
            id
        })
    }

    /// Keeps the id alone.
    fn shrink(&mut self) {
        self.dropped = Some(self.blob_id().into());
        self.bytes = Arc::default();
    }
}

/// One path of a ledger.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The path as clients see it: absolute, but not through links.
    pub(super) shown: PathBuf,
    pub(super) original: Option<Snapshot>,
    pub(super) current: Option<Snapshot>,
}

/// Paths are real ones, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    entries: BTreeMap<PathBuf, Entry>,
}

/// What a path went through, all in all.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change<'a> {
    Add(&'a Entry, &'a Snapshot),
    Delete(&'a Entry, &'a Snapshot),
    /// Before, after; the paths differ if it moved.
    Update {
        from: &'a Entry,
        to: &'a Entry,
        before: &'a Snapshot,
        after: &'a Snapshot,
    },
}

impl Change<'_> {
    /// The path that it begins at, as clients see it.
    pub(super) fn shown(&self) -> &Path {
        match self {
            Change::Add(entry, _) | Change::Delete(entry, _) | Change::Update { from: entry, .. } => {
                &entry.shown
            }
        }
    }
}

impl Ledger {
    pub(super) fn get(&self, real: &Path) -> Option<&Entry> {
        self.entries.get(real)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&PathBuf, &Entry)> {
        self.entries.iter()
    }

    /// Begins to follow a path whose content is `original` now.
    pub(super) fn open(&mut self, real: &Path, shown: &Path, original: Option<Snapshot>) {
        let original = original.map(|snapshot| Snapshot { origin: Some(real.to_owned()), ..snapshot });
        let entry = || Entry { shown: shown.to_owned(), current: original.clone(), original };
        self.entries.entry(real.to_owned()).or_insert_with(entry);
    }

    /// Says what an opened path is now.
    pub(super) fn set(&mut self, real: &Path, current: Option<Snapshot>) {
        if let Some(entry) = self.entries.get_mut(real) {
            entry.current = current;
        }
    }

    /// Adds what `later` did. What came between the two ledgers by other means counts as part of this one's
    /// changes where a path is known here already.
    pub(super) fn merge(&mut self, later: &Ledger) {
        for (real, entry) in &later.entries {
            self.open(real, &entry.shown, entry.original.clone());
        }
        // Origins of `later` are paths there; here the file may have come from further away.
        let before: BTreeMap<&PathBuf, Option<PathBuf>> =
            later.entries.keys().map(|real| (real, self.origin_of(real))).collect();
        for (real, entry) in &later.entries {
            let current = entry.current.clone().map(|mut snapshot| {
                snapshot.origin = snapshot.origin.and_then(|origin| before.get(&origin).cloned().flatten());
                snapshot
            });
            self.set(real, current);
        }
    }

    /// Drops contents until what is kept has at most `bytes_max` bytes, largest first.
    pub(super) fn shrink(&mut self, bytes_max: usize) {
        let snapshots = self.entries.values_mut().flat_map(|entry| {
            let Entry { original, current, .. } = entry;
            original.iter_mut().chain(current.iter_mut())
        });
        let mut snapshots: Vec<&mut Snapshot> = snapshots.collect();
        let mut kept: usize = snapshots.iter().map(|snapshot| snapshot.bytes.len()).sum();
        snapshots.sort_by_key(|snapshot| snapshot.bytes.len());
        while kept > bytes_max
            && let Some(largest) = snapshots.pop()
        {
            kept -= largest.bytes.len();
            largest.shrink();
        }
    }

    fn origin_of(&self, real: &Path) -> Option<PathBuf> {
        self.get(real)?.current.as_ref()?.origin.clone()
    }

    /// What changed all in all, ordered by the paths that it began at.
    pub(super) fn changes(&self) -> Vec<Change<'_>> {
        let mut changes = Vec::new();
        let mut moved_from = Vec::new();
        for (real, entry) in &self.entries {
            let Some(after) = &entry.current else { continue };
            if let Some(before) = &entry.original {
                if !before.is_same(after) {
                    changes.push(Change::Update { from: entry, to: entry, before, after });
                }
                continue;
            }
            match self.moved(real, after) {
                Some((from, before)) => {
                    moved_from.push(&from.shown);
                    changes.push(Change::Update { from, to: entry, before, after });
                }
                None => changes.push(Change::Add(entry, after)),
            }
        }
        let gone = self.entries.values().filter(|entry| entry.current.is_none());
        let gone = gone.filter(|entry| !moved_from.contains(&&entry.shown));
        changes.extend(gone.filter_map(|entry| Some(Change::Delete(entry, entry.original.as_ref()?))));
        changes.sort_by(|a, b| a.shown().cmp(b.shown()));
        changes
    }

    /// Where a new file was before, if that place is empty now.
    fn moved<'a>(&'a self, real: &Path, after: &Snapshot) -> Option<(&'a Entry, &'a Snapshot)> {
        let origin = after.origin.as_deref().filter(|origin| *origin != real)?;
        let from = self.get(origin).filter(|from| from.current.is_none())?;
        Some((from, from.original.as_ref()?))
    }
}
