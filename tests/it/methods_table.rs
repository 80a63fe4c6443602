//! The README's tables of methods against the server: each method of the published protocol stands in one of
//! them, and what is said to be served is served.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use app_server::proto::methods;
use serde_json::{Value, json};

use crate::support::Transport;
use crate::support::schema::shared_dir;
use crate::support::server::Server;

/// The README's methods: true for those that it says are served.
fn promised() -> BTreeMap<String, bool> {
    let readme = include_str!("../../README.md");
    let (_, from) = readme.split_once("### What is served").expect("the README's heading");
    let section = from.split("\n### ").next().unwrap_or(from);
    let (served, refused) = section.split_once("| refused |").expect("the table of what is refused");
    let mut promised = BTreeMap::new();
    for (table, is_served) in [(served, true), (refused, false)] {
        // The table ends with the first empty line.
        let table = table.trim_start_matches([' ', '|']);
        let rows =
            table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        for row in rows {
            // The methods stand in the second column of the first table, in the first one of the other.
            let column = if is_served { 2 } else { 1 };
            let mut last = String::new();
            for word in row.split('|').nth(column).unwrap_or_default().split('`').skip(1).step_by(2) {
                let method = full_name(word, &last).unwrap_or_else(|| panic!("no method `{word}`: {row}"));
                let is_new = promised.insert(method.clone(), is_served).is_none();
                assert!(is_new, "{method} stands in the tables twice");
                last = method;
            }
        }
    }
    promised
}

/// A name that stands behind another one of its family leaves out what they share.
fn full_name(word: &str, last: &str) -> Option<String> {
    if methods::find(word).is_some() {
        return Some(word.to_owned());
    }
    let mut family = last;
    while let Some((parent, _)) = family.rsplit_once('/') {
        let name = format!("{parent}/{word}");
        if methods::find(&name).is_some() {
            return Some(name);
        }
        family = parent;
    }
    None
}

#[test]
fn the_readme_says_of_each_method_whether_it_is_served() {
    let promised = promised();
    let published: BTreeSet<&str> = methods::PUBLISHED.iter().map(|method| method.name).collect();
    let missing: Vec<_> = published.iter().filter(|name| !promised.contains_key(**name)).collect();
    assert!(missing.is_empty(), "not in the README's tables: {missing:?}");

    let mut server = Server::start(Transport::Stdio);
    let mut client = server.connect();
    client.initialize_with(json!({ "experimentalApi": true }));
    let mut wrong = Vec::new();
    for (method, is_served) in &promised {
        // Without parameters most are refused for that; all that counts is whether there is such a method.
        let outcome = client.request(method, json!({ "nothing": "of use" }));
        let is_unsupported = outcome.is_err_and(|error| error["code"] == -32601);
        if is_unsupported == *is_served {
            wrong.push(format!("{method}: the README says served: {is_served}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.stop_or_close(client);
}

#[test]
fn the_published_methods_are_those_of_the_schema() {
    let Some(dir) = shared_dir() else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no published schema to compare with");
        return;
    };
    let text = std::fs::read_to_string(dir.join("schema/experimental.v2.schemas.json")).expect("the schema");
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    let requests = &schema["definitions"]["ClientRequest"]["oneOf"];
    let requests = requests.as_array().expect("the requests of clients");
    let name = |request: &Value| request["properties"]["method"]["enum"][0].as_str().map(str::to_owned);
    let published: BTreeSet<String> = requests.iter().filter_map(name).collect();
    let known: BTreeSet<String> = methods::PUBLISHED.iter().map(|method| method.name.to_owned()).collect();
    assert_eq!(known, published);
}
