//! The published types against the types themselves, and the files that are made of them.

mod collect;
mod types;

use std::collections::BTreeSet;

use super::published::types as embedded;
use collect::Collected;

/// Set to write the file anew instead of comparing it.
const UPDATE: &str = "UPDATE_SCHEMA";
/// For people to read, and for tests; the program has the deflated one.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/schema/types.json");
const DEFLATED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/schema/types.deflate");
const TYPES: &str = include_str!("../types.json");

#[test]
fn the_published_types_are_those_of_the_server() {
    let mut all = Collected::new();
    types::add_all(&mut all);
    let text = all.into_text();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(FILE, &text).expect("the file is written");
        let deflated = miniz_oxide::deflate::compress_to_vec(text.as_bytes(), /*level*/ 10);
        std::fs::write(DEFLATED, deflated).expect("the file is written");
        return;
    }
    let differing: BTreeSet<&str> =
        text.lines().filter(|line| !TYPES.lines().any(|known| known == *line)).collect();
    let gone: BTreeSet<&str> =
        TYPES.lines().filter(|line| !text.lines().any(|known| known == *line)).collect();
    let shown = |lines: BTreeSet<&str>| {
        lines.iter().map(|line| line.chars().take(160).collect::<String>()).collect::<Vec<_>>().join("\n")
    };
    assert!(
        text == TYPES,
        "types changed; `{UPDATE}=1 cargo test --lib schema` publishes them\nnow:\n{}\npublished:\n{}",
        shown(differing),
        shown(gone)
    );
    let is_the_same = embedded().expect("the deflated text") == TYPES.as_bytes();
    assert!(is_the_same, "`{UPDATE}=1 cargo test --lib schema` deflates types.json anew");
}

#[test]
fn every_served_method_and_no_other_is_published() {
    let published = super::published::Published::of(/*experimental*/ true).expect("types");
    let named: Vec<&str> = published.requests.iter().map(|message| message.method.as_str()).collect();
    let served: Vec<&str> = crate::server::served().map(|(method, _)| method).collect();
    assert_eq!(named, served, "left is what `types.rs` beside this has; put new methods in there");
}

/// The table of types and the table of handlers are two: here they meet.
#[test]
fn the_published_types_are_those_that_the_handlers_take_and_give() {
    let mut all = Collected::new();
    types::add_all(&mut all);
    let mut differing = Vec::new();
    for (method, (params, answer)) in crate::server::served() {
        let Some((_, our_params, our_answer)) = all.types.iter().find(|(name, ..)| *name == method) else {
            continue;
        };
        // What a handler does not say, and what it says around the published type, is not compared.
        if *our_params != params || answer.is_some_and(|answer| answer != *our_answer) {
            differing
                .push(format!("{method}: {params} => {answer:?}, published {our_params} => {our_answer}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
