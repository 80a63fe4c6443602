//! The watches, the folders that are looked at for them, and what is still to be told.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use notify::event::{EventKind, ModifyKind, RenameMode};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::Tell;
use super::places::{Place, Shows, identity, places};
use crate::clock::{Clock, Monotonic};
use crate::files::FileError;
use crate::files::atomic::TEMPORARY_PREFIX;
use crate::limits;

/// Looks at a path until it has stood still between two looks, at most this often.
const LOOKS_MAX: usize = 8;

type See = std::sync::Arc<dyn Fn(notify::Result<notify::Event>) + Send + Sync>;

/// All watches.
pub(super) struct Table {
    clock: Clock,
    see: See,
    /// There while there are watches.
    notifier: Option<RecommendedWatcher>,
    /// Real folders that are looked at, and for whom.
    folders: HashMap<PathBuf, BTreeSet<u64>>,
    watches: HashMap<u64, Watch>,
    due: BTreeSet<(Monotonic, u64)>,
    /// Watches whose folders may not be the right ones any more.
    doubtful: BTreeSet<u64>,
}

struct Watch {
    path: PathBuf,
    tell: Tell,
    places: Vec<Place>,
    identity: Option<(u64, u64)>,
    changed: BTreeSet<PathBuf>,
    due: Option<Monotonic>,
}

impl Table {
    pub(super) fn new(
        clock: Clock,
        see: impl Fn(notify::Result<notify::Event>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            clock,
            see: std::sync::Arc::new(see),
            notifier: None,
            folders: HashMap::new(),
            watches: HashMap::new(),
            due: BTreeSet::new(),
            doubtful: BTreeSet::new(),
        }
    }

    /// When something has to be told.
    pub(super) fn next_due(&self) -> Option<Monotonic> {
        self.due.first().map(|(due, _)| *due)
    }

    pub(super) fn watch(&mut self, number: u64, path: PathBuf, tell: Tell) -> Result<(), FileError> {
        let watch =
            Watch { path, tell, places: Vec::new(), identity: None, changed: BTreeSet::new(), due: None };
        self.watches.insert(number, watch);
        let placed = self.place(number);
        match placed {
            Ok(identity) => {
                if let Some(watch) = self.watches.get_mut(&number) {
                    watch.identity = identity;
                }
            }
            Err(_) => self.unwatch(number),
        }
        placed.map(|_| ())
    }

    pub(super) fn unwatch(&mut self, number: u64) {
        let Some(watch) = self.watches.remove(&number) else { return };
        if let Some(due) = watch.due {
            self.due.remove(&(due, number));
        }
        for place in watch.places {
            self.leave(number, &place.folder);
        }
        if self.watches.is_empty() {
            // The loop of `notify` ends, and its descriptor is closed.
            self.notifier = None;
            self.folders.clear();
        }
    }

