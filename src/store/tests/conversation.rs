//! The conversation as the model sees it: kept, shortened, taken back, copied, and older threads without one.

use super::*;

fn append(database: &mut Database, turn: Option<&str>, starts_over: bool, bodies: &[&str]) {
    let bodies: Vec<String> = bodies.iter().map(|body| (*body).to_owned()).collect();
    database.append_conversation("a", turn, starts_over, &bodies).expect("the turn is there");
}

/// A thread with the turns `t1` and `t2`, which have an item each and no entries.
fn with_turns() -> Database {
    let mut database = memory();
    database.insert_thread(&thread("a", /*at_ms*/ 1)).expect("it is new");
    for turn in ["t1", "t2"] {
        let new = NewTurn { id: turn, started_at_ms: 1, ..NewTurn::default() };
        database.start_turn("a", &new, &[item(turn, "u", "userMessage")]).expect("it starts");
    }
    database
}

fn entries(database: &Database) -> Vec<String> {
    database.conversation("a").expect("it is there").entries
}

#[test]
fn entries_come_back_in_their_order_and_items_only_of_turns_without() {
    let mut database = with_turns();
    append(&mut database, Some("t2"), /*starts_over*/ false, &["1", "2"]);
    append(&mut database, /*turn*/ None, /*starts_over*/ false, &["3"]);
    let conversation = database.conversation("a").expect("it is there");
    assert_eq!(conversation.entries, ["1", "2", "3"]);
    assert_eq!(conversation.items.len(), 1, "that of t1");
    let missing =
        database.append_conversation("a", Some("t9"), /*starts_over*/ false, &["x".to_owned()]);
    assert_eq!(missing, Err(StoreError::turn_not_found("t9")));
}

#[test]
fn what_starts_over_hides_what_came_before_until_it_is_taken_back() {
    let mut database = with_turns();
    append(&mut database, Some("t1"), /*starts_over*/ false, &["1"]);
    append(&mut database, Some("t2"), /*starts_over*/ true, &["2", "3"]);
    append(&mut database, /*turn*/ None, /*starts_over*/ false, &["4"]);
    assert_eq!(entries(&database), ["2", "3", "4"]);
    database.remove_turns_after("a", "t2", /*inclusive*/ true).expect("it is there");
    assert_eq!(entries(&database), ["1"], "what was put in behind the turn went with it");
}

#[test]
fn a_copy_has_the_entries_of_the_turns_that_it_has() {
    let mut database = with_turns();
    append(&mut database, Some("t1"), /*starts_over*/ false, &["1"]);
    append(&mut database, /*turn*/ None, /*starts_over*/ false, &["2"]);
    append(&mut database, Some("t2"), /*starts_over*/ true, &["3"]);
    let copied = database.conversation_entries("a").expect("it is there");
    database.insert_thread(&thread("b", /*at_ms*/ 1)).expect("it is new");
    let turns = database.all_turns("a").expect("they are there");
    database.append_turns("b", &turns[..1], /*now_ms*/ 5).expect("it is new");
    database.copy_conversation("b", &copied).expect("it is there");
    assert_eq!(database.conversation("b").expect("it is there").entries, ["1", "2"]);
    assert_eq!(entries(&database), ["3"]);
}

#[test]
fn a_database_without_conversations_is_brought_up_to_date() {
    let folder = Folder::new();
    let raw = rusqlite::Connection::open(folder.path().join("store.sqlite")).expect("it opens");
    schema::create_version(&raw, /*version*/ 2);
    drop(raw);
    let mut database = Database::open(folder.path()).expect("it opens");
    database.insert_thread(&thread("a", /*at_ms*/ 1)).expect("it is new");
    append(&mut database, /*turn*/ None, /*starts_over*/ false, &["1"]);
    assert_eq!(entries(&database), ["1"]);
}
