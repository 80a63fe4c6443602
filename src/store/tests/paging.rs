//! Lists of threads, pages of turns and items.

use std::collections::BTreeSet;

use super::*;

/// All ids of a list, page by page; `between` runs after each page.
fn walk(
    database: &mut Database,
    query: &ThreadQuery,
    mut between: impl FnMut(&mut Database, usize),
) -> Vec<String> {
    let mut query = query.clone();
    let mut seen = Vec::new();
    for page_number in 0.. {
        let page = database.list_threads(&query).expect("the page is there");
        assert!(page.records.len() <= query.limit as usize);
        seen.extend(page.records.into_iter().map(|record| record.id));
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
        between(database, page_number);
    }
    seen
}

fn invalid<T: std::fmt::Debug>(result: Result<T, StoreError>, text: &str) {
    assert_eq!(result.expect_err("it is refused"), StoreError::InvalidCursor(text.to_owned()));
}

#[test]
fn paging_sees_every_thread_once_while_others_come_and_go() {
    for direction in [Direction::Ascending, Direction::Descending] {
        let mut database = memory();
        for number in 0..50 {
            // Five threads share each time, so pages are cut between equal keys.
            insert(&mut database, &thread(&format!("old-{number:02}"), 1_000 + number / 5));
        }
        let query = ThreadQuery { limit: 7, direction, ..ThreadQuery::default() };
        let seen = walk(&mut database, &query, |database, page| {
            for at_ms in [1, 1_002, 1_005, 9_000] {
                insert(database, &thread(&format!("new-{at_ms}-{page}"), at_ms));
            }
            database.delete_thread(&format!("new-1002-{page}")).expect("it can be deleted");
        });
        let unique: BTreeSet<_> = seen.iter().collect();
        assert_eq!(unique.len(), seen.len(), "a thread came twice: {seen:?}");
        let mut old: Vec<_> = seen.iter().filter(|id| id.starts_with("old")).cloned().collect();
        if direction == Direction::Descending {
            old.reverse();
        }
        assert_eq!(old, (0..50).map(|number| format!("old-{number:02}")).collect::<Vec<_>>());
    }
}

#[test]
fn a_list_ends_without_a_cursor_also_when_the_last_page_is_full() {
    let mut database = memory();
    for number in 0..4 {
        insert(&mut database, &thread(&format!("a{number}"), number));
    }
    let query = ThreadQuery { limit: 2, ..ThreadQuery::default() };
    let first = database.list_threads(&query).expect("first page");
    assert_eq!((ids(&first.records), first.next_cursor.as_deref()), (vec!["a3", "a2"], Some("2|a2")));
    let second = database
        .list_threads(&ThreadQuery { cursor: first.next_cursor, ..query.clone() })
        .expect("second page");
    assert_eq!((ids(&second.records), second.next_cursor), (vec!["a1", "a0"], None));
    let beyond = database
        .list_threads(&ThreadQuery { cursor: Some("0|a0".to_owned()), ..query })
        .expect("an empty page");
    assert_eq!((beyond.records, beyond.next_cursor, beyond.backwards_cursor), (Vec::new(), None, None));
}

#[test]
fn the_backwards_cursor_of_a_list_finds_what_is_new() {
    for (direction, opposite, expected) in [
        (Direction::Descending, Direction::Ascending, ["a2", "a2-also-new", "a3-new"]),
        (Direction::Ascending, Direction::Descending, ["a0", "Z-also-old", "A-old"]),
    ] {
        let mut database = memory();
        for number in 0..3 {
            insert(&mut database, &thread(&format!("a{number}"), 10 + number));
        }
        let query = ThreadQuery { direction, limit: 2, ..ThreadQuery::default() };
        let page = database.list_threads(&query).expect("a page");
        for (id, at_ms) in [("a3-new", 13), ("a2-also-new", 12), ("Z-also-old", 10), ("A-old", 9)] {
            insert(&mut database, &thread(id, at_ms));
        }
        let back = ThreadQuery { cursor: page.backwards_cursor, direction: opposite, limit: 9, ..query };
        assert_eq!(ids(&database.list_threads(&back).expect("the way back").records), expected);
    }
}

