//! Typed reading of a TOML table: each error names the key, where its value comes from, what was found there
//! and what is accepted, and keys that nobody asked for are known at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write as _};
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::{Table, Value};

use super::Layer;
use crate::error::StartError;

/// A table of the configuration while it is being read.
pub(super) struct Section<'a> {
    table: &'a Table,
    path: Vec<&'a str>,
    layers: &'a [Layer],
    asked: BTreeSet<&'a str>,
}

impl<'a> Section<'a> {
    pub(super) fn root(table: &'a Table, layers: &'a [Layer]) -> Self {
        Self { table, path: Vec::new(), layers, asked: BTreeSet::new() }
    }

    /// The value of a key, of any type.
    pub(super) fn value(&mut self, key: &'a str) -> Option<&'a Value> {
        self.asked.insert(key);
        self.table.get(key)
    }

    /// Knows a key without using it.
    pub(super) fn ignore(&mut self, key: &'a str) {
        self.asked.insert(key);
    }

    /// The section below a key.
    pub(super) fn table(&mut self, key: &'a str) -> Result<Option<Section<'a>>, StartError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let Some(table) = value.as_table() else { return Err(self.wrong(key, value, "a table")) };
        let path = self.path.iter().copied().chain([key]).collect();
        Ok(Some(Section { table, path, layers: self.layers, asked: BTreeSet::new() }))
    }

    /// The keys of this section.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.table.keys().map(String::as_str)
    }

    pub(super) fn text(&mut self, key: &'a str) -> Result<Option<String>, StartError> {
        self.typed(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn switch(&mut self, key: &'a str) -> Result<Option<bool>, StartError> {
        self.typed(key, "true or false", Value::as_bool)
    }

    /// A whole number within `range`.
    pub(super) fn integer<N: TryFrom<i64> + PartialOrd + Display>(
        &mut self,
        key: &'a str,
        range: RangeInclusive<N>,
    ) -> Result<Option<N>, StartError> {
        let unbounded = N::try_from(i64::MAX).is_ok_and(|most| *range.end() >= most);
        let accepted = match unbounded {
            true => format!("a whole number of at least {}", range.start()),
            false => format!("a whole number from {} to {}", range.start(), range.end()),
        };
        self.typed(key, &accepted, |value| {
            N::try_from(value.as_integer()?).ok().filter(|number| range.contains(number))
        })
    }

    /// A number of seconds, whole or not.
    pub(super) fn seconds(&mut self, key: &'a str) -> Result<Option<Duration>, StartError> {
        self.typed(key, "a number of seconds, zero or more", |value| match value {
            Value::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
            Value::Float(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
            _ => None,
        })
    }

    pub(super) fn texts(&mut self, key: &'a str) -> Result<Option<Vec<String>>, StartError> {
        self.typed(key, "an array of strings", |value| {
            value.as_array()?.iter().map(|entry| entry.as_str().map(str::to_owned)).collect()
        })
    }

    /// A table whose values are all strings; empty if it is not there.
    pub(super) fn text_map(&mut self, key: &'a str) -> Result<BTreeMap<String, String>, StartError> {
        let Some(value) = self.value(key) else { return Ok(BTreeMap::new()) };
        let map = value.as_table().and_then(|table| {
            let entries = table.iter();
            entries.map(|(name, entry)| Some((name.clone(), entry.as_str()?.to_owned()))).collect()
        });
        // Headers hold keys and tokens, so not even a short text is shown.
        map.ok_or_else(|| {
            self.error(key, format_args!("found {}, accepted is a table of strings", value.type_str()))
        })
    }

    /// One of a set of names.
    pub(super) fn choice<T: Clone>(
        &mut self,
        key: &'a str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, StartError> {
        self.typed(key, &choice_names(choices), |value| choose(value, choices))
    }

    /// The error for a value that is not what is `accepted`.
    pub(super) fn wrong(&self, key: &str, found: &Value, accepted: &str) -> StartError {
        self.error(key, format_args!("found {}, accepted is {accepted}", shown(found)))
    }

    /// An error about a key: its dotted name, where it comes from, and what is wrong.
    pub(super) fn error(&self, key: &str, wrong: impl Display) -> StartError {
        let mut path = self.path.clone();
        path.push(key);
        let mut text = dotted(&path);
        if let Some(layer) = self.layers.iter().rev().find(|layer| layer.has(&path)) {
            // Writing to a string cannot fail.
            let _ = write!(text, " ({})", layer.source);
        }
        StartError::Config(format!("{text}: {wrong}"))
    }

    /// Ends the reading and adds the dotted names of the keys that were not asked for.
    pub(super) fn finish(self, unknown: &mut Vec<String>) {
        for key in self.table.keys().filter(|key| !self.asked.contains(key.as_str())) {
            let path: Vec<&str> = self.path.iter().copied().chain([key.as_str()]).collect();
            unknown.push(dotted(&path));
        }
    }

    fn typed<T>(
        &mut self,
        key: &'a str,
        accepted: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, StartError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| self.wrong(key, value, accepted))
    }
}

/// The choice that a value names.
pub(super) fn choose<T: Clone>(value: &Value, choices: &[(&str, T)]) -> Option<T> {
    let name = value.as_str()?;
    choices.iter().find(|(choice, _)| *choice == name).map(|(_, choice)| choice.clone())
}

/// The choices for a message.
pub(super) fn choice_names<T>(choices: &[(&str, T)]) -> String {
    let names: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    format!("one of {}", names.join(", "))
}

/// A key as it would be written in the file.
fn dotted(path: &[&str]) -> String {
    let is_bare = |key: &str| {
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    let segments: Vec<_> =
        path.iter().map(|key| if is_bare(key) { (*key).to_owned() } else { format!("{key:?}") }).collect();
    segments.join(".")
}

/// A value in a message. Only short scalars are shown: what stands in a table or a long text may be a secret.
fn shown(value: &Value) -> String {
    const TEXT_CHARS_MAX: usize = 32;
    match value {
        Value::String(text) if text.chars().count() <= TEXT_CHARS_MAX => format!("the string {text:?}"),
        Value::String(_) => "a long string".to_owned(),
        Value::Integer(number) => format!("the integer {number}"),
        Value::Float(number) => format!("the number {number}"),
        Value::Boolean(switch) => switch.to_string(),
        Value::Datetime(_) => "a date or time".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Table(_) => "a table".to_owned(),
    }
}
