//! What the tests of file operations share.

use std::fs;
use std::path::PathBuf;

pub(super) use crate::scratch::Folder;

impl Folder {
    /// Makes a named pipe.
    pub(super) fn pipe(&self, name: &str) -> PathBuf {
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
        let path = self.at(name);
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, /*dev*/ 0).expect("a pipe");
        path
    }

    /// Names in the folder, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).expect("the folder").flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}
