//! Searching: by the index and without it, in pages, after an upgrade.

use super::super::schema::create_version;
use super::*;
use crate::limits;

/// A message of the agent.
fn said(turn: &str, id: &str, text: &str) -> NewItem {
    let body = serde_json::json!({ "type": "agentMessage", "id": id, "text": text }).to_string();
    NewItem { body, ..item(turn, id, "agentMessage") }
}

/// A message of the user, in two parts and a picture.
fn asked(turn: &str, id: &str, text: &str) -> NewItem {
    let content = serde_json::json!([
        { "type": "text", "text": text },
        { "type": "image", "url": "x" },
        { "type": "text", "text": "second part" },
    ]);
    let body = serde_json::json!({ "type": "userMessage", "id": id, "content": content }).to_string();
    NewItem { body, ..item(turn, id, "userMessage") }
}

/// A database with an index, and one without: both find the same.
fn both() -> (Folder, [Database; 2]) {
    let folder = Folder::new();
    let disk = Database::open(folder.path()).expect("it opens");
    (folder, [disk, memory()])
}

fn query(term: &str) -> ThreadQuery {
    ThreadQuery { search_term: Some(term.to_owned()), ..ThreadQuery::default() }
}

/// Ids of all threads that a search finds, page by page, and what it shows of them.
fn found(database: &Database, term: &str, scope: SearchIn, limit: u32) -> Vec<(String, String)> {
    let mut query = ThreadQuery { limit, ..query(term) };
    let mut all = Vec::new();
    for _ in 0..1000 {
        let page = database.search_threads(&query, scope).expect("a page");
        assert!(page.hits.len() <= limit as usize);
        all.extend(page.hits.into_iter().map(|hit| (hit.record.id, hit.snippet)));
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            return all;
        }
    }
    panic!("the list has no end")
}

fn ids_of(found: &[(String, String)]) -> Vec<&str> {
    found.iter().map(|(id, _)| id.as_str()).collect()
}

#[test]
fn titles_and_messages_are_found_and_shown() {
    let (_folder, databases) = both();
    for mut database in databases {
        for (number, preview) in ["one Apple", "two", "three"].into_iter().enumerate() {
            let id = format!("t{number}");
            let at_ms = i64::try_from(number).expect("small");
            database
                .insert_thread(&ThreadRecord { preview: preview.to_owned(), ..thread(&id, at_ms) })
                .expect("new");
            start(&mut database, &id, "t", at_ms, &[asked("t", "u", "how are you?")]);
        }
        database.put_item("t1", &said("t", "a", "an APPLE a day")).expect("it is kept");
        database.put_item("t2", &item("t", "c", "commandExecution")).expect("it is kept");
        let everywhere = |term: &str| found(&database, term, SearchIn::Everything, /*limit*/ 10);
        let apples = everywhere("apple");
        assert_eq!(ids_of(&apples), ["t1", "t0"]);
        assert_eq!((apples[0].1.as_str(), apples[1].1.as_str()), ("an APPLE a day", "one Apple"));
        assert_eq!(ids_of(&everywhere("w a")), ["t2", "t1", "t0"]);
        assert_eq!(ids_of(&everywhere("y")), ["t2", "t1", "t0"], "also without a trigram");
        assert_eq!(ids_of(&everywhere("second part")), ["t2", "t1", "t0"], "every part of a message");
        assert!(everywhere("apples").is_empty() && everywhere("image").is_empty());
        assert!(everywhere("app\" OR \"le\0").is_empty(), "it is no language");
        assert_eq!(ids_of(&found(&database, "apple", SearchIn::Titles, /*limit*/ 10)), ["t0"]);
    }
}

