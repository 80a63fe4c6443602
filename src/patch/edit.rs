//! Applies hunks to a text. Lines that stay keep their bytes, line ends included; lines that come get the
//! file's kind of line end. Knows no file system; runs on its caller's OS thread.

use super::keys::Keys;
use super::parse::{Hunk, HunkLine};

/// A line and what ends it: nothing (the last line only), LF or CRLF.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    text: &'a str,
    end: &'a str,
}

fn lines_of(text: &str) -> Vec<Line<'_>> {
    let split = |line| {
        let text = str::strip_suffix(line, "\n").unwrap_or(line);
        let text = if text.len() < line.len() { text.strip_suffix('\r').unwrap_or(text) } else { text };
        Line { text, end: &line[text.len()..] }
    };
    text.split_inclusive('\n').map(split).collect()
}

/// Lines `at..at + removed` of the original become `lines`.
struct Replacement<'a> {
    at: usize,
    removed: usize,
    lines: Vec<Line<'a>>,
}

/// The text after `hunks`, which have to stand in the order of the file.
///
/// # Errors
/// What does not fit, for the model.
pub(super) fn edited(text: &str, hunks: &[Hunk]) -> Result<String, String> {
    let lines = lines_of(text);
    let crlf = lines.iter().filter(|line| line.end == "\r\n").count();
    let ended = lines.iter().filter(|line| !line.end.is_empty()).count();
    let end = if crlf * 2 > ended { "\r\n" } else { "\n" };
    let texts: Vec<&str> = lines.iter().map(|line| line.text).collect();
    let mut keys = Keys::new(&texts);
    let mut from = 0;
    let mut replacements = Vec::with_capacity(hunks.len());
    for hunk in hunks {
        let replacement = placed(hunk, &lines, &mut keys, from, end)?;
        from = replacement.at + replacement.removed;
        replacements.push(replacement);
    }
    let reaches_end = from == lines.len();
    let said = hunks.last().and_then(|hunk| hunk.final_newline).filter(|_| reaches_end);
    let has_final_newline = said.unwrap_or_else(|| lines.last().is_none_or(|line| !line.end.is_empty()));

    let mut result: Vec<Line<'_>> = Vec::with_capacity(lines.len());
    let mut kept = 0;
    for replacement in replacements {
        result.extend_from_slice(&lines[kept..replacement.at]);
        result.extend(replacement.lines);
        kept = replacement.at + replacement.removed;
    }
    result.extend_from_slice(&lines[kept..]);

    let mut edited = String::with_capacity(text.len());
    let last = result.len().saturating_sub(1);
    for (at, line) in result.iter().enumerate() {
        edited.push_str(line.text);
        match at == last && !has_final_newline {
            true => {}
            // What was the last line without an end may stand further up now.
            false if line.end.is_empty() => edited.push_str(end),
            false => edited.push_str(line.end),
        }
    }
    Ok(edited)
}

/// Finds a hunk's place, at or below line `from`.
fn placed<'a>(
    hunk: &'a Hunk,
    lines: &[Line<'a>],
    keys: &mut Keys<'_>,
    from: usize,
    end: &'a str,
) -> Result<Replacement<'a>, String> {
    let mut start = from;
    for context in &hunk.contexts {
        let found = keys.find(&[context], start, /*at_end*/ false);
        let Some(at) = found else {
            let above = keys.find(&[context], /*from*/ 0, /*at_end*/ false);
            return Err(missing(hunk, "context", context, above.filter(|_| from > 0)));
        };
        start = at + 1;
    }
    let bare = |text: &'a str| if end == "\r\n" { text.strip_suffix('\r').unwrap_or(text) } else { text };
    let mut old: Vec<&str> = Vec::new();
    for line in &hunk.lines {
        match line {
            HunkLine::Keep(text) | HunkLine::Remove(text) => old.push(bare(text)),
            HunkLine::Add(_) => {}
        }
    }
    if old.is_empty() {
        // Nothing to find: below its context, or at the end of the file.
        let is_below = !hunk.contexts.is_empty() && !hunk.end_of_file;
        let at = if is_below { start } else { lines.len() };
        return Ok(Replacement { at, removed: 0, lines: new_lines(hunk, &[], &bare, end) });
    }
    let mut found = keys.find(&old, start, hunk.end_of_file);
    // An empty last line stands for the line feed at the file's end more often than for a line.
    let is_blank_end = matches!(hunk.lines.last(), Some(HunkLine::Keep(text)) if bare(text).is_empty());
    if found.is_none() && is_blank_end && old.len() > 1 {
        old.pop();
        found = keys.find(&old, start, hunk.end_of_file);
    }
    let Some(at) = found else {
        let above = keys.find(&old, /*from*/ 0, /*at_end*/ false).filter(|_| from > 0);
        return Err(missing(hunk, "lines", &old.join("\n"), above));
    };
    let replaced = &lines[at..at + old.len()];
    Ok(Replacement { at, removed: replaced.len(), lines: new_lines(hunk, replaced, &bare, end) })
}

/// What stands at a hunk's place afterwards; what stays is taken from the file.
fn new_lines<'a>(
    hunk: &'a Hunk,
    replaced: &[Line<'a>],
    bare: &dyn Fn(&'a str) -> &'a str,
    end: &'a str,
) -> Vec<Line<'a>> {
    let mut old = replaced.iter().copied();
    let mut new = Vec::with_capacity(hunk.lines.len());
    for line in &hunk.lines {
        match line {
            HunkLine::Keep(_) => new.extend(old.next()),
            HunkLine::Remove(_) => drop(old.next()),
            HunkLine::Add(text) => new.push(Line { text: bare(text), end }),
        }
    }
    new
}

fn missing(hunk: &Hunk, what: &str, wanted: &str, above: Option<usize>) -> String {
    const SHOWN_CHARS: usize = 2000;
    let mut shown: String = wanted.chars().take(SHOWN_CHARS).collect();
    if shown.len() < wanted.len() {
        shown.push('…');
    }
    let hint = match above {
        Some(at) => format!(
            " They are at line {} of the file, above the place of an earlier hunk: go from the top down.",
            at + 1
        ),
        None => " Read the file again and write the lines as they are.".to_owned(),
    };
    format!(
        "the {what} of the hunk at line {} of the patch were not found.{hint} Wanted:\n{shown}",
        hunk.line
    )
}
