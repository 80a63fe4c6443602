//! Lists in pages: threads, turns, items.

use serde_json::{Value, json};

use crate::support::client::{Client, column, said, text};
use crate::support::home::Home;
use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

over_stdio_and_websocket!(
    threads_are_paged_in_both_directions,
    threads_are_filtered,
    threads_and_places_are_found_by_what_was_said,
    turns_are_paged_in_both_directions,
    turns_are_shown_as_asked,
    items_are_paged_and_read_by_id,
    a_wrong_cursor_is_named,
);

/// All entries of a list, page by page, and the pages' sizes.
fn all_pages(client: &mut Client, method: &str, params: &Value) -> (Vec<Value>, Vec<usize>) {
    let (mut entries, mut sizes, mut cursor) = (Vec::new(), Vec::new(), Value::Null);
    loop {
        let mut params = params.clone();
        params["cursor"] = cursor;
        let page = client.ok(method, params);
        let data = page["data"].as_array().expect("a list");
        sizes.push(data.len());
        entries.extend(data.iter().cloned());
        assert!(sizes.len() < 100, "the list has no end");
        cursor = page["nextCursor"].clone();
        if cursor.is_null() {
            return (entries, sizes);
        }
    }
}

fn ids(entries: &[Value]) -> Vec<String> {
    column(&Value::from(entries.to_vec()), "id")
}

/// Threads with one turn each, oldest first.
fn threads(client: &mut Client, count: usize) -> Vec<String> {
    let start = |number| {
        let thread = client.thread();
        client.turn(&thread, &format!("prompt {number}"));
        thread
    };
    (0..count).map(start).collect()
}

fn threads_are_paged_in_both_directions(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let oldest_first = threads(&mut client, /*count*/ 7);
    client.thread();
    let newest_first: Vec<String> = oldest_first.iter().rev().cloned().collect();

    for (limit, sizes) in [(3, vec![3, 3, 1]), (7, vec![7]), (0, vec![1; 7]), (1000, vec![7])] {
        for (direction, expected) in [("desc", &newest_first), ("asc", &oldest_first)] {
            let params = json!({ "limit": limit, "sortDirection": direction });
            let (found, found_sizes) = all_pages(&mut client, "thread/list", &params);
            assert_eq!((&ids(&found), &found_sizes), (expected, &sizes), "{direction} by {limit}");
        }
    }
    assert_eq!(ids(&all_pages(&mut client, "thread/list", &json!({})).0), newest_first);

    // From the middle back to the start.
    let first = client.ok("thread/list", json!({ "limit": 3 }));
    let second = client.ok("thread/list", json!({ "limit": 3, "cursor": first["nextCursor"] }));
    let params = json!({ "limit": 10, "cursor": second["backwardsCursor"], "sortDirection": "asc" });
    let back = client.ok("thread/list", params);
    let mut back = column(&back["data"], "id");
    back.reverse();
    // At least the pages before; the page's first thread may be shown again.
    assert!(back == newest_first[..4] || back == newest_first[..3], "{back:?} of {newest_first:?}");

    // The order is that of the asked key.
    client.turn(&oldest_first[2], "again");
    for key in ["updated_at", "recency_at"] {
        let page = client.ok("thread/list", json!({ "sortKey": key, "limit": 1 }));
        assert_eq!(column(&page["data"], "id"), [oldest_first[2].as_str()], "{key}");
    }
    let page = client.ok("thread/list", json!({ "sortKey": "created_at", "limit": 1 }));
    assert_eq!(column(&page["data"], "id"), [oldest_first[6].as_str()]);
    server.stop();
}

