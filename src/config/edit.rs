//! Changing `config.toml` as text: comments and order stay. Pure; runs wherever the file is written.

use serde_json::Value as Json;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

/// One change.
#[derive(Debug, Clone)]
pub struct Edit {
    /// The key's segments, outermost first; never empty.
    pub key: Vec<String>,
    /// What it is set to; null removes it.
    pub value: Json,
    /// Tables are merged; else the value takes the place of what was there.
    pub upsert: bool,
}

/// Makes the changes, all or none.
///
/// # Errors
/// What is wrong with one of them, or with the text as it is.
pub fn edit(text: &str, edits: &[Edit]) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    for edit in edits {
        apply(document.as_table_mut(), &edit.key, edit)?;
    }
    Ok(document.to_string())
}

fn apply(table: &mut dyn TableLike, key: &[String], edit: &Edit) -> Result<(), String> {
    let Some((first, rest)) = key.split_first() else { return Ok(()) };
    if rest.is_empty() {
        set(table, first, &edit.value, edit.upsert);
        return Ok(());
    }
    if !table.contains_key(first) {
        if edit.value.is_null() {
            return Ok(());
        }
        let mut parent = Table::new();
        parent.set_implicit(true);
        table.insert(first, Item::Table(parent));
    }
    let parent = table.get_mut(first).and_then(Item::as_table_like_mut);
    apply(parent.ok_or("cannot set value on non-table parent")?, rest, edit)
}

fn set(table: &mut dyn TableLike, key: &str, value: &Json, upsert: bool) {
    if value.is_null() {
        table.remove(key);
        return;
    }
    if let (Json::Object(fields), Some(there)) = (value, table.get_mut(key).and_then(Item::as_table_like_mut))
    {
        if !upsert {
            there.clear();
        }
        fields.iter().for_each(|(key, value)| set(there, key, value, upsert));
        return;
    }
    let item = match value {
        Json::Object(fields) => {
            let mut new = Table::new();
            fields.iter().for_each(|(key, value)| set(&mut new, key, value, upsert));
            Item::Table(new)
        }
        plain => Item::Value(value_of(plain)),
    };
    match (table.get_mut(key), item) {
        // What is written around the value stays: a comment behind it.
        (Some(Item::Value(there)), Item::Value(mut new)) => {
            *new.decor_mut() = there.decor().clone();
            *there = new;
        }
        (_, item) => drop(table.insert(key, item)),
    }
}

/// A value within a line. What TOML does not have, null, is left out.
fn value_of(json: &Json) -> Value {
    match json {
        Json::Bool(yes) => (*yes).into(),
        Json::String(text) => text.as_str().into(),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64().unwrap_or_default().into(),
        },
        Json::Array(values) => {
            let values = values.iter().filter(|value| !value.is_null());
            Value::Array(values.map(value_of).collect::<Array>())
        }
        Json::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !value.is_null());
            let fields = fields.map(|(key, value)| (key.as_str(), value_of(value)));
            Value::InlineTable(fields.collect::<InlineTable>())
        }
        Json::Null => Value::from(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TEXT: &str = "# ours\nmodel = \"a\" # why\n\n[features]\n# one\nx = true\n";

    fn edited(key: &[&str], value: Json, upsert: bool) -> Result<String, String> {
        let key = key.iter().map(|segment| (*segment).to_owned()).collect();
        edit(TEXT, &[Edit { key, value, upsert }])
    }

    #[test]
    fn comments_and_order_stay() {
        let replaced = edited(&["model"], json!("b"), /*upsert*/ false).expect("edited");
        assert_eq!(replaced, TEXT.replace("\"a\"", "\"b\""));
        let added = edited(&["effort"], json!("low"), /*upsert*/ false).expect("edited");
        assert_eq!(added, TEXT.replace("# why\n", "# why\neffort = \"low\"\n"));
        let merged = edited(&["features"], json!({ "y": [1, 2.5] }), /*upsert*/ true).expect("edited");
        assert_eq!(merged, format!("{TEXT}y = [1, 2.5]\n"));
        let replaced = edited(&["features"], json!({ "y": 1 }), /*upsert*/ false).expect("edited");
        assert_eq!(replaced, "# ours\nmodel = \"a\" # why\n\n[features]\ny = 1\n");
        let deep = edited(&["projects", "/a.b", "trust"], json!("yes"), /*upsert*/ true).expect("edited");
        assert_eq!(deep, format!("{TEXT}\n[projects.\"/a.b\"]\ntrust = \"yes\"\n"));
    }

    #[test]
    fn null_removes_and_nothing_goes_below_a_value() {
        let removed = edited(&["features", "x"], Json::Null, /*upsert*/ false).expect("edited");
        assert!(removed.contains("[features]") && !removed.contains("x = true"), "{removed}");
        assert_eq!(edited(&["none", "x"], Json::Null, /*upsert*/ false).as_deref(), Ok(TEXT));
        let refused = edited(&["model", "x"], json!(1), /*upsert*/ false);
        assert_eq!(refused, Err("cannot set value on non-table parent".to_owned()));
    }
}
