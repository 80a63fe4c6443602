//! The diff of a turn: from what each file was when the turn touched it first to what its patches made of
//! it, as git writes diffs. Knows no file system; owned by the turn, on its OS thread.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::ledger::{Change, Entry, Ledger, Snapshot};
use super::{Plan, render};
use crate::limits::TURN_DIFF_BYTES_MAX;

/// The id of what is not there.
const NO_BLOB: &str = "0000000000000000000000000000000000000000";

/// Stands for the side that is not there.
const NOTHING: &str = "/dev/null";

/// The diff of a turn. Paths in it are relative to the turn's cwd where they are below it.
#[derive(Debug)]
pub struct TurnDiff {
    cwd: PathBuf,
    ledger: Ledger,
    text: String,
    bytes_max: usize,
}

impl TurnDiff {
    /// The diff of a turn that changed nothing yet.
    #[must_use]
    pub fn new(cwd: &Path) -> TurnDiff {
        TurnDiff::bounded(cwd, TURN_DIFF_BYTES_MAX)
    }

    pub(super) fn bounded(cwd: &Path, bytes_max: usize) -> TurnDiff {
        TurnDiff { cwd: cwd.to_owned(), ledger: Ledger::default(), text: String::new(), bytes_max }
    }

    /// Adds a plan that was applied, and gives the whole diff: empty if all changes cancel out.
    pub fn record(&mut self, applied: &Plan) -> &str {
        self.ledger.merge(applied.ledger());
        self.ledger.shrink(self.bytes_max);
        self.text.clear();
        for change in self.ledger.changes() {
            write_change(&mut self.text, &change, &self.cwd);
        }
        &self.text
    }

    /// The whole diff as it was recorded last.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True if no patch was recorded, so that there is nothing to tell, not even that it is empty.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.ledger.entries().next().is_none()
    }
}

fn write_change(text: &mut String, change: &Change<'_>, cwd: &Path) {
    let (from, to): (&Entry, &Entry) = match change {
        Change::Add(entry, _) | Change::Delete(entry, _) => (entry, entry),
        Change::Update { from, to, .. } => (from, to),
    };
    let (before, after) = match change {
        Change::Add(_, after) => (None, Some(*after)),
        Change::Delete(_, before) => (Some(*before), None),
        Change::Update { before, after, .. } => (Some(*before), Some(*after)),
    };
    let (old, new) = (quoted("a/", &from.shown, cwd), quoted("b/", &to.shown, cwd));
    let mut lines = vec![format!("diff --git {old} {new}")];
    let mode = |side: Option<&Snapshot>| side.map(|side| side.kind.git_mode());
    match (mode(before), mode(after)) {
        (None, Some(mode)) => lines.push(format!("new file mode {mode}")),
        (Some(mode), None) => lines.push(format!("deleted file mode {mode}")),
        (Some(old), Some(new)) if old != new => {
            lines.extend([format!("old mode {old}"), format!("new mode {new}")]);
        }
        _ => {}
    }
    let id = |side: Option<&Snapshot>| side.map_or_else(|| NO_BLOB.to_owned(), Snapshot::blob_id);
    let (old_id, new_id) = (id(before), id(after));
    let mut hunks = String::new();
    if old_id != new_id {
        lines.push(format!("index {old_id}..{new_id}"));
        let old = if before.is_some() { old } else { NOTHING.to_owned() };
        let new = if after.is_some() { new } else { NOTHING.to_owned() };
        match (content(before), content(after)) {
            (Some(""), Some("")) => {}
            (Some(before), Some(after)) => {
                lines.extend([format!("--- {old}"), format!("+++ {new}")]);
                hunks = render::hunks(before, after);
            }
            _ => lines.push(format!("Binary files {old} and {new} differ")),
        }
    } else if from.shown != to.shown {
        lines.push("similarity index 100%".to_owned());
        lines.push(format!("rename from {}", quoted("", &from.shown, cwd)));
        lines.push(format!("rename to {}", quoted("", &to.shown, cwd)));
    }
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text.push_str(&hunks);
}

/// The text of a side, empty for what is not there; none if it is no text.
fn content(side: Option<&Snapshot>) -> Option<&str> {
    side.map_or(Some(""), Snapshot::text)
}

/// A path with its prefix, quoted as git does if it would break the line.
fn quoted(prefix: &str, path: &Path, cwd: &Path) -> String {
    let name = format!("{prefix}{}", path.strip_prefix(cwd).unwrap_or(path).display());
    if !name.contains(|c: char| c.is_control() || c == '"' || c == '\\') {
        return name;
    }
    let mut quoted = String::from("\"");
    for character in name.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            control if control.is_control() => {
                let mut bytes = [0; 4];
                for byte in control.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(quoted, "\\{byte:03o}");
                }
            }
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}
