//! `--fix`: writes the comments into the files. Everything else in a file stays as it is, byte by byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::report::Edit;

/// The edits of all files, by path and text that was checked.
#[derive(Default)]
pub struct Fixes<'a> {
    files: BTreeMap<&'a Path, (&'a str, Vec<Edit>)>,
}

impl<'a> Fixes<'a> {
    pub fn add(&mut self, path: &'a Path, checked: &'a str, edit: Edit) {
        self.files.entry(path).or_insert_with(|| (checked, Vec::new())).1.push(edit);
    }

    /// Writes all files, or none if one of them is no longer what was checked.
    pub fn write(self) -> Result<()> {
        for (path, (checked, _)) in &self.files {
            let now = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            ensure!(
                now == checked.as_bytes(),
                "{} was changed while it was checked: nothing was written, run again",
                path.display()
            );
        }
        for (path, (checked, edits)) in self.files {
            fs::write(path, apply(checked, edits))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// From the back to the front, so that the offsets before an edit stay true.
fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.start);
    let mut text = text.to_owned();
    for Edit { start, end, text: replacement } in edits.into_iter().rev() {
        text.replace_range(start..end, &replacement);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Fixes, apply};
    use crate::report::Edit;

    #[test]
    fn edits_leave_the_rest_alone() {
        let edits = vec![
            Edit { start: 2, end: 2, text: "/*a*/ ".to_owned() },
            Edit { start: 5, end: 10, text: "/*b*/".to_owned() },
        ];
        assert_eq!(apply("f(1, /*x*/ 2)\r\n", edits), "f(/*a*/ 1, /*b*/ 2)\r\n");
    }

    #[test]
    fn a_changed_file_stops_the_writing_of_all() {
        let folder = std::env::temp_dir().join(format!("argument-comment-lint-fix-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (first, second) = (folder.join("a.rs"), folder.join("b.rs"));
        std::fs::write(&first, "f(1)").unwrap();
        std::fs::write(&second, "changed").unwrap();

        let edit = || Edit { start: 2, end: 2, text: "/*a*/ ".to_owned() };
        let mut fixes = Fixes::default();
        fixes.add(&first, "f(1)", edit());
        fixes.add(&second, "f(1)", edit());
        let refused = fixes.write().unwrap_err().to_string();

        assert!(refused.contains("b.rs was changed"), "{refused}");
        assert_eq!(std::fs::read_to_string(&first).unwrap(), "f(1)");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
