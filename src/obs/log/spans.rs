//! Spans as the log keeps them: their fields, and how long they were worked on.

use std::fmt::{self, Debug};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::Attributes;

use crate::clock::Monotonic;

/// Most bytes that are kept of one field.
const VALUE_BYTES_MAX: usize = 256;

/// A span that is open.
#[derive(Debug)]
pub(super) struct OpenSpan {
    pub(super) name: &'static str,
    pub(super) fields: Vec<(&'static str, Value)>,
    /// Time within it, and time open but elsewhere.
    pub(super) busy: Duration,
    pub(super) idle: Duration,
    /// When it was last entered, left or made.
    since: Monotonic,
    /// Times entered and not left.
    depth: usize,
}

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Written as it is: a number or a bool.
    Bare(String),
    /// Text.
    Text(String),
}

impl OpenSpan {
    pub(super) fn new(attributes: &Attributes<'_>, now: Monotonic) -> Self {
        let mut span = Self {
            name: attributes.metadata().name(),
            fields: Vec::new(),
            busy: Duration::ZERO,
            idle: Duration::ZERO,
            since: now,
            depth: 0,
        };
        attributes.record(&mut span);
        span
    }

    pub(super) fn enter(&mut self, now: Monotonic) {
        if self.depth == 0 {
            self.idle += now.since(self.since);
            self.since = now;
        }
        self.depth += 1;
    }

    pub(super) fn leave(&mut self, now: Monotonic) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0 {
            self.busy += now.since(self.since);
            self.since = now;
        }
    }

    pub(super) fn close(&mut self, now: Monotonic) {
        self.idle += now.since(self.since);
    }

    /// The text of a field.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.fields.iter().find_map(|(field, value)| match value {
            Value::Bare(text) | Value::Text(text) if *field == name => Some(text.as_str()),
            _ => None,
        })
    }

    fn set(&mut self, field: &Field, value: Value) {
        match self.fields.iter_mut().find(|(name, _)| *name == field.name()) {
            Some((_, old)) => *old = value,
            None => self.fields.push((field.name(), value)),
        }
    }
}

impl Visit for OpenSpan {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = Bounded(String::new());
        // What does not fit is left out.
        let _ = fmt::write(&mut text, format_args!("{value:?}"));
        self.set(field, Value::Text(text.0));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let end = (0..=value.len().min(VALUE_BYTES_MAX)).rev().find(|at| value.is_char_boundary(*at));
        self.set(field, Value::Text(value[..end.unwrap_or(0)].to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, Value::Bare(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, Value::Bare(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, Value::Bare(value.to_string()));
    }
}

struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = VALUE_BYTES_MAX.saturating_sub(self.0.len());
        let end = (0..=room.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        self.0.push_str(&text[..end]);
        if end < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}
