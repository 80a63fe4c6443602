//! Walking folders, and keeping what was found in little memory.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use ignore::{Walk, WalkBuilder};

use crate::limits;
use crate::queue::{Charge, Credit};

/// Entries that one step of the walk takes up.
const STEP_ENTRIES: usize = 1024;
/// Bytes that are asked of the memory at once.
const CHARGE_BYTES: usize = 256 * limits::KIB;

/// The walk through the folders, one after the other.
pub(super) struct Finding {
    roots: VecDeque<Arc<str>>,
    now: Option<(Arc<str>, Walk)>,
}

impl Finding {
    pub(super) fn new(roots: Vec<String>) -> Self {
        Self { roots: roots.into_iter().map(Arc::from).collect(), now: None }
    }

    pub(super) fn is_over(&self) -> bool {
        self.now.is_none() && self.roots.is_empty()
    }

    /// Finds some more.
    pub(super) fn step(&mut self, found: &mut Found) {
        for _ in 0..STEP_ENTRIES {
            if self.now.is_none() {
                let Some(root) = self.roots.pop_front() else { return };
                found.begin(&root);
                let walk = walk(&root);
                self.now = Some((root, walk));
            }
            let Some((root, walk)) = &mut self.now else { return };
            match walk.next() {
                None => self.now = None,
                // What cannot be read is not there for this search.
                Some(Err(error)) => tracing::debug!(%error, "a search cannot look at something"),
                Some(Ok(entry)) if entry.depth() == 0 => {}
                Some(Ok(entry)) => {
                    let Ok(path) = entry.path().strip_prefix(Path::new(&**root)) else { continue };
                    let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
                    if !found.add(&path.to_string_lossy(), is_directory) {
                        tracing::info!("a search has found more than it may keep and stops looking");
                        (self.now, self.roots) = (None, VecDeque::new());
                        return;
                    }
                }
            }
        }
    }
}

fn walk(root: &str) -> Walk {
    WalkBuilder::new(root)
        .hidden(/*yes*/ false)
        .follow_links(/*yes*/ false)
        .filter_entry(|entry| entry.file_name() != ".git" || entry.depth() == 0)
        .build()
}

/// The paths found so far, in one long text.
pub(super) struct Found {
    text: String,
    entries: Vec<Entry>,
    roots: Vec<Arc<str>>,
    memory: Arc<Credit>,
    charges: Vec<Charge>,
}

/// A found path.
#[derive(Clone, Copy)]
struct Entry {
    end: u32,
    name_at: u32,
    root: u16,
    is_directory: bool,
}

/// A found path, read.
pub(super) struct Shown<'a> {
    pub(super) root: &'a Arc<str>,
    pub(super) path: &'a str,
    /// Where the last part of the path begins, in bytes.
    pub(super) name_at: usize,
    pub(super) is_directory: bool,
}

impl Found {
    pub(super) fn new(memory: Arc<Credit>) -> Self {
        Self { text: String::new(), entries: Vec::new(), roots: Vec::new(), memory, charges: Vec::new() }
    }

    /// What is added from here on is below this folder.
    pub(super) fn begin(&mut self, root: &Arc<str>) {
        self.roots.push(Arc::clone(root));
    }

    /// Adds a path; false if there is no room for it.
    pub(super) fn add(&mut self, path: &str, is_directory: bool) -> bool {
        let bytes = self.text.len() + path.len() + (self.entries.len() + 1) * size_of::<Entry>();
        let has_room = self.entries.len() < limits::SEARCH_ENTRIES_MAX
            && (bytes <= self.charges.len() * CHARGE_BYTES || self.charge());
        let end = u32::try_from(self.text.len() + path.len());
        let root = u16::try_from(self.roots.len() - 1);
        let (true, Ok(end), Ok(root)) = (has_room, end, root) else { return false };
        let name_at = path.rfind('/').map_or(0, |slash| slash + 1);
        self.text.push_str(path);
        // A part of the text's end, which fits as well.
        self.entries.push(Entry { end, name_at: name_at as u32, root, is_directory });
        true
    }

    fn charge(&mut self) -> bool {
        let charge = self.memory.try_take(CHARGE_BYTES);
        let has_room = charge.is_some();
        self.charges.extend(charge);
        has_room
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, at: usize) -> Shown<'_> {
        let entry = self.entries[at];
        let start = if at == 0 { 0 } else { self.entries[at - 1].end as usize };
        Shown {
            root: &self.roots[usize::from(entry.root)],
            path: &self.text[start..entry.end as usize],
            name_at: entry.name_at as usize,
            is_directory: entry.is_directory,
        }
    }
}
