//! Finds lines in a file, exactly if possible, else ever more loosely: models write down what they read with
//! other blanks at line ends, other punctuation, other indentation. Knows lines of text only; runs on its
//! caller's OS thread.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How closely lines have to agree, strictest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Exact,
    /// Blanks at the end do not count.
    Trailing,
    /// Nor do the many forms of dashes, quotes and blanks.
    Punctuation,
    /// Nor do blanks at the begin.
    Trimmed,
}

const LEVELS: [Level; 4] = [Level::Exact, Level::Trailing, Level::Punctuation, Level::Trimmed];

impl Level {
    fn key(self, line: &str) -> Cow<'_, str> {
        match self {
            Level::Exact => line.into(),
            Level::Trailing => line.trim_end().into(),
            Level::Punctuation => plain(line.trim_end()),
            Level::Trimmed => plain(line.trim()),
        }
    }
}

/// The ASCII form of punctuation that comes in many.
fn plain(line: &str) -> Cow<'_, str> {
    if line.is_ascii() {
        return line.into();
    }
    let plain = |c| match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        '\u{a0}' | '\u{2002}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => ' ',
        c => c,
    };
    line.chars().map(plain).collect()
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// A file's lines, and their hashes for each level that was needed. Comparing hashes keeps many hunks on a
/// large file fast; what agrees by hash is compared by text.
pub(super) struct Keys<'a> {
    lines: &'a [&'a str],
    hashes: [Option<Vec<u64>>; LEVELS.len()],
}

impl<'a> Keys<'a> {
    pub(super) fn new(lines: &'a [&'a str]) -> Keys<'a> {
        Keys { lines, hashes: [const { None }; LEVELS.len()] }
    }

    /// Where `wanted` begins: the first place from `from` on, at the strictest level that has one. With
    /// `at_end` the file's end is preferred.
    pub(super) fn find(&mut self, wanted: &[&str], from: usize, at_end: bool) -> Option<usize> {
        let last = self.lines.len().checked_sub(wanted.len()).filter(|last| *last >= from)?;
        for (index, level) in LEVELS.into_iter().enumerate() {
            let keys: Vec<Cow<'_, str>> = wanted.iter().map(|line| level.key(line)).collect();
            let wanted: Vec<u64> = keys.iter().map(|key| hash(key)).collect();
            let lines = self.lines;
            let all = self.hashes[index]
                .get_or_insert_with(|| lines.iter().map(|line| hash(&level.key(line))).collect());
            let fits = |at: &usize| {
                let place = *at..*at + keys.len();
                all[place.clone()] == wanted[..]
                    && lines[place].iter().zip(&keys).all(|(line, key)| level.key(line) == *key)
            };
            let found = match at_end {
                true => Some(last).filter(fits).or_else(|| (from..last).find(fits)),
                false => (from..=last).find(fits),
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_level_that_fits_wins() {
        let lines = ["  a ", "a ", "a", "\u{201c}q\u{201d} \u{2013} x", "end"];
        let find = |wanted: &[&str], at_end| Keys::new(&lines).find(wanted, /*from*/ 0, at_end);
        assert_eq!(find(&["a"], false), Some(2), "exact before looser ones above it");
        assert_eq!(find(&["  a"], false), Some(0), "blanks at the end");
        assert_eq!(find(&["\"q\" - x"], false), Some(3), "punctuation");
        assert_eq!(find(&["    end"], false), Some(4), "indentation");
        assert_eq!(find(&["b"], false), None);
        assert_eq!(find(&["a", "\"q\" - x", "end", "more"], false), None, "longer than what is left");
    }

    #[test]
    fn the_end_is_preferred_where_it_is_said() {
        let lines = ["x", "y", "x", "y"];
        assert_eq!(Keys::new(&lines).find(&["x", "y"], /*from*/ 0, /*at_end*/ true), Some(2));
        assert_eq!(Keys::new(&lines).find(&["x", "y"], /*from*/ 0, /*at_end*/ false), Some(0));
        assert_eq!(Keys::new(&lines).find(&["y", "x"], /*from*/ 0, /*at_end*/ true), Some(1));
        assert_eq!(Keys::new(&lines).find(&["x"], /*from*/ 3, /*at_end*/ false), None);
    }
}
