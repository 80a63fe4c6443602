//! The text of a message while it is streamed, for those who come in the middle of it.

use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// A text that only grows. The turn appends; others read it up to a length that they were told.
#[derive(Debug, Clone, Default)]
pub(super) struct LiveText(Arc<Mutex<String>>);

/// A live text as it was after some delta: what came later is not seen through it, so that a reader who also
/// hears the deltas misses nothing and hears nothing twice.
#[derive(Debug, Clone)]
pub struct GrownTo {
    text: LiveText,
    bytes: usize,
}

impl LiveText {
    /// Appends a delta and returns the text as it is then.
    #[must_use]
    pub(super) fn push(&self, delta: &str) -> GrownTo {
        let mut text = lock(&self.0);
        text.push_str(delta);
        GrownTo { text: self.clone(), bytes: text.len() }
    }

    /// All of it.
    #[must_use]
    pub(super) fn all(&self) -> String {
        lock(&self.0).clone()
    }
}

impl GrownTo {
    /// The text up to here.
    #[must_use]
    pub fn read(&self) -> String {
        // Deltas are whole strings, so a length after one of them is a character boundary.
        lock(&self.text.0).get(..self.bytes).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_later_is_not_seen() {
        let text = LiveText::default();
        let first = text.push("grüß ");
        let second = text.push("dich");
        assert_eq!((first.read().as_str(), second.read().as_str()), ("grüß ", "grüß dich"));
        assert_eq!(text.all(), "grüß dich");
    }
}
