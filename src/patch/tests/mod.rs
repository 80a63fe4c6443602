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

/// A folder that is gone with its owner.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(files: &[(&str, &str)]) -> Folder {
        let temporary = std::env::temp_dir().canonicalize().expect("a temporary folder");
        let path = temporary.join(format!("app-server-patch-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).expect("a temporary folder can be made");
        let folder = Folder(path);
        for (name, content) in files {
            folder.write(name, content);
        }
        folder
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn write(&self, name: &str, content: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder can be made");
        fs::write(path, content).expect("a file can be written");
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).expect("a file of text")
    }

    /// Everything below it, so that nothing that is left behind goes unseen. Folders end with a slash.
    pub(super) fn listing(&self) -> BTreeMap<String, Vec<u8>> {
        let mut listing = BTreeMap::new();
        let mut open = vec![self.0.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                let path = entry.path();
                let name = path.strip_prefix(&self.0).expect("below it").display().to_string();
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

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A patch with this body.
pub(super) fn patch(body: &str) -> String {
    format!("*** Begin Patch\n{body}*** End Patch\n")
}