#[test]
fn what_changes_or_goes_is_not_found_any_more() {
    let (_folder, databases) = both();
    for mut database in databases {
        insert(&mut database, &thread("a", /*at_ms*/ 1));
        database.put_item("a", &said("t1", "m", "the first words")).expect("it is kept");
        database.set_name("a", Some("old name")).expect("it is there");
        let count =
            |database: &Database, term: &str| found(database, term, SearchIn::Everything, /*limit*/ 9).len();
        assert_eq!((count(&database, "first words"), count(&database, "old name")), (1, 1));
        database.put_item("a", &said("t1", "m", "the other words")).expect("it is kept");
        database.set_name("a", Some("new name")).expect("it is there");
        assert_eq!((count(&database, "first words"), count(&database, "old name")), (0, 0));
        assert_eq!((count(&database, "other words"), count(&database, "new name")), (1, 1));
        database.remove_turns_after("a", "t1", /*inclusive*/ false).expect("it is there");
        assert_eq!(count(&database, "other words"), 1, "its turn is still there");
        database.delete_thread("a").expect("it is there");
        insert(&mut database, &thread("b", /*at_ms*/ 2));
        assert_eq!((count(&database, "other words"), count(&database, "new name")), (0, 0));
    }
}

#[test]
fn common_and_rare_words_are_paged_alike() {
    let (_folder, databases) = both();
    let threads = limits::SEARCH_CANDIDATES_MAX + 500;
    for mut database in databases {
        database.begin(database::Access::Write).expect("it begins");
        for number in 0..threads {
            let id = format!("a{number:05}");
            let at_ms = i64::try_from(number / 3).expect("small");
            let word = if number % 1500 == 7 { "rare" } else { "usual" };
            let record = ThreadRecord { preview: format!("common {word}"), ..thread(&id, at_ms) };
            database.insert_thread(&record).expect("it is new");
            start(&mut database, &id, "t", at_ms, &[said("t", "m", "everybody says this")]);
        }
        database.commit().expect("it is kept");
        for scope in [SearchIn::Titles, SearchIn::Everything] {
            let rare = found(&database, "n rare", scope, /*limit*/ 1);
            assert_eq!(ids_of(&rare), ["a01507", "a00007"], "{scope:?}");
            let common = found(&database, "common", scope, /*limit*/ 1000);
            assert_eq!(common.len(), threads, "{scope:?}");
            assert!(common.is_sorted_by(|one, next| one.0 > next.0), "{scope:?}");
        }
        assert_eq!(found(&database, "body says", SearchIn::Everything, /*limit*/ 1000).len(), threads);
        let page = database.search_threads(&query("no"), SearchIn::Titles).expect("a page");
        assert!(page.hits.is_empty() && page.next_cursor.is_some(), "it costs too much to be sure at once");
        assert!(found(&database, "no", SearchIn::Titles, /*limit*/ 10).is_empty());
    }
}

#[test]
fn an_older_database_is_found_in_while_and_after_it_is_indexed() {
    let folder = Folder::new();
    let path = folder.path().join("store.sqlite");
    let threads = 700;
    {
        let connection = rusqlite::Connection::open(&path).expect("a file");
        create_version(&connection, /*version*/ 1);
        let mut old = Database { connection, leases: None };
        old.begin(database::Access::Write).expect("it begins");
        for number in 0..threads {
            let id = format!("a{number:05}");
            let record = ThreadRecord { preview: format!("prompt number{number}x"), ..thread(&id, number) };
            old.insert_thread(&record).expect("it is new");
            start(&mut old, &id, "t", number, &[said("t", "m", &format!("answer number{number}y"))]);
        }
        old.commit().expect("it is kept");
    }
    let mut database = Database::open(folder.path()).expect("it is migrated");
    let title = |database: &Database, term: &str| found(database, term, SearchIn::Titles, /*limit*/ 10).len();
    let text =
        |database: &Database, term: &str| found(database, term, SearchIn::Everything, /*limit*/ 10).len();
    assert_eq!(title(&database, "number5x"), 1, "titles are found before they are indexed");
    assert!(database.fill_search().expect("some rows"));
    // What changes meanwhile is not indexed twice.
    database.set_name("a00003", Some("renamed")).expect("it is there");
    database.put_item("a00003", &said("t", "m", "changed meanwhile")).expect("it is there");
    database.delete_thread("a00004").expect("it is there");
    let mut steps = 0;
    while database.fill_search().expect("some rows") {
        steps += 1;
    }
    assert!(steps >= 5, "little by little: {steps}");
    assert_eq!((title(&database, "number5x"), text(&database, "number5y")), (1, 1));
    assert_eq!((title(&database, "renamed"), text(&database, "changed mean")), (1, 1));
    assert_eq!((title(&database, "number4x"), text(&database, "number3y")), (0, 0));
    assert_eq!(found(&database, "prompt", SearchIn::Titles, /*limit*/ 100).len(), 699);
    for index in ["thread_search", "message_search"] {
        let sql = format!("SELECT COUNT(*), COUNT(DISTINCT rowid) FROM {index}");
        let counts: (i64, i64) =
            database.connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("counts");
        assert_eq!(counts, (699, 699), "{index}");
    }
}