#[test]
fn each_sort_key_sorts_by_its_own_time() {
    let mut database = memory();
    for (id, created, updated, recency) in [("a", 1, 9, 5), ("b", 2, 8, 6), ("c", 3, 7, 4)] {
        database
            .insert_thread(&ThreadRecord {
                updated_at_ms: updated,
                recency_at_ms: recency,
                ..thread(id, created)
            })
            .expect("it is new");
        start(&mut database, id, "t1", /*at_ms*/ 0, &[]);
    }
    let sorted = |sort_key| {
        let page = database.list_threads(&ThreadQuery { sort_key, limit: 9, ..ThreadQuery::default() });
        page.expect("a page").records.into_iter().map(|record| record.id).collect::<String>()
    };
    assert_eq!(sorted(SortKey::CreatedAt), "cba");
    assert_eq!(sorted(SortKey::UpdatedAt), "abc");
    assert_eq!(sorted(SortKey::RecencyAt), "bac");
}

#[test]
fn threads_without_turns_are_merged_in_their_place_when_asked_for() {
    for direction in [Direction::Ascending, Direction::Descending] {
        let mut database = memory();
        for number in 0..20 {
            let record = thread(&format!("a{number:02}"), number / 3);
            if number % 2 == 0 {
                insert(&mut database, &record);
            } else {
                database.insert_thread(&record).expect("it is new");
            }
        }
        let query = ThreadQuery { limit: 3, direction, ..ThreadQuery::default() };
        assert_eq!(walk(&mut database, &query, |_, _| {}).len(), 10);
        let mut all = walk(&mut database, &ThreadQuery { with_turns_only: false, ..query }, |_, _| {});
        if direction == Direction::Descending {
            all.reverse();
        }
        assert_eq!(all, (0..20).map(|number| format!("a{number:02}")).collect::<Vec<_>>());
    }
}

#[test]
fn every_filter_filters() {
    let mut database = memory();
    let one = ThreadRecord {
        cwd: "/one".to_owned(),
        model_provider: "p1".to_owned(),
        source: "vscode".to_owned(),
        originator: Some("o1".to_owned()),
        name: Some("Fix 100% of the Bugs".to_owned()),
        preview: "hello".to_owned(),
        ..thread("one", /*at_ms*/ 1)
    };
    let two = ThreadRecord {
        cwd: "/two".to_owned(),
        model_provider: "p2".to_owned(),
        source: "cli".to_owned(),
        preview: "look at snake_case and c:\\dir".to_owned(),
        ..thread("two", /*at_ms*/ 2)
    };
    let away = ThreadRecord { archived: true, ..thread("away", /*at_ms*/ 3) };
    for record in [&one, &two, &away] {
        insert(&mut database, record);
    }
    let list = |change: &dyn Fn(&mut ThreadQuery)| {
        let mut query = ThreadQuery::default();
        change(&mut query);
        let page = database.list_threads(&query).expect("a page");
        page.records.into_iter().map(|record| record.id).collect::<Vec<_>>()
    };
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let search = |term: &str| list(&|query| query.search_term = Some(term.to_owned()));
    assert_eq!(list(&|_| {}), ["two", "one"]);
    assert_eq!(list(&|query| query.archived = true), ["away"]);
    assert_eq!(list(&|query| query.cwds = texts(&["/one", "/none"])), ["one"]);
    assert_eq!(list(&|query| query.cwds = texts(&["/one", "/two"])), ["two", "one"]);
    assert_eq!(list(&|query| query.model_providers = texts(&["p2"])), ["two"]);
    assert_eq!(list(&|query| query.sources = texts(&["vscode"])), ["one"]);
    assert_eq!(list(&|query| query.originators = texts(&["o1"])), ["one"]);
    assert_eq!(list(&|query| query.excluded_ids = texts(&["one"])), ["two"]);
    assert_eq!(search("fix 100"), ["one"], "the case does not matter, and names are searched");
    assert_eq!(search("HELLO"), ["one"], "previews are searched");
    assert_eq!(search("0%"), ["one"], "% is a character");
    assert_eq!(search("e_c"), ["two"], "_ is a character");
    assert_eq!(search("lo_k"), Vec::<String>::new(), "_ is no wildcard");
    assert_eq!(search("c:\\d"), ["two"], "\\ is a character");
    assert_eq!(search("'; DROP TABLE threads; --"), Vec::<String>::new());
    assert_eq!(
        list(&|query| (query.cwds, query.model_providers) = (texts(&["/one"]), texts(&["p2"]))).len(),
        0
    );
}

