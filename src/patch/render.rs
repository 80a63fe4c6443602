//! Changes as text: unified hunks, and the changes of a `fileChange` item. Knows the protocol's types of
//! them; runs on its caller's OS thread.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use similar::DiffOp;
use similar::algorithms::{Capture, Compact, Replace, myers};
use similar::udiff::UnifiedHunkHeader;

use super::ledger::{Change, Snapshot};
use crate::limits::{DIFF_CONTEXT_LINES, DIFF_TIME_MAX};
use crate::proto::{FileUpdateChange, PatchChangeKind};

/// What stands for a content that is no text.
const BINARY: &str = "(binary content)\n";

/// What follows a last line that no newline ends.
const NO_NEWLINE: &str = "\n\\ No newline at end of file\n";

/// Unified hunks between two texts, without file headers; above [`DIFF_TIME_MAX`] correct, but not shortest.
///
/// The library's own text diff would bring each of its algorithms along, for each form of text: half a
/// megabyte of program. Its Myers on numbered lines is all that is needed.
pub(super) fn hunks(before: &str, after: &str) -> String {
    hunks_within(before, after, DIFF_TIME_MAX)
}

fn hunks_within(before: &str, after: &str, time_max: Duration) -> String {
    let mut numbers = HashMap::new();
    let (old, old_numbers) = numbered(before, &mut numbers);
    let (new, new_numbers) = numbered(after, &mut numbers);
    let mut text = String::new();
    for ops in similar::group_diff_ops(changes(&old_numbers, &new_numbers, time_max), DIFF_CONTEXT_LINES) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", UnifiedHunkHeader::new(&ops));
        for op in ops {
            let (removed, added) = (&old[op.old_range()], &new[op.new_range()]);
            if matches!(op, DiffOp::Equal { .. }) {
                say(&mut text, ' ', removed);
            } else {
                say(&mut text, '-', removed);
                say(&mut text, '+', added);
            }
        }
    }
    text
}

/// The lines of a text with their newlines; lines that are the same get the same number.
fn numbered<'text>(
    text: &'text str,
    numbers: &mut HashMap<&'text str, usize>,
) -> (Vec<&'text str>, Vec<usize>) {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let of_lines = lines.iter().map(|line| {
        let next = numbers.len();
        *numbers.entry(line).or_insert(next)
    });
    let of_lines = of_lines.collect();
    (lines, of_lines)
}

#[expect(clippy::disallowed_methods, reason = "the bound is on this computation, whatever time it is")]
fn changes(old: &Vec<usize>, new: &Vec<usize>, time_max: Duration) -> Vec<DiffOp> {
    let deadline = std::time::Instant::now() + time_max;
    let mut ops = Compact::new(Replace::new(Capture::new()), old, new);
    let Ok(()) = myers::diff_deadline(&mut ops, old, 0..old.len(), new, 0..new.len(), Some(deadline));
    ops.into_inner().into_inner().into_ops()
}

fn say(text: &mut String, sign: char, lines: &[&str]) {
    for line in lines {
        text.push(sign);
        text.push_str(line);
        if !line.ends_with('\n') {
            text.push_str(NO_NEWLINE);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a diff without context says that the text is now.
    fn after(diff: &str) -> String {
        let lines = diff.split_inclusive('\n').filter_map(|line| line.strip_prefix(['+', ' ']));
        lines.collect()
    }

    #[test]
    fn above_its_time_a_diff_is_right_but_not_short() {
        let line = |at: usize| format!("line {}\n", at % 7);
        let old: String = (0..200).map(line).collect();
        let new: String = (0..200).filter(|at| at % 5 != 0).map(|at| line(at * 3)).collect();
        let short = hunks_within(&old, &new, DIFF_TIME_MAX);
        let late = hunks_within(&old, &new, Duration::ZERO);
        assert_eq!((after(&short), after(&late)), (new.clone(), new));
        assert!(late.len() > short.len(), "{} bytes in no time, {} with time", late.len(), short.len());
    }

    #[test]
    fn a_last_line_without_a_newline_is_told_apart() {
        let missing = "\\ No newline at end of file\n";
        assert_eq!(hunks("a\nb", "a\nb\n"), format!("@@ -1,2 +1,2 @@\n a\n-b\n{missing}+b\n"));
        assert_eq!(hunks("", "x"), format!("@@ -0,0 +1 @@\n+x\n{missing}"));
        assert_eq!(hunks("same", "same"), "");
    }
}
