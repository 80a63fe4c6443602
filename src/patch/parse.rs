//! Reads a patch's text into what it wants of each file. Knows no file system; runs on its caller's OS
//! thread.

use std::iter::Peekable;
use std::vec::IntoIter;

use super::PatchError;
use crate::limits::{PATCH_BYTES_MAX, PATCH_FILES_MAX, PATCH_HUNKS_MAX};

const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";
const ADD: &str = "*** Add File:";
const UPDATE: &str = "*** Update File:";
const DELETE: &str = "*** Delete File:";
const MOVE: &str = "*** Move to:";
const END_OF_FILE: &str = "*** End of File";

/// What a patch wants, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// File by file.
    pub files: Vec<FilePatch>,
}

/// What a patch wants of one file. Paths are as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilePatch {
    /// A file with this content is there.
    Add {
        /// Which.
        path: String,
        /// Whole content, with a line feed behind each line.
        content: String,
    },
    /// A file is gone.
    Delete {
        /// Which.
        path: String,
    },
    /// A file is changed, moved, or both.
    Update {
        /// Which.
        path: String,
        /// Where it goes.
        move_to: Option<String>,
        /// What changes in it, from its top down.
        hunks: Vec<Hunk>,
    },
}

/// One place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hunk {
    /// Line of the patch that it begins at, from 1.
    pub line: usize,
    /// Lines that stand above it in the file, from the outside in (`@@ class A`, `@@ def f`).
    pub contexts: Vec<String>,
    /// Its lines.
    pub lines: Vec<HunkLine>,
    /// It ends where the file ends.
    pub end_of_file: bool,
    /// The changed file's last line has a line feed, or has none; not said: as it was.
    pub final_newline: Option<bool>,
}

/// A line of a hunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HunkLine {
    /// It stays.
    Keep(String),
    /// It goes.
    Remove(String),
    /// It comes.
    Add(String),
}

/// Lines with their numbers.
type Lines<'a> = Peekable<IntoIter<(usize, &'a str)>>;

impl Patch {
    /// Reads a patch. Blank space around it, and a here-document's operator and end around it, are put aside.
    ///
    /// # Errors
    /// If it is no patch, or a larger one than what is accepted.
    pub fn parse(text: &str) -> Result<Patch, PatchError> {
        if text.len() > PATCH_BYTES_MAX {
            let reason = format!("{} bytes, at most {PATCH_BYTES_MAX} are accepted; split it", text.len());
            return Err(PatchError::TooLarge(reason));
        }
        let mut lines = framed(text)?;
        let mut files = Vec::new();
        let mut hunks = 0;
        while let Some((at, line)) = lines.next() {
            if files.len() == PATCH_FILES_MAX {
                let reason = format!("more than {PATCH_FILES_MAX} files; split it");
                return Err(PatchError::TooLarge(reason));
            }
            files.push(file(at, line, &mut lines, &mut hunks)?);
        }
        match files.is_empty() {
            true => Err(PatchError::parse(
                /*line*/ 2,
                format!("no file is named; write `{UPDATE} PATH` or the like"),
            )),
            false => Ok(Patch { files }),
        }
    }
}

/// The lines between the first and the last, which have to be what they are.
fn framed(text: &str) -> Result<Lines<'_>, PatchError> {
    let mut lines: Vec<(usize, &str)> =
        text.split('\n').enumerate().map(|(at, line)| (at + 1, line)).collect();
    // A patch that came with CRLF everywhere is meant without.
    if lines.iter().rev().skip(1).all(|(_, line)| line.ends_with('\r')) {
        lines.iter_mut().for_each(|(_, line)| *line = line.strip_suffix('\r').unwrap_or(line));
    }
    let is_blank = |line: Option<&(usize, &str)>| line.is_some_and(|(_, line)| line.trim().is_empty());
    while is_blank(lines.last()) {
        lines.pop();
    }
    let blank = lines.iter().take_while(|line| is_blank(Some(line))).count();
    lines.drain(..blank);
    // Some models send the here-document that they would have typed.
    let tag = lines.first().and_then(|(_, line)| line.trim().strip_prefix("<<"));
    if let Some(tag) = tag.map(|tag| tag.trim_matches(|c: char| c == '\'' || c == '"' || c.is_whitespace()))
        && lines.len() > 1
        && lines.last().is_some_and(|(_, line)| line.trim() == tag)
    {
        lines.pop();
        lines.remove(0);
    }
    match lines.first() {
        Some((_, line)) if line.trim() == BEGIN => {}
        first => {
            let at = first.map_or(1, |(at, _)| *at);
            return Err(PatchError::parse(at, format!("the first line has to be `{BEGIN}`")));
        }
    }
    match lines.last() {
        Some((_, line)) if line.trim() == END => lines.pop(),
        last => {
            let at = last.map_or(1, |(at, _)| *at);
            return Err(PatchError::parse(at, format!("the last line has to be `{END}`")));
        }
    };
    lines.remove(0);
    Ok(lines.into_iter().peekable())
}