fn threads_are_filtered(transport: Transport) {
    let home = Home::new();
    let mut server = Server::start_in(transport, &home);
    let mut client = server.client();
    let start = |client: &mut Client, cwd: &str, prompt: &str| {
        let thread = client.thread_with(json!({ "cwd": cwd }));
        client.turn(&thread, prompt);
        thread
    };
    let a = start(&mut client, "/srv/a", "find the needle");
    let b = start(&mut client, "/srv/b", "100% hay");
    let c = start(&mut client, "/srv/c", "more hay");
    client.ok("thread/name/set", json!({ "threadId": c, "name": "Needles" }));
    let mut list = |params: Value| {
        let found = client.ok("thread/list", params);
        let mut found = column(&found["data"], "id");
        found.sort();
        found
    };
    let all = [a.clone(), b.clone(), c.clone()];
    assert_eq!(list(json!({})), all);
    assert_eq!(list(json!({ "cwd": "/srv/b" })), all[1..2]);
    assert_eq!(list(json!({ "cwd": ["/srv/a", "/srv/c", "/none"] })), [a.clone(), c.clone()]);
    assert!(list(json!({ "cwd": "/srv" })).is_empty());
    assert_eq!(list(json!({ "searchTerm": "needle" })), [a.clone(), c.clone()]);
    assert_eq!(list(json!({ "searchTerm": "0% h" })), all[1..2]);
    assert!(list(json!({ "searchTerm": "n_edle" })).is_empty(), "no wildcards");
    assert_eq!(list(json!({ "searchTerm": "" })), all);
    assert_eq!(list(json!({ "searchTerm": "needle", "cwd": "/srv/c" })), all[2..]);
    assert_eq!(list(json!({ "sourceKinds": ["vscode"] })), all);
    assert!(list(json!({ "sourceKinds": ["exec", "cli"] })).is_empty());
    assert_eq!(list(json!({ "sourceKinds": [] })), all);
    assert_eq!(list(json!({ "modelProviders": ["offline"] })), all);
    assert!(list(json!({ "modelProviders": ["openai"] })).is_empty());
    assert_eq!(list(json!({ "archived": false })), all);
    assert!(list(json!({ "archived": true })).is_empty());

    // Archived elsewhere.
    let database = rusqlite::Connection::open(home.database()).expect("the database opens");
    let changed =
        database.execute("UPDATE threads SET archived = 1 WHERE id = ?1", [&b]).expect("it is written");
    assert_eq!(changed, 1);
    assert_eq!(list(json!({})), [a, c]);
    assert_eq!(list(json!({ "archived": true })), [b]);
}

fn threads_and_places_are_found_by_what_was_said(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let mut start = |prompt: &str| {
        let thread = client.thread();
        client.turn(&thread, prompt);
        thread
    };
    let (a, b) = (start("grüße an alle"), start("nothing here"));
    // The offline model repeats what it is told, so that the answer has it as well.
    client.turn(&b, "GRÜSSE and 🦀 more Grüße");
    let found = client.ok("thread/search", json!({ "searchTerm": "GRÜßE" }));
    let threads: Vec<String> =
        found["data"].as_array().expect("a list").iter().map(|hit| text(&hit["thread"]["id"])).collect();
    assert_eq!(threads, [b.clone(), a.clone()]);
    assert_eq!(found["data"][0]["snippet"], "GRÜSSE and 🦀 more Grüße");
    assert_eq!(found["data"][0]["thread"]["status"]["type"], "idle");
    let one = json!({ "searchTerm": "grüße", "limit": 1, "sortKey": "updated_at", "sortDirection": "asc" });
    assert_eq!(text(&client.ok("thread/search", one)["data"][0]["thread"]["id"]), a);
    let (places, _) = all_pages(
        &mut client,
        "thread/searchOccurrences",
        &json!({ "threadId": b, "searchTerm": "grüße", "limit": 1 }),
    );
    assert_eq!(places.len(), 2, "what was said and what was answered: {places:#?}");
    assert_eq!(places[0]["snippetMatchRange"], json!({ "start": 19, "end": 24 }), "in UTF-16");
    let turns = client
        .ok("thread/turns/list", json!({ "threadId": b, "cursor": places[0]["turnCursor"], "limit": 1 }));
    assert_eq!(turns["data"][0]["id"], places[0]["turnId"]);
    let error = client.refused("thread/search", json!({ "searchTerm": "" }));
    assert_eq!(error["message"], "searchTerm must not be empty");
    server.stop();
}

fn turns_are_paged_in_both_directions(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    let oldest_first: Vec<String> =
        (0..5).map(|number| text(&client.turn(&thread, &format!("turn {number}"))["id"])).collect();
    let newest_first: Vec<String> = oldest_first.iter().rev().cloned().collect();
    for (limit, sizes) in [(2, vec![2, 2, 1]), (5, vec![5]), (0, vec![1; 5])] {
        for (direction, expected) in [("desc", &newest_first), ("asc", &oldest_first)] {
            let params = json!({ "threadId": thread, "limit": limit, "sortDirection": direction });
            let (found, found_sizes) = all_pages(&mut client, "thread/turns/list", &params);
            assert_eq!((&ids(&found), &found_sizes), (expected, &sizes), "{direction} by {limit}");
        }
    }
    // What is new since a page: its backwards cursor, the other way.
    let page = client.ok("thread/turns/list", json!({ "threadId": thread, "limit": 2 }));
    let since = json!({ "threadId": thread, "sortDirection": "asc", "cursor": page["backwardsCursor"] });
    let known = column(&client.ok("thread/turns/list", since.clone())["data"], "id");
    assert!(known.is_empty() || known == newest_first[..1], "{known:?}");
    let new = text(&client.turn(&thread, "new")["id"]);
    let found = column(&client.ok("thread/turns/list", since)["data"], "id");
    assert_eq!(found.last(), Some(&new));
    assert_eq!(found.len(), known.len() + 1);
}

