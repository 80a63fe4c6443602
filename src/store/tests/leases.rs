//! Leases: one writer a thread, however its process ends.

use super::super::{Database, StoreError};
use super::{Folder, thread};

#[test]
fn a_thread_has_one_writer_until_that_lets_go() {
    let dir = Folder::new();
    let mut first = Database::open(dir.path()).expect("it opens");
    let mut second = Database::open(dir.path()).expect("it opens");
    first.insert_thread(&thread("a", /*at_ms*/ 1)).expect("it is new");
    first.claim("a").expect("it is free");
    first.claim("a").expect("it is ours");
    let refused = second.claim("a").expect_err("it is taken");
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
    assert_eq!((first.is_owned_elsewhere("a"), second.is_owned_elsewhere("a")), (Ok(false), Ok(true)));
    second.release("a").expect("it does nothing");
    assert!(matches!(second.claim("a"), Err(StoreError::Owned { .. })));
    first.release("a").expect("it is ours");
    second.claim("a").expect("it is free again");
}

#[test]
fn a_dead_writer_holds_nothing() {
    let dir = Folder::new();
    let mut first = Database::open(dir.path()).expect("it opens");
    first.insert_thread(&thread("a", /*at_ms*/ 1)).expect("it is new");
    first.claim("a").expect("it is free");
    drop(first);
    let mut second = Database::open(dir.path()).expect("it opens");
    assert_eq!(second.is_owned_elsewhere("a"), Ok(false));
    second.claim("a").expect("its owner is gone");
}

#[test]
fn an_owner_that_is_no_name_of_a_file_leads_nowhere() {
    let dir = Folder::new();
    let mut database = Database::open(dir.path()).expect("it opens");
    database.insert_thread(&thread("a", /*at_ms*/ 1)).expect("it is new");
    database.connection.execute("UPDATE threads SET owner = '../store.sqlite'", []).expect("it is written");
    database.claim("a").expect("nobody has it");
    assert!(dir.path().join("store.sqlite").exists());
}