/// Thread `a` with turns t1 to t5; each has u (user), c (command), x and y (agent), named by its number.
fn conversation() -> Database {
    let mut database = memory();
    database.insert_thread(&thread("a", /*at_ms*/ 1)).expect("it is new");
    for number in 1..=5 {
        let turn = format!("t{number}");
        let items =
            [("u", "userMessage"), ("x", "agentMessage"), ("c", "commandExecution"), ("y", "agentMessage")]
                .map(|(id, kind)| item(&turn, &format!("{id}{number}"), kind));
        start(&mut database, "a", &turn, number, &items);
    }
    database
}

#[test]
fn turns_are_paged_both_ways_and_the_backwards_cursor_takes_its_anchor_again() {
    let mut database = conversation();
    let query = TurnQuery { limit: 2, ..TurnQuery::default() };
    let first = database.turns_page("a", &query).expect("first page");
    assert_eq!(turn_ids(&first), ["t5", "t4"]);
    start(&mut database, "a", "t6", /*at_ms*/ 6, &[]);
    let second = database
        .turns_page("a", &TurnQuery { cursor: first.next_cursor, ..query.clone() })
        .expect("second page");
    assert_eq!(turn_ids(&second), ["t3", "t2"]);
    let third = database
        .turns_page("a", &TurnQuery { cursor: second.next_cursor, ..query.clone() })
        .expect("third page");
    assert_eq!((turn_ids(&third), &third.next_cursor), (vec!["t1"], &None));
    let back = TurnQuery { cursor: first.backwards_cursor, direction: Direction::Ascending, ..query.clone() };
    assert_eq!(turn_ids(&database.turns_page("a", &back).expect("the way back")), ["t5", "t6"]);
    // And back again: the first page's first turn turns the direction round once more.
    let again = database.turns_page("a", &back).expect("the way back").backwards_cursor;
    let forth = TurnQuery { cursor: again, ..query };
    assert_eq!(turn_ids(&database.turns_page("a", &forth).expect("forth")), ["t5", "t4"]);
}

#[test]
fn the_latest_cursors_begin_with_the_newest_turn_and_item() {
    let mut database = conversation();
    let latest = database.latest_cursors("a").expect("the thread is there");
    let page =
        database.turns_page("a", &TurnQuery { cursor: latest.turns, limit: 2, ..TurnQuery::default() });
    assert_eq!(turn_ids(&page.expect("a page")), ["t5", "t4"]);
    let newest_first = ItemQuery {
        cursor: latest.items,
        limit: 2,
        direction: Direction::Descending,
        ..ItemQuery::default()
    };
    assert_eq!(item_ids(&database.items_page("a", &newest_first).expect("a page").items), ["y5", "c5"]);
    database.insert_thread(&thread("empty", /*at_ms*/ 1)).expect("it is new");
    assert_eq!(database.latest_cursors("empty"), Ok(LatestCursors::default()));
}