    /// Notes what an event means for whom.
    pub(super) fn on_event(&mut self, event: &notify::Event) {
        let is_structural = match event.kind {
            // Told as two events as well, one for each name.
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return,
            EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) => false,
            _ => true,
        };
        for path in &event.paths {
            self.on_path(path, is_structural);
            if is_structural {
                self.forget_folders_below(path);
            }
        }
    }

    fn on_path(&mut self, path: &Path, is_structural: bool) {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
        if name.as_encoded_bytes().starts_with(TEMPORARY_PREFIX.as_bytes()) {
            return;
        }
        let Some(numbers) = self.folders.get(folder) else { return };
        let mut changed = Vec::new();
        for number in numbers {
            let Some(watch) = self.watches.get(number) else { continue };
            for place in watch.places.iter().filter(|place| place.folder == folder) {
                match &place.shows {
                    Shows::Children => changed.push((*number, watch.path.join(name))),
                    Shows::Itself(own) if own == name => {
                        changed.push((*number, watch.path.clone()));
                        if is_structural {
                            self.doubtful.insert(*number);
                        }
                    }
                    Shows::OnTheWay(own) if own == name => {
                        self.doubtful.insert(*number);
                    }
                    Shows::Itself(_) | Shows::OnTheWay(_) => {}
                }
            }
        }
        for (number, path) in changed {
            self.note(number, path);
        }
    }

    /// A folder that was moved, removed or replaced is not the one that is looked at.
    fn forget_folders_below(&mut self, path: &Path) {
        let gone: Vec<PathBuf> =
            self.folders.keys().filter(|folder| folder.starts_with(path)).cloned().collect();
        for folder in gone {
            self.doubtful.extend(self.folders.remove(&folder).unwrap_or_default());
            if let Some(notifier) = &mut self.notifier {
                // It may have noticed by itself.
                let _ = guarded(|| notifier.unwatch(&folder));
            }
        }
    }

    /// Events were lost: everything is looked at again, and every watch tells of its path.
    pub(super) fn all_may_have_changed(&mut self) {
        let numbers: Vec<u64> = self.watches.keys().copied().collect();
        for number in numbers {
            self.doubtful.insert(number);
            if let Some(path) = self.watches.get(&number).map(|watch| watch.path.clone()) {
                self.note(number, path);
            }
        }
    }

    /// Finds the right folders for the watches whose folders may be wrong.
    pub(super) fn look_again(&mut self) {
        while let Some(number) = self.doubtful.pop_first() {
            let placed = self.place(number);
            let Some(watch) = self.watches.get_mut(&number) else { continue };
            let now = match placed {
                Ok(now) => now,
                Err(error) => {
                    tracing::warn!(path = %watch.path.display(), %error, "a watch sees less than it should");
                    continue;
                }
            };
            if std::mem::replace(&mut watch.identity, now) != now {
                let path = watch.path.clone();
                self.note(number, path);
            }
        }
    }

    /// Looks at the folders that a watch needs now, and gives what is at its path.
    fn place(&mut self, number: u64) -> Result<Option<(u64, u64)>, FileError> {
        let mut identity_now = None;
        for _ in 0..LOOKS_MAX {
            let Some(watch) = self.watches.get_mut(&number) else { break };
            let wanted = places(&watch.path);
            identity_now = identity(&watch.path);
            let is_placed = wanted.iter().all(|place| {
                self.folders.get(&place.folder).is_some_and(|numbers| numbers.contains(&number))
            });
            if wanted == watch.places && is_placed {
                break;
            }
            let before = std::mem::replace(&mut watch.places, wanted.clone());
            for place in &wanted {
                self.enter(number, &place.folder)?;
            }
            for place in before {
                if !wanted.iter().any(|wanted| wanted.folder == place.folder) {
                    self.leave(number, &place.folder);
                }
            }
            // Looked at now; it may have changed in between, so look once more.
        }
        Ok(identity_now)
    }

    fn enter(&mut self, number: u64, folder: &Path) -> Result<(), FileError> {
        if let Some(numbers) = self.folders.get_mut(folder) {
            numbers.insert(number);
            return Ok(());
        }
        if self.notifier.is_none() {
            let see = std::sync::Arc::clone(&self.see);
            self.notifier = Some(guarded(|| {
                RecommendedWatcher::new(move |event| see(event), notify::Config::default())
            })?);
        }
        let Some(notifier) = &mut self.notifier else { return Ok(()) };
        match guarded(|| notifier.watch(folder, RecursiveMode::NonRecursive)) {
            Ok(()) => {
                self.folders.insert(folder.to_path_buf(), BTreeSet::from([number]));
                Ok(())
            }
            // Gone between two looks; the next one finds what is there.
            Err(FileError::Os(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn leave(&mut self, number: u64, folder: &Path) {
        let Some(numbers) = self.folders.get_mut(folder) else { return };
        numbers.remove(&number);
        if numbers.is_empty() {
            self.folders.remove(folder);
            if let Some(notifier) = &mut self.notifier {
                let _ = guarded(|| notifier.unwatch(folder));
            }
        }
    }

    fn note(&mut self, number: u64, path: PathBuf) {
        let Some(watch) = self.watches.get_mut(&number) else { return };
        if watch.changed.len() < limits::WATCH_CHANGED_PATHS_MAX {
            watch.changed.insert(path);
        } else {
            // Too many to name each: all of it has changed.
            watch.changed.insert(watch.path.clone());
        }
        if watch.due.is_none() {
            let due = self.clock.now().after(limits::WATCH_GATHER);
            watch.due = Some(due);
            self.due.insert((due, number));
        }
    }

    pub(super) fn tell_what_is_due(&mut self) {
        let now = self.clock.now();
        while let Some((due, number)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            self.due.remove(&(due, number));
            let Some(watch) = self.watches.get_mut(&number) else { continue };
            watch.due = None;
            let changed = std::mem::take(&mut watch.changed);
            if changed.len() > limits::WATCH_CHANGED_PATHS_MAX {
                (watch.tell)(vec![watch.path.clone()]);
            } else {
                (watch.tell)(changed.into_iter().collect());
            }
        }
    }
}

/// Calls `notify`, which panics where its own loop has ended.
fn guarded<T>(call: impl FnOnce() -> notify::Result<T>) -> Result<T, FileError> {
    let called = catch_unwind(AssertUnwindSafe(call));
    called.unwrap_or_else(|_| Err(notify::Error::generic("its loop has ended"))).map_err(|error| match error
        .kind
    {
        ErrorKind::MaxFilesWatch => FileError::Limit(
            "the system has no watches left; raise fs.inotify.max_user_watches or end some with fs/unwatch"
                .to_owned(),
        ),
        ErrorKind::Io(error) => FileError::Os(error),
        ErrorKind::PathNotFound => FileError::Os(std::io::Error::from(std::io::ErrorKind::NotFound)),
        kind => FileError::Os(std::io::Error::other(format!("cannot watch: {kind:?}"))),
    })
}
