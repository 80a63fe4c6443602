//! Tests of patches against real files, by concern, and what they share.

mod fitting;
mod links;
mod parsing;
mod random;
mod recorded;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
pub(super) use crate::scratch::Folder;

impl Folder {
    /// A folder with these files in it.
    pub(super) fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self::new();
        for (name, content) in files {
            folder.write(name, content);
        }
        folder
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).expect("a file of text")
    }

    /// Everything below it, so that nothing that is left behind goes unseen. Folders end with a slash.
    pub(super) fn listing(&self) -> BTreeMap<String, Vec<u8>> {
        let mut listing = BTreeMap::new();
        let mut open = vec![self.path().to_owned()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                let path = entry.path();
                let name = path.strip_prefix(self.path()).expect("below it").display().to_string();
                let kind = entry.file_type().expect("a kind");
                if kind.is_dir() {
                    listing.insert(name + "/", Vec::new());
                    open.push(path);
                } else if kind.is_symlink() {
                    let target = fs::read_link(&path).expect("a link").display().to_string();
                    listing.insert(name + "@", target.into_bytes());
                } else {
                    listing.insert(name, fs::read(&path).expect("a file"));
                }
            }
        }
        listing
    }

    pub(super) fn plan(&self, body: &str) -> Result<Plan, PatchError> {
        Plan::new(&Patch::parse(&patch(body))?, self.path())
    }

    pub(super) fn apply(&self, body: &str) -> Result<Plan, PatchError> {
        let plan = self.plan(body)?;
        plan.apply()?;
        Ok(plan)
    }
}

/// A patch with this body.
pub(super) fn patch(body: &str) -> String {
    format!("*** Begin Patch\n{body}*** End Patch\n")
}
