//! A text to search for: how it is found in another one, and what the index is asked for it.

use std::ops::Range;

use crate::limits;

/// A search term. The case of letters does not matter.
#[derive(Debug)]
pub(super) struct Needle {
    folded: Vec<char>,
}

/// A piece of a text around a hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// The piece.
    pub text: String,
    /// Where in the piece the hit is, in bytes.
    pub hit: Range<usize>,
}

impl Needle {
    pub(super) fn new(term: &str) -> Self {
        Self { folded: term.chars().flat_map(char::to_lowercase).collect() }
    }

    /// What the index is asked: every text with the term has all of these trigrams. None for a term that is
    /// too short to have one.
    pub(super) fn query(&self) -> Option<String> {
        let mut trigrams: Vec<&[char]> = self.folded.windows(3).collect();
        // The index's parser takes no NUL.
        trigrams.retain(|trigram| !trigram.contains(&'\0'));
        trigrams.sort_unstable();
        trigrams.dedup();
        // Evenly from all over the term.
        let step = trigrams.len().div_ceil(limits::SEARCH_TRIGRAMS_MAX).max(1);
        let quoted = trigrams.into_iter().step_by(step).map(|trigram| {
            let text: String = trigram.iter().collect();
            format!("\"{}\"", text.replace('"', "\"\""))
        });
        let query = quoted.collect::<Vec<_>>().join(" AND ");
        (!query.is_empty()).then_some(query)
    }

    /// Where the term stands first in a text at or after `from`, in bytes.
    pub(super) fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
        let rest = text.get(from..)?;
        let first = *self.folded.first()?;
        for (at, character) in rest.char_indices() {
            if character.to_lowercase().next() == Some(first)
                && let Some(bytes) = self.match_at(&rest[at..])
            {
                return Some(from + at..from + at + bytes);
            }
        }
        None
    }

    /// The length in bytes of what matches at the text's beginning.
    fn match_at(&self, text: &str) -> Option<usize> {
        let mut wanted = self.folded.iter();
        let mut left = wanted.len();
        for (at, character) in text.char_indices() {
            for folded in character.to_lowercase() {
                if wanted.next() != Some(&folded) {
                    return None;
                }
                left -= 1;
                if left == 0 {
                    return Some(at + character.len_utf8());
                }
            }
        }
        None
    }

    /// The first hit in a text with what stands around it.
    pub(super) fn snippet(&self, text: &str) -> Option<Snippet> {
        self.find(text, /*from*/ 0).map(|hit| Snippet::around(text, hit))
    }
}

impl Snippet {
    /// The piece of `text` around `hit`.
    pub(super) fn around(text: &str, hit: Range<usize>) -> Self {
        let before = text[..hit.start].char_indices().rev().nth(limits::SEARCH_SNIPPET_CHARS - 1);
        let start = before.map_or(0, |(at, _)| at);
        let after = text[hit.end..].char_indices().nth(limits::SEARCH_SNIPPET_CHARS);
        let end = after.map_or(text.len(), |(at, _)| hit.end + at);
        let mut piece = String::new();
        if start > 0 {
            piece.push('…');
        }
        let shift = piece.len();
        piece.push_str(&text[start..end]);
        if end < text.len() {
            piece.push('…');
        }
        Self { text: piece, hit: hit.start - start + shift..hit.end - start + shift }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(term: &str, text: &'a str) -> Option<&'a str> {
        Needle::new(term).find(text, /*from*/ 0).map(|hit| &text[hit])
    }

    #[test]
    fn the_case_of_letters_does_not_matter_in_any_script() {
        assert_eq!(found("HÉLLO", "say héllo"), Some("héllo"));
        assert_eq!(found("привет", "ПРИВЕТ"), Some("ПРИВЕТ"));
        assert_eq!(found("你好", "说你好吗"), Some("你好"));
        assert_eq!(found("aab", "aaab"), Some("aab"), "a hit may begin within a failed one");
        assert_eq!(found("x%", "x_"), None, "nothing is a wildcard");
        assert_eq!(found("", "x"), None);
    }

    #[test]
    fn the_index_is_asked_for_trigrams() {
        assert_eq!(Needle::new("ab").query(), None);
        assert_eq!(Needle::new("A\"bc").query().as_deref(), Some("\"\"\"bc\" AND \"a\"\"b\""));
        let long = Needle::new(&"abcdefghijklmnopqrstuvwxyz".repeat(3)).query().expect("long enough");
        assert!(long.matches("AND").count() < limits::SEARCH_TRIGRAMS_MAX);
    }

    #[test]
    fn a_snippet_is_cut_at_characters_and_knows_its_hit() {
        let text = format!("{}needle{}", "ä".repeat(100), "ö".repeat(100));
        let snippet = Needle::new("Needle").snippet(&text).expect("it is there");
        assert_eq!(&snippet.text[snippet.hit.clone()], "needle");
        assert_eq!(snippet.text.chars().count(), 2 * limits::SEARCH_SNIPPET_CHARS + 6 + 2);
        let whole = Needle::new("b").snippet("abc").expect("it is there");
        assert_eq!((whole.text.as_str(), whole.hit), ("abc", 1..2));
    }
}
