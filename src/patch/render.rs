//! Changes as text: unified hunks, and the changes of a `fileChange` item. Knows the protocol's types of
//! them; runs on its caller's OS thread.

use similar::{Algorithm, TextDiff};

use super::ledger::{Change, Snapshot};
use crate::limits::{DIFF_CONTEXT_LINES, DIFF_TIME_MAX};
use crate::proto::{FileUpdateChange, PatchChangeKind};

/// What stands for a content that is no text.
const BINARY: &str = "(binary content)\n";

/// Unified hunks between two texts, without file headers; above [`DIFF_TIME_MAX`] correct, but not shortest.
pub(super) fn hunks(before: &str, after: &str) -> String {
    let diff =
        TextDiff::configure().algorithm(Algorithm::Myers).timeout(DIFF_TIME_MAX).diff_lines(before, after);
    diff.unified_diff().context_radius(DIFF_CONTEXT_LINES).to_string()
}

/// A change as a `fileChange` item shows it.
pub(super) fn file_change(change: &Change<'_>) -> FileUpdateChange {
    let (kind, diff) = match *change {
        Change::Add(_, after) => (PatchChangeKind::Add, whole(after)),
        Change::Delete(_, before) => (PatchChangeKind::Delete, whole(before)),
        Change::Update { from, to, before, after } => {
            let mut diff = match (before.text(), after.text()) {
                (Some(before), Some(after)) => hunks(before, after),
                _ => BINARY.to_owned(),
            };
            let target = (from.shown != to.shown).then(|| to.shown.display().to_string());
            if let Some(target) = &target {
                diff.push_str(&format!("\n\nMoved to: {target}"));
            }
            (PatchChangeKind::Update { move_path: target }, diff)
        }
    };
    FileUpdateChange { path: change.shown().display().to_string(), kind, diff }
}

fn whole(snapshot: &Snapshot) -> String {
    snapshot.text().unwrap_or(BINARY).to_owned()
}
