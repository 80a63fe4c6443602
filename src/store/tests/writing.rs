//! What is written and how it comes back.

use super::*;

fn end(state: TurnState, at_ms: i64) -> TurnEnd<'static> {
    TurnEnd { state, error: None, completed_at_ms: at_ms, token_usage: None }
}

fn get(database: &Database, id: &str) -> ThreadRecord {
    database.thread(id).expect("it can be read").expect("it is there")
}

#[test]
fn a_thread_comes_back_as_it_was_inserted() {
    let mut database = memory();
    let record = ThreadRecord {
        id: "a".to_owned(),
        session_id: "s".to_owned(),
        forked_from_id: Some("f".to_owned()),
        name: Some("n".to_owned()),
        preview: "p".to_owned(),
        model_provider: "mp".to_owned(),
        model: "m".to_owned(),
        reasoning_effort: Some("high".to_owned()),
        cwd: "/c".to_owned(),
        source: "vscode".to_owned(),
        thread_source: Some("ts".to_owned()),
        originator: Some("o".to_owned()),
        cli_version: "v".to_owned(),
        history_mode: "h".to_owned(),
        created_at_ms: 1,
        updated_at_ms: 2,
        recency_at_ms: 3,
        archived: true,
        git: Some("{\"g\":1}".to_owned()),
        settings: "{\"s\":1}".to_owned(),
        token_usage: Some("{\"t\":1}".to_owned()),
        turn_count: 0,
        unread_turn: None,
        read_revision: 0,
        epoch: 0,
    };
    database.insert_thread(&record).expect("it is new");
    assert_eq!(get(&database, "a"), record);
    assert_eq!(database.thread("b"), Ok(None));
    let twice = database.insert_thread(&record).expect_err("it is there already");
    assert_eq!(twice.to_string(), "thread exists already: a");
}

#[test]
fn changes_of_a_thread_change_that_and_tell_whether_it_is_there() {
    let mut database = memory();
    database.insert_thread(&thread("a", /*at_ms*/ 1)).expect("it is new");
    let update = SettingsUpdate {
        model_provider: "p2",
        model: "m2",
        reasoning_effort: Some("low"),
        cwd: "/elsewhere",
        settings: "{\"x\":1}",
    };
    assert_eq!(database.set_name("a", Some("name")), Ok(true));
    assert_eq!(database.set_archived("a", /*archived*/ true), Ok(true));
    assert_eq!(database.set_git("a", Some("{}")), Ok(true));
    assert_eq!(database.set_settings("a", &update), Ok(true));
    let expected = ThreadRecord {
        name: Some("name".to_owned()),
        archived: true,
        git: Some("{}".to_owned()),
        model_provider: "p2".to_owned(),
        model: "m2".to_owned(),
        reasoning_effort: Some("low".to_owned()),
        cwd: "/elsewhere".to_owned(),
        settings: "{\"x\":1}".to_owned(),
        ..thread("a", /*at_ms*/ 1)
    };
    assert_eq!(get(&database, "a"), expected);
    assert_eq!(database.set_name("a", /*name*/ None), Ok(true));
    assert_eq!(get(&database, "a").name, None);
    assert_eq!(database.set_name("b", /*name*/ None), Ok(false));
    assert_eq!(database.set_archived("b", /*archived*/ true), Ok(false));
    assert_eq!(database.set_git("b", /*git*/ None), Ok(false));
    assert_eq!(database.set_settings("b", &update), Ok(false));
    assert_eq!(database.delete_thread("b"), Ok(false));
}

#[test]
fn deleting_a_thread_deletes_its_turns_and_items_and_no_others() {
    let mut database = memory();
    insert(&mut database, &thread("a", /*at_ms*/ 1));
    insert(&mut database, &thread("b", /*at_ms*/ 1));
    assert_eq!(database.delete_thread("a"), Ok(true));
    assert_eq!(database.thread("a"), Ok(None));
    let count = |table: &str| -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        database.connection.query_row(&sql, [], |row| row.get(0)).expect("a count")
    };
    assert_eq!((count("threads"), count("turns"), count("items")), (1, 1, 1));
    assert_eq!(database.conversation("b").expect("it is left").items.len(), 1);
}

