//! The configuration as clients may see it: without secrets.

use serde_json::{Map, Value};

/// What stands in place of a secret.
const HIDDEN: &str = "<hidden>";

/// Tables whose values are secrets or often hold some.
const SECRET_TABLES: &[&str] = &["http_headers", "query_params", "env"];

/// Parts of key names that mark a secret.
const SECRET_WORDS: &[&str] = &["token", "secret", "password", "api_key", "bearer"];

/// The effective configuration as JSON, secrets replaced.
#[must_use]
pub fn effective(table: &toml::Table) -> Map<String, Value> {
    object(table, /*all_secret*/ false)
}

fn object(table: &toml::Table, all_secret: bool) -> Map<String, Value> {
    table.iter().map(|(key, value)| (key.clone(), show(key, value, all_secret))).collect()
}

fn show(key: &str, value: &toml::Value, all_secret: bool) -> Value {
    match value {
        toml::Value::Table(inner) => Value::Object(object(inner, all_secret || SECRET_TABLES.contains(&key))),
        toml::Value::String(_) if all_secret || is_secret(key) => HIDDEN.into(),
        other => plain(other, all_secret),
    }
}

fn plain(value: &toml::Value, all_secret: bool) -> Value {
    match value {
        toml::Value::String(text) => without_user_info(text).into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(yes) => (*yes).into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(values) => values.iter().map(|value| plain(value, all_secret)).collect(),
        toml::Value::Table(inner) => Value::Object(object(inner, all_secret)),
    }
}

/// A text that is a URL with `user:password@` without it; any other text as it is.
#[must_use]
pub fn without_user_info(text: &str) -> String {
    let parts = text.split_once("://").map(|(scheme, rest)| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        (scheme, &rest[..end], &rest[end..])
    });
    match parts.and_then(|(scheme, authority, rest)| Some((scheme, authority.rsplit_once('@')?.1, rest))) {
        Some((scheme, host, rest)) => format!("{scheme}://{HIDDEN}@{host}{rest}"),
        None => text.to_owned(),
    }
}

/// Names of environment variables (`env_key`) are no secrets; limits in tokens are numbers and never get
/// here.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_replaced() {
        assert_eq!(without_user_info("http://u:p@w@h:1/v1?a@b"), "http://<hidden>@h:1/v1?a@b");
        for kept in ["http://h/a@b", "no url a@b", "git@host:x", "https://h"] {
            assert_eq!(without_user_info(kept), kept);
        }
    }

    #[test]
    fn secrets_are_replaced_and_the_rest_is_shown() {
        let table: toml::Table = toml::from_str(
            r#"
            model = "m"
            model_auto_compact_token_limit = 5
            [model_providers.x]
            base_url = "http://localhost"
            env_key = "KEY"
            experimental_bearer_token = "canary-1"
            http_headers = { Authorization = "canary-2" }
            [mcp_servers.y]
            args = ["a"]
            env = { PASS = "canary-3", DEEP = { more = "canary-4" } }
            "#,
        )
        .expect("TOML");
        let shown = Value::Object(effective(&table));
        assert!(!shown.to_string().contains("canary"), "{shown}");
        assert_eq!(shown["model_providers"]["x"]["env_key"], "KEY");
        assert_eq!(shown["model_auto_compact_token_limit"], 5);
        assert_eq!(shown["mcp_servers"]["y"]["args"][0], "a");
    }
}
