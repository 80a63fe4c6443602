//! Cursors: where a page ended, as text that a client hands back. All are keys of rows, never offsets, so a
//! page is right whatever was inserted or deleted in between.

use super::error::StoreError;
use super::records::Direction;

/// A place in a list of threads, between rows: `<ms>|<thread id>`.
///
/// The id may be empty; it then stands before every thread of that millisecond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ThreadCursor {
    pub(super) at_ms: i64,
    pub(super) id: String,
}

impl ThreadCursor {
    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        let parts = text.split_once('|').and_then(|(at_ms, id)| {
            let known = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            known.then_some(())?;
            Some(Self { at_ms: at_ms.parse().ok()?, id: id.to_owned() })
        });
        parts.ok_or_else(|| StoreError::InvalidCursor(text.to_owned()))
    }

    /// The cursor that turns around at a page's first row, which came in `direction`.
    ///
    /// It takes in all rows of that millisecond again: of two threads with one time, the one that a page's
    /// first row had behind it may have been inserted since.
    pub(super) fn turning_at(at_ms: i64, direction: Direction) -> Self {
        let at_ms = match direction {
            Direction::Descending => at_ms,
            Direction::Ascending => at_ms.saturating_add(1),
        };
        Self { at_ms, id: String::new() }
    }

    pub(super) fn text(&self) -> String {
        format!("{}|{}", self.at_ms, self.id)
    }
}

/// The lists inside a thread, and one of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Turns,
    Items,
    Queue,
    Attachments,
    Owners,
}

impl Scope {
    fn word(self) -> &'static str {
        match self {
            Self::Turns => "turns",
            Self::Items => "items",
            Self::Queue => "queue",
            Self::Attachments => "attachments",
            Self::Owners => "owners",
        }
    }
}

/// A place in a list inside a thread: `<turns|items>:<ordinal>:<from|after>:<thread id>`.
///
/// It names its list and its thread, so that a cursor that went to the wrong request is refused and does not
/// silently skip rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OrdinalCursor {
    pub(super) ordinal: i64,
    /// True when the row at the ordinal is part of the page.
    pub(super) inclusive: bool,
}

impl OrdinalCursor {
    pub(super) fn from(ordinal: i64) -> Self {
        Self { ordinal, inclusive: true }
    }

    pub(super) fn after(ordinal: i64) -> Self {
        Self { ordinal, inclusive: false }
    }

    pub(super) fn parse(text: &str, scope: Scope, thread_id: &str) -> Result<Self, StoreError> {
        let mut parts = text.splitn(4, ':');
        let mut next = || parts.next().unwrap_or_default();
        let (word, ordinal, edge, owner) = (next(), next().parse(), next(), next());
        let inclusive = match edge {
            "from" => Some(true),
            "after" => Some(false),
            _ => None,
        };
        match (ordinal, inclusive) {
            (Ok(ordinal), Some(inclusive)) if word == scope.word() && owner == thread_id => {
                Ok(Self { ordinal, inclusive })
            }
            _ => Err(StoreError::InvalidCursor(text.to_owned())),
        }
    }

    pub(super) fn text(self, scope: Scope, thread_id: &str) -> String {
        let edge = if self.inclusive { "from" } else { "after" };
        format!("{}:{}:{edge}:{thread_id}", scope.word(), self.ordinal)
    }

    /// The lowest and the highest ordinal of a page that starts here. Without a cursor: all.
    pub(super) fn range(cursor: Option<Self>, direction: Direction) -> (i64, i64) {
        let Some(Self { ordinal, inclusive }) = cursor else { return (i64::MIN, i64::MAX) };
        let step = i64::from(!inclusive);
        match direction {
            Direction::Ascending => (ordinal.saturating_add(step), i64::MAX),
            Direction::Descending => (i64::MIN, ordinal.saturating_sub(step)),
        }
    }
}

/// A place in one message of a thread, for a list of what is found there:
/// `found:<ordinal>:<byte>:<thread id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct OccurrenceCursor {
    pub(super) ordinal: i64,
    /// Where in the message's text to look on.
    pub(super) byte: usize,
}

impl OccurrenceCursor {
    pub(super) fn parse(text: &str, thread_id: &str) -> Result<Self, StoreError> {
        let mut parts = text.splitn(4, ':');
        let mut next = || parts.next().unwrap_or_default();
        let (word, ordinal, byte, owner) = (next(), next().parse(), next().parse(), next());
        match (ordinal, byte) {
            (Ok(ordinal), Ok(byte)) if word == "found" && owner == thread_id => Ok(Self { ordinal, byte }),
            _ => Err(StoreError::InvalidCursor(text.to_owned())),
        }
    }

    pub(super) fn text(self, thread_id: &str) -> String {
        format!("found:{}:{}:{thread_id}", self.ordinal, self.byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went_out() {
        let thread = ThreadCursor { at_ms: -5, id: "a-1".to_owned() };
        assert_eq!(ThreadCursor::parse(&thread.text()), Ok(thread));
        for cursor in [OrdinalCursor::from(/*ordinal*/ 7), OrdinalCursor::after(i64::MAX)] {
            let text = cursor.text(Scope::Items, "t:1");
            assert_eq!(OrdinalCursor::parse(&text, Scope::Items, "t:1"), Ok(cursor));
        }
        let found = OccurrenceCursor { ordinal: 7, byte: 9 };
        assert_eq!(OccurrenceCursor::parse(&found.text("t:1"), "t:1"), Ok(found));
        assert!(OccurrenceCursor::parse(&found.text("t:1"), "t").is_err());
    }

    #[test]
    fn what_is_no_cursor_is_named_in_the_error() {
        for text in ["", "bogus", "1", "|", "x|a", "1|a b", "1|a|b", "9223372036854775808|a"] {
            assert_eq!(ThreadCursor::parse(text), Err(StoreError::InvalidCursor(text.to_owned())));
        }
        let texts = [
            "",
            "bogus",
            "1",
            "turns:1:from",
            "turns:1:at:t",
            "turns:x:from:t",
            "items:1:from:t",
            "turns:1:from:u",
        ];
        for text in texts {
            let error = OrdinalCursor::parse(text, Scope::Turns, "t").expect_err(text);
            assert_eq!(error.to_string(), format!("invalid cursor: {text}"));
        }
    }

    #[test]
    fn a_range_at_the_end_of_the_numbers_is_empty_or_one_row() {
        let last = Some(OrdinalCursor::after(i64::MAX));
        assert_eq!(OrdinalCursor::range(last, Direction::Descending), (i64::MIN, i64::MAX - 1));
        let first = Some(OrdinalCursor::from(/*ordinal*/ 1));
        assert_eq!(OrdinalCursor::range(first, Direction::Ascending), (1, i64::MAX));
    }
}