#[test]
fn a_started_turn_moves_its_thread_and_only_the_first_gives_the_preview() {
    let mut database = memory();
    database.insert_thread(&thread("a", /*at_ms*/ 5)).expect("it is new");
    let first = NewTurn { id: "t1", started_at_ms: 10, preview_if_first: Some("one"), client_id: Some("c1") };
    assert_eq!(database.start_turn("a", &first, &[item("t1", "u", "userMessage")]), Ok(1));
    // A clock that went back does not take the thread's times back.
    let second = NewTurn { id: "t2", started_at_ms: 7, preview_if_first: Some("two"), client_id: None };
    assert_eq!(database.start_turn("a", &second, &[]), Ok(2));
    let record = get(&database, "a");
    assert_eq!((record.preview.as_str(), record.turn_count), ("one", 2));
    assert_eq!((record.created_at_ms, record.updated_at_ms, record.recency_at_ms), (5, 10, 10));
    let turn = database.turn_by_client_id("a", "c1").expect("it can be read").expect("it is there");
    assert_eq!((turn.id.as_str(), turn.state, turn.started_at_ms), ("t1", TurnState::InProgress, Some(10)));
    assert_eq!(database.turn_by_client_id("a", "c2"), Ok(None));
    assert_eq!(
        database.start_turn("a", &second, &[]),
        Err(StoreError::Exists { what: "turn", id: "t2".to_owned() })
    );
    assert_eq!(database.start_turn("z", &second, &[]), Err(StoreError::thread_not_found("z")));
}

#[test]
fn putting_an_item_again_replaces_it_in_its_place() {
    let mut database = memory();
    insert(&mut database, &thread("a", /*at_ms*/ 1));
    start(&mut database, "a", "t2", /*at_ms*/ 2, &[item("t2", "u1", "userMessage")]);
    let begun = NewItem { started_at_ms: Some(3), ..item("t1", "x", "agentMessage") };
    database.put_item("a", &begun).expect("the turn is there");
    database.put_item("a", &item("t1", "y", "agentMessage")).expect("the turn is there");
    let ended =
        NewItem { body: "{\"done\":true}".to_owned(), completed_at_ms: Some(4), ..item("t1", "x", "plan") };
    database.put_item("a", &ended).expect("the turn is there");
    let items = database.items_page("a", &ItemQuery::default()).expect("a page").items;
    // An id belongs to its turn: `u1` of t2 did not replace that of t1.
    assert_eq!(item_ids(&items), ["u1", "u1", "x", "y"]);
    assert_eq!((items[2].kind.as_str(), items[2].body.as_str()), ("plan", "{\"done\":true}"));
    assert_eq!((items[2].started_at_ms, items[2].completed_at_ms), (Some(3), Some(4)));
    let history = database.conversation("a").expect("the thread is there").items;
    assert_eq!(history[2], HistoryItem { kind: "plan".to_owned(), body: "{\"done\":true}".to_owned() });
    assert_eq!(
        database.put_item("a", &item("t9", "x", "plan")),
        Err(StoreError::NotFound { what: "turn", id: "t9".to_owned() })
    );
}

#[test]
fn a_turn_ends_once() {
    let mut database = memory();
    insert(&mut database, &thread("a", /*at_ms*/ 1));
    let failed = TurnEnd {
        error: Some("{\"message\":\"x\"}"),
        token_usage: Some("{\"total\":1}"),
        ..end(TurnState::Failed, /*at_ms*/ 9)
    };
    assert_eq!(database.end_turn("a", "t1", &failed), Ok(true));
    assert_eq!(database.end_turn("a", "t1", &end(TurnState::Completed, /*at_ms*/ 10)), Ok(false));
    assert_eq!(database.end_turn("a", "t9", &end(TurnState::Completed, /*at_ms*/ 10)), Ok(false));
    let turn = database.turn("a", "t1").expect("it can be read").expect("it is there");
    assert_eq!((turn.state, turn.completed_at_ms), (TurnState::Failed, Some(9)));
    assert_eq!(turn.error.as_deref(), Some("{\"message\":\"x\"}"));
    let record = get(&database, "a");
    assert_eq!((record.updated_at_ms, record.recency_at_ms), (9, 1));
    assert_eq!(record.token_usage.as_deref(), Some("{\"total\":1}"));
}