fn file(at: usize, line: &str, lines: &mut Lines<'_>, hunks: &mut usize) -> Result<FilePatch, PatchError> {
    let line = line.trim();
    if let Some(path) = line.strip_prefix(ADD) {
        return Ok(FilePatch::Add { path: path_of(at, path)?, content: content(lines)? });
    }
    if let Some(path) = line.strip_prefix(DELETE) {
        return Ok(FilePatch::Delete { path: path_of(at, path)? });
    }
    let Some(path) = line.strip_prefix(UPDATE) else {
        let shown: String = line.chars().take(80).collect();
        let reason =
            format!("`{shown}` opens no file; expected `{ADD} PATH`, `{UPDATE} PATH` or `{DELETE} PATH`");
        return Err(PatchError::parse(at, reason));
    };
    let path = path_of(at, path)?;
    let target = lines.peek().and_then(|(at, line)| Some((*at, line.trim().strip_prefix(MOVE)?)));
    let move_to = match target {
        Some((at, target)) => {
            lines.next();
            Some(path_of(at, target)?)
        }
        None => None,
    };
    let mut own = Vec::new();
    while let Some((at, _)) = lines.peek().copied().filter(|(_, line)| !opens_file(line)) {
        *hunks += 1;
        if *hunks > PATCH_HUNKS_MAX {
            return Err(PatchError::TooLarge(format!("more than {PATCH_HUNKS_MAX} hunks; split it")));
        }
        own.push(hunk(at, lines)?);
    }
    if own.is_empty() && move_to.is_none() {
        return Err(PatchError::parse(at, "the update changes nothing: neither a hunk nor a move follows"));
    }
    Ok(FilePatch::Update { path, move_to, hunks: own })
}

fn path_of(at: usize, path: &str) -> Result<String, PatchError> {
    match path.trim() {
        "" => Err(PatchError::parse(at, "the path is missing")),
        path if path.contains('\0') => Err(PatchError::parse(at, "a path cannot contain a NUL")),
        path => Ok(path.to_owned()),
    }
}

fn opens_file(line: &str) -> bool {
    [ADD, UPDATE, DELETE].iter().any(|word| line.trim_end().starts_with(word))
}

fn content(lines: &mut Lines<'_>) -> Result<String, PatchError> {
    let mut content = String::new();
    while let Some((at, line)) = lines.next_if(|(_, line)| !opens_file(line)) {
        match line.strip_prefix('+') {
            Some(line) => {
                content.push_str(line);
                content.push('\n');
            }
            // A blank line before the next file.
            None if line.trim().is_empty() && lines.peek().is_none_or(|(_, next)| opens_file(next)) => {}
            None => return Err(PatchError::parse(at, "each line of a new file has to begin with `+`")),
        }
    }
    Ok(content)
}

fn hunk(at: usize, lines: &mut Lines<'_>) -> Result<Hunk, PatchError> {
    let mut hunk = Hunk { line: at, ..Hunk::default() };
    while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with("@@")) {
        hunk.contexts.extend(context(line));
    }
    while let Some((at, line)) = lines.next_if(|(_, line)| !line.starts_with("@@") && !opens_file(line)) {
        let rest = line.get(1..).unwrap_or_default().to_owned();
        match line.as_bytes().first() {
            Some(b' ') => hunk.lines.push(HunkLine::Keep(rest)),
            Some(b'-') => hunk.lines.push(HunkLine::Remove(rest)),
            Some(b'+') => hunk.lines.push(HunkLine::Add(rest)),
            // An empty line that lost its space.
            None => hunk.lines.push(HunkLine::Keep(String::new())),
            Some(b'\r') if line == "\r" => hunk.lines.push(HunkLine::Keep(String::new())),
            // As unified diffs say it: the line above has no line feed.
            Some(b'\\') => hunk.final_newline = Some(matches!(hunk.lines.last(), Some(HunkLine::Remove(_)))),
            Some(_) if line.trim_end() == END_OF_FILE => {
                hunk.end_of_file = true;
                // Blank lines behind it belong to nothing.
                while lines.next_if(|(_, line)| line.trim().is_empty()).is_some() {}
                break;
            }
            Some(_) => {
                let shown: String = line.chars().take(80).collect();
                let reason =
                    format!("`{shown}` is no line of a hunk; each begins with ` `, `-`, `+` or `@@`");
                return Err(PatchError::parse(at, reason));
            }
        }
    }
    if hunk.lines.is_empty() && !hunk.end_of_file {
        return Err(PatchError::parse(at, "the hunk is empty: lines with ` `, `-` or `+` have to follow"));
    }
    Ok(hunk)
}

/// What stands behind `@@`; the ranges of a unified diff are no context.
fn context(line: &str) -> Option<String> {
    let text = line.strip_prefix("@@")?;
    let text = text.strip_prefix(' ').unwrap_or(text).trim_end();
    let mut words = text.split_whitespace();
    let is_range = |word: Option<&str>, sign: char| {
        word.and_then(|word| word.strip_prefix(sign))
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit() || c == ','))
    };
    let is_unified = is_range(words.next(), '-') && is_range(words.next(), '+');
    (!is_unified && !text.trim().is_empty()).then(|| text.to_owned())
}
