//! Files as the reader sees them: paths as short as they can be, lines and columns that start at 1.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ra_ap_ide_db::base_db::SourceDatabase;
use ra_ap_ide_db::{FileId, RootDatabase};
use ra_ap_syntax::{TextRange, TextSize};
use ra_ap_vfs::Vfs;

/// The text that was checked.
pub struct Source<'a> {
    pub path: PathBuf,
    pub text: &'a str,
}

/// One line of a file and the place in it.
pub struct Spot<'a> {
    /// From 1, as editors count.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// Without its line end.
    pub text: &'a str,
}

impl<'a> Source<'a> {
    pub fn of(db: &'a RootDatabase, vfs: &Vfs, file: FileId) -> Result<Source<'a>> {
        let path = vfs.file_path(file).as_path().context("a file that is on no disk")?;
        Ok(Source { path: PathBuf::from(path.as_str()), text: db.file_text(file).text(db) })
    }

    /// Relative to `folder` if the file lies in it.
    pub fn shown_path(&self, folder: &Path) -> String {
        self.path.strip_prefix(folder).unwrap_or(&self.path).display().to_string()
    }

    pub fn spot(&self, offset: TextSize) -> Spot<'a> {
        let offset = usize::from(offset);
        let before = &self.text[..offset];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let text = self.text[start..].lines().next().unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Spot { line, column: self.text[start..offset].chars().count() + 1, text }
    }

    pub fn slice(&self, range: TextRange) -> &'a str {
        &self.text[usize::from(range.start())..usize::from(range.end())]
    }
}