#[test]
fn turns_of_a_dead_process_become_interrupted_and_ended_ones_stay() {
    let mut database = memory();
    insert(&mut database, &thread("a", /*at_ms*/ 1));
    insert(&mut database, &thread("b", /*at_ms*/ 1));
    start(&mut database, "a", "t2", /*at_ms*/ 2, &[]);
    assert_eq!(database.end_turn("a", "t1", &end(TurnState::Completed, /*at_ms*/ 3)), Ok(true));
    assert_eq!(database.interrupt_open_turns("a", /*at_ms*/ 8), Ok(1));
    assert_eq!(database.interrupt_open_turns("a", /*at_ms*/ 9), Ok(0));
    let turns = database.all_turns("a").expect("the thread is there");
    let states: Vec<_> = turns.iter().map(|(turn, _)| (turn.state, turn.completed_at_ms)).collect();
    assert_eq!(states, [(TurnState::Completed, Some(3)), (TurnState::Interrupted, Some(8))]);
    let other = database.turn("b", "t1").expect("it can be read").expect("it is there");
    assert_eq!(other.state, TurnState::InProgress);
}

#[test]
fn turns_are_copied_and_removed_with_their_items() {
    let mut database = memory();
    insert(&mut database, &thread("a", /*at_ms*/ 1));
    for number in 2..=4 {
        let turn = format!("t{number}");
        start(&mut database, "a", &turn, number, &[item(&turn, &format!("u{number}"), "userMessage")]);
    }
    database.put_item("a", &item("t1", "late", "agentMessage")).expect("the turn is there");
    let turns = database.all_turns("a").expect("turns");
    database.insert_thread(&thread("fork", /*at_ms*/ 5)).expect("it is new");
    database.append_turns("fork", &turns[..2], /*now_ms*/ 7).expect("they are new there");
    let items = |id| {
        let page = database.items_page(id, &ItemQuery::default()).expect("a page");
        page.items.iter().map(|item| format!("{}{}", item.id, item.ordinal)).collect::<Vec<_>>()
    };
    assert_eq!(items("fork"), ["u11", "late2", "u23"], "turn by turn");
    let copied = database.all_turns("fork").expect("turns");
    assert!(copied.iter().all(|(turn, _)| turn.state == TurnState::Interrupted), "nothing runs in a copy");
    assert_eq!(items("a").len(), 5);
    assert_eq!(get(&database, "fork").turn_count, 2);
    assert!(matches!(database.append_turns("fork", &turns, /*now_ms*/ 7), Err(StoreError::Exists { .. })));
    assert_eq!(database.remove_turns_after("a", "t3", /*inclusive*/ false), Ok(1));
    assert_eq!(database.remove_turns_after("a", "t2", /*inclusive*/ true), Ok(2));
    assert_eq!(get(&database, "a").turn_count, 1);
    assert_eq!(database.conversation("a").expect("the rest").items.len(), 2);
    assert_eq!(start(&mut database, "a", "t5", /*at_ms*/ 9, &[]), 2);
    assert!(matches!(
        database.remove_turns_after("a", "t4", /*inclusive*/ true),
        Err(StoreError::NotFound { .. })
    ));
}

#[test]
fn a_database_in_memory_gives_the_memory_of_deleted_threads_back() {
    let mut database = memory();
    let pages = |database: &Database| match pragma(database, "page_count") {
        rusqlite::types::Value::Integer(pages) => pages,
        other => panic!("{other:?} is no number"),
    };
    let before = pages(&database);
    let large = ThreadRecord { settings: "x".repeat(crate::limits::MIB), ..thread("a", /*at_ms*/ 1) };
    database.insert_thread(&large).expect("it is new");
    assert!(pages(&database) > before + 100);
    assert_eq!(database.delete_thread("a"), Ok(true));
    assert_eq!(pages(&database), before);
}