#[test]
fn the_worker_indexes_an_older_database_by_itself() {
    let folder = Folder::new();
    {
        let path = folder.path().join("store.sqlite");
        let connection = rusqlite::Connection::open(path).expect("a file");
        create_version(&connection, /*version*/ 1);
        let mut old = Database { connection, leases: None };
        insert(&mut old, &ThreadRecord { name: Some("of old".to_owned()), ..thread("a", /*at_ms*/ 1) });
    }
    let (_worker, handle) = StoreWorker::start(folder.path().to_owned(), |_| {}).expect("it starts");
    let count = |database: &Database| {
        let sql = "SELECT COUNT(*) FROM search_fill";
        Ok(database.connection.query_row(sql, [], |row| row.get::<_, i64>(0))?)
    };
    // Each question is a job, between which the worker indexes.
    let ended = (0..100_000).any(|_| handle.call_read(count).expect("it answers") == 0);
    assert!(ended, "it does not end");
    let page = handle.call_read(|database| database.search_threads(&query("of old"), SearchIn::Titles));
    assert_eq!(page.expect("a page").hits.len(), 1);
}

#[test]
fn occurrences_come_oldest_first_with_their_places() {
    let (_folder, databases) = both();
    for mut database in databases {
        database.insert_thread(&thread("a", /*at_ms*/ 1)).expect("it is new");
        start(&mut database, "a", "t1", /*at_ms*/ 1, &[asked("t1", "u1", "Tick tock tick")]);
        start(
            &mut database,
            "a",
            "t2",
            /*at_ms*/ 2,
            &[said("t2", "m2", "no"), said("t2", "m3", "tick")],
        );
        let mut query = OccurrenceQuery { term: "tick".to_owned(), limit: 2, cursor: None };
        let first = database.occurrences("a", &query).expect("a page");
        let shown = |page: &OccurrencePage| {
            let one = |hit: &Occurrence| (hit.turn_id.clone(), hit.item_id.clone(), hit.snippet.hit.clone());
            page.occurrences.iter().map(one).collect::<Vec<_>>()
        };
        let of = |turn: &str, item: &str, hit| (turn.to_owned(), item.to_owned(), hit);
        assert_eq!(shown(&first), [of("t1", "u1", 0..4), of("t1", "u1", 10..14)]);
        query.cursor = first.next_cursor;
        let second = database.occurrences("a", &query).expect("a page");
        assert_eq!((shown(&second), second.next_cursor), (vec![of("t2", "m3", 0..4)], None));
        let turns =
            TurnQuery { cursor: Some(second.occurrences[0].turn_cursor.clone()), ..TurnQuery::default() };
        assert_eq!(turn_ids(&database.turns_page("a", &turns).expect("a page")), ["t2", "t1"]);
        query.cursor = Some("found:0:0:b".to_owned());
        assert!(matches!(database.occurrences("a", &query), Err(StoreError::InvalidCursor(_))));
    }
}