fn turns_are_shown_as_asked(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    let turn = client.start_turn(&thread, "slow: 1s\nfirst");
    client.next_notification("item/agentMessage/delta");
    client.ok("turn/steer", json!({ "threadId": thread, "expectedTurnId": turn, "input": said("second") }));
    client.turn_end(&turn);
    let full = client.read(&thread)["turns"][0]["items"].take();
    assert_eq!(full.as_array().map(Vec::len), Some(4));
    for (view, shown, items) in [
        (Value::Null, "summary", json!([full[0], full[3]])),
        (json!("summary"), "summary", json!([full[0], full[3]])),
        (json!("full"), "full", full.clone()),
        (json!("notLoaded"), "notLoaded", json!([])),
    ] {
        let page = client.ok("thread/turns/list", json!({ "threadId": thread, "itemsView": view }));
        let turn = &page["data"][0];
        assert_eq!((&turn["itemsView"], &turn["items"]), (&json!(shown), &items), "{view}");
    }
}

fn items_are_paged_and_read_by_id(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    let turns: Vec<String> =
        (0..3).map(|number| text(&client.turn(&thread, &format!("turn {number}"))["id"])).collect();
    let read = client.read(&thread)["turns"].take();
    let expected: Vec<String> = (0..3).flat_map(|turn| column(&read[turn]["items"], "id")).collect();
    assert_eq!(expected.len(), 6);
    let of_items = |entries: &[Value]| -> Vec<String> {
        entries.iter().map(|entry| text(&entry["item"]["id"])).collect()
    };
    for (limit, sizes) in [(4, vec![4, 2]), (6, vec![6]), (0, vec![1; 6])] {
        let params = json!({ "threadId": thread, "limit": limit });
        let (found, found_sizes) = all_pages(&mut client, "thread/items/list", &params);
        assert_eq!((of_items(&found), found_sizes), (expected.clone(), sizes.clone()), "oldest first");
        let params = json!({ "threadId": thread, "limit": limit, "sortDirection": "desc" });
        let (mut found, found_sizes) = all_pages(&mut client, "thread/items/list", &params);
        found.reverse();
        assert_eq!((of_items(&found), found_sizes), (expected.clone(), sizes));
    }
    let of_turn = client.ok("thread/items/list", json!({ "threadId": thread, "turnId": turns[1] }));
    assert_eq!(of_items(of_turn["data"].as_array().expect("a list")), expected[2..4]);

    let by_id = |client: &mut Client, ids: &[String]| {
        client.request("thread/items/read", json!({ "threadId": thread, "turnId": turns[1], "itemIds": ids }))
    };
    let found = by_id(&mut client, &expected[2..4]).expect("it is granted");
    assert_eq!(of_items(found["data"].as_array().expect("a list")), expected[2..4]);
    let whole = found["data"].as_array().expect("a list").iter().map(|entry| entry["item"].clone());
    assert_eq!(Value::from(whole.collect::<Vec<_>>()), read[1]["items"]);
    let many = |count: usize| (0..count).map(|number| format!("id-{number}")).collect::<Vec<_>>();
    for count in [0, 101] {
        let error = by_id(&mut client, &many(count)).expect_err("refused");
        assert_eq!(error["message"], "itemIds must contain 1 to 100 IDs", "{count}");
    }
    if let Err(error) = by_id(&mut client, &many(100)) {
        assert!(!text(&error["message"]).contains("must contain"), "{error}");
    }
}

fn a_wrong_cursor_is_named(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    client.turn(&thread, "one");
    client.turn(&thread, "two");
    for method in ["thread/list", "thread/turns/list", "thread/items/list"] {
        let error = client.refused(method, json!({ "threadId": thread, "cursor": "bogus" }));
        assert_eq!(error["message"], "invalid cursor: bogus", "{method}");
        assert_eq!(error["data"]["reason"], "invalidParams");
    }
    // A cursor of another list, or of another thread's, is none of this one.
    let turns = client.ok("thread/turns/list", json!({ "threadId": thread, "limit": 1 }));
    let cursor = turns["nextCursor"].clone();
    assert!(cursor.is_string());
    client.refused("thread/items/list", json!({ "threadId": thread, "cursor": cursor }));
    let other = client.thread();
    client.turn(&other, "one");
    client.refused("thread/turns/list", json!({ "threadId": other, "cursor": cursor }));
}
