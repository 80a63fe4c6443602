//! A folder of a test's own.
//!
//! It is there for unit tests only. Modules add what their tests do with one by an `impl` of their own.

use std::fs;
use std::path::{Path, PathBuf};

/// An empty folder, gone with its owner.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes one.
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("app-server-test-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).expect("a temporary folder can be made");
        Self(path.canonicalize().expect("it is there"))
    }

    /// Where it is, without links.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Where this is in it.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes a folder in it, with those above.
    pub(crate) fn make(&self, name: &str) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(&path).expect("a folder can be made");
        path
    }

    /// Writes a file in it, and makes the folders above.
    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder can be made");
        fs::write(path, content).expect("a file can be written");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