#[test]
fn a_page_of_turns_carries_as_many_items_as_asked_for() {
    let mut database = conversation();
    start(&mut database, "a", "bare", /*at_ms*/ 6, &[item("bare", "c6", "commandExecution")]);
    let items = |items| {
        let page = database.turns_page("a", &TurnQuery { items, limit: 2, ..TurnQuery::default() });
        let turns = page.expect("a page").turns;
        turns.iter().map(|(_, items)| item_ids(items).join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(items(ItemsView::None), ["", ""]);
    assert_eq!(items(ItemsView::Summary), ["", "u5 y5"]);
    assert_eq!(items(ItemsView::Full), ["c6", "u5 x5 c5 y5"]);
}

#[test]
fn items_are_paged_over_the_thread_and_within_a_turn() {
    let database = conversation();
    let query = ItemQuery { limit: 3, ..ItemQuery::default() };
    let first = database.items_page("a", &query).expect("first page");
    assert_eq!(item_ids(&first.items), ["u1", "x1", "c1"]);
    let second = database
        .items_page("a", &ItemQuery { cursor: first.next_cursor.clone(), ..query.clone() })
        .expect("second page");
    assert_eq!(item_ids(&second.items), ["y1", "u2", "x2"]);
    let back =
        ItemQuery { cursor: second.backwards_cursor, direction: Direction::Descending, ..query.clone() };
    assert_eq!(item_ids(&database.items_page("a", &back).expect("the way back").items), ["y1", "c1", "x1"]);
    let of_turn = ItemQuery { turn_id: Some("t3".to_owned()), ..query };
    let page = database.items_page("a", &of_turn).expect("a page of a turn");
    assert_eq!(item_ids(&page.items), ["u3", "x3", "c3"]);
    assert!(page.items.iter().all(|item| item.turn_id == "t3"));
    let rest =
        database.items_page("a", &ItemQuery { cursor: page.next_cursor, ..of_turn }).expect("the rest");
    assert_eq!((item_ids(&rest.items), rest.next_cursor), (vec!["y3"], None));
    assert_eq!(
        item_ids(&database.items_by_id("a", "t2", &["y2", "none", "u2", "u3"]).expect("items")),
        ["u2", "y2"]
    );
}

#[test]
fn a_page_ends_before_it_is_too_large_but_is_never_empty() {
    let database = conversation();
    let bytes = |turns: usize| turns * 4 * "{\"id\":\"u1\"}".len();
    let turns = |bytes_max| {
        let query = TurnQuery { items: ItemsView::Full, bytes_max, ..TurnQuery::default() };
        let page = database.turns_page("a", &query).expect("a page");
        (page.turns.len(), page.next_cursor.is_some())
    };
    assert_eq!(turns(0), (1, true));
    assert_eq!(turns(bytes(2)), (2, true));
    assert_eq!(turns(bytes(3) - 1), (2, true));
    assert_eq!(turns(bytes(5)), (5, false));
    let query = ItemQuery { bytes_max: 0, ..ItemQuery::default() };
    let page = database.items_page("a", &query).expect("a page");
    assert_eq!((item_ids(&page.items), page.next_cursor.is_some()), (vec!["u1"], true));
    let rest = database.items_page("a", &ItemQuery { cursor: page.next_cursor, ..ItemQuery::default() });
    assert_eq!(rest.expect("the rest").items.len(), 19);
}

#[test]
fn cursors_of_other_lists_and_other_threads_are_refused() {
    let mut database = conversation();
    insert(&mut database, &thread("b", /*at_ms*/ 1));
    let LatestCursors { turns, items } = database.latest_cursors("a").expect("the thread is there");
    let (turns, items) = (turns.expect("it has turns"), items.expect("it has items"));
    let turn_page = |id, text: &str| {
        database.turns_page(id, &TurnQuery { cursor: Some(text.to_owned()), ..TurnQuery::default() })
    };
    let item_page = |id, text: &str| {
        database.items_page(id, &ItemQuery { cursor: Some(text.to_owned()), ..ItemQuery::default() })
    };
    turn_page("a", &turns).expect("its own cursor");
    item_page("a", &items).expect("its own cursor");
    for text in ["bogus", "", &items, "1|a"] {
        invalid(turn_page("a", text), text);
    }
    invalid(turn_page("b", &turns), &turns);
    for text in ["bogus", &turns] {
        invalid(item_page("a", text), text);
    }
    invalid(item_page("b", &items), &items);
    for text in ["bogus", &turns] {
        let query = ThreadQuery { cursor: Some(text.to_owned()), ..ThreadQuery::default() };
        invalid(database.list_threads(&query), text);
    }
}

#[test]
fn what_is_not_there_is_named() {
    let database = conversation();
    let missing = |what, id: &str| StoreError::NotFound { what, id: id.to_owned() };
    assert_eq!(database.turns_page("z", &TurnQuery::default()), Err(missing("thread", "z")));
    assert_eq!(database.conversation("z"), Err(missing("thread", "z")));
    assert_eq!(database.items_by_id("a", "t9", &["u1"]), Err(missing("turn", "t9")));
    assert_eq!(missing("thread", "z").to_string(), "thread not found: z");
}
