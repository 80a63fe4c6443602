//! `-c key=value`: one key set from outside the file.

use std::fmt;

use toml::{Table, Value};

/// A key and the value that it is to have.
#[derive(Clone, PartialEq)]
pub struct Override {
    /// The key's segments, outermost first; never empty.
    pub key: Vec<String>,
    /// The value.
    pub value: Value,
}

/// The key only: a value may be a secret.
impl fmt::Debug for Override {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Override({})", self.key.join("."))
    }
}

impl Override {
    /// Reads `key=value`. A value that is not valid TOML is text, so that `model=gpt-5` needs no quotes.
    ///
    /// # Errors
    /// What is wrong with the key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((key, value)) = text.split_once('=') else {
            return Err(format!("`{text}` has no `=`; key=value is needed"));
        };
        Self::new(key, parse_value(value))
    }

    /// Sets a dotted key.
    ///
    /// # Errors
    /// What is wrong with the key.
    pub fn new(dotted: &str, value: Value) -> Result<Self, String> {
        let dotted = dotted.trim();
        let key = quoted_key(dotted)
            .unwrap_or_else(|| dotted.split('.').map(|part| part.trim().to_owned()).collect());
        if key.iter().any(String::is_empty) {
            return Err(format!("the key `{dotted}` has an empty part"));
        }
        Ok(Self { key, value })
    }

    /// Sets the key in `table`: tables are made on the way, and whatever else stands in the way gives way.
    pub(super) fn apply(&self, table: &mut Table) {
        let Some((last, parents)) = self.key.split_last() else { return };
        let mut at = table;
        for parent in parents {
            let entry = at.entry(parent.clone()).or_insert_with(|| Value::Table(Table::new()));
            if !entry.is_table() {
                *entry = Value::Table(Table::new());
            }
            let Value::Table(inner) = entry else { return };
            at = inner;
        }
        at.insert(last.clone(), self.value.clone());
    }
}

/// A key with quotes follows TOML's rules (`a."b.c"`); without them only the dots count, because people write
/// paths and URLs as keys.
fn quoted_key(dotted: &str) -> Option<Vec<String>> {
    if !dotted.contains(['"', '\'']) {
        return None;
    }
    let mut table = toml::from_str::<Table>(&format!("{dotted} = 0")).ok()?;
    let mut key = Vec::new();
    loop {
        if table.len() != 1 {
            return None;
        }
        let (segment, value) = table.into_iter().next()?;
        key.push(segment);
        match value {
            Value::Table(inner) => table = inner,
            _ => return Some(key),
        }
    }
}

fn parse_value(text: &str) -> Value {
    // As the value of a key, because a lone value is no TOML document. Text with a newline could smuggle in
    // a second key, then it is no value.
    let parsed = toml::from_str::<Table>(&format!("value = {text}")).ok().filter(|table| table.len() == 1);
    match parsed.and_then(|mut table| table.remove("value")) {
        Some(value) => value,
        None => Value::String(text.trim().trim_matches(['"', '\'']).to_owned()),
    }
}

/// Lays `over` on `base`: tables are merged, everything else is replaced.
pub(super) fn merge(base: &mut Table, over: &Table) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Table(inner)), Value::Table(over)) => merge(inner, over),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_read_as_written() {
        for (text, key, value) in [
            ("model=gpt-5", &["model"][..], "\"gpt-5\""),
            ("model=\"gpt-5\"", &["model"], "\"gpt-5\""),
            ("model='gpt 5'", &["model"], "\"gpt 5\""),
            ("a.b.c=3", &["a", "b", "c"], "3"),
            ("a=true", &["a"], "true"),
            ("a=[1, 2]", &["a"], "[1, 2]"),
            ("a={b = 1}", &["a"], "{ b = 1 }"),
            ("a=x=y", &["a"], "\"x=y\""),
            ("a=", &["a"], "\"\""),
            (" a . b =1", &["a", "b"], "1"),
            ("a.\"b.c\".d=1", &["a", "b.c", "d"], "1"),
            ("projects./srv/x=1", &["projects", "/srv/x"], "1"),
            ("a=1\nb = 2", &["a"], "\"1\\nb = 2\""),
            ("a=\"open", &["a"], "\"open\""),
        ] {
            let parsed = Override::parse(text).unwrap();
            assert_eq!(parsed.key, key, "{text}");
            let wanted: Table = toml::from_str(&format!("value = {value}")).unwrap();
            assert_eq!(parsed.value, wanted["value"], "{text}");
        }
    }

    #[test]
    fn a_bad_key_is_told() {
        for (text, told) in [
            ("model", "`model` has no `=`"),
            ("=1", "the key `` has an empty part"),
            ("a..b=1", "the key `a..b` has an empty part"),
            (".a=1", "the key `.a` has an empty part"),
        ] {
            let error = Override::parse(text).unwrap_err();
            assert!(error.starts_with(told), "{text}: {error}");
        }
    }

    #[test]
    fn applying_makes_tables_and_replaces_what_is_in_the_way() {
        let mut table: Table = toml::from_str("a = 1\n[b]\nc = 1\nd = 2").unwrap();
        for text in ["a.x=1", "b.c=3"] {
            Override::parse(text).unwrap().apply(&mut table);
        }
        assert_eq!(table, toml::from_str::<Table>("a = {x = 1}\nb = {c = 3, d = 2}").unwrap());
    }

    #[test]
    fn merging_keeps_what_the_stronger_side_does_not_name() {
        let mut base: Table = toml::from_str("a = 1\nb = {c = 1, d = {e = 1}}").unwrap();
        merge(&mut base, &toml::from_str("a = {z = 1}\nb = {d = {f = 2}}").unwrap());
        assert_eq!(base, toml::from_str::<Table>("a = {z = 1}\nb = {c = 1, d = {e = 1, f = 2}}").unwrap());
    }
}
