//! What happens at the limits of what is kept with threads, and of threads and turns themselves.

use app_server::limits::{
    ATTACHMENT_BYTES_MAX, ATTACHMENTS_MAX, INJECTED_BYTES_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, QUEUED_MAX,
    TURN_INPUT_CHARS_MAX, TURNS_RUNNING_MAX,
};
use serde_json::{Value, json};

use crate::support::client::said;
use crate::support::inside::{Inside, Peer};

/// Asserts that a request is refused as one that may be sent again later.
fn assert_full(refused: Result<Value, Value>, words: &str) {
    let error = refused.expect_err(words);
    assert!(error["message"].as_str().is_some_and(|text| text.contains(words)), "{error}");
    assert_eq!(error["code"], -32001, "{error}");
}

/// Asserts that a request is refused for what it says.
fn assert_wrong(refused: Result<Value, Value>, words: &str) {
    let error = refused.expect_err(words);
    assert!(error["message"].as_str().is_some_and(|text| text.contains(words)), "{error}");
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32600), &json!("invalidParams")));
}

fn count(page: &Value) -> usize {
    page["data"].as_array().expect("a list").len()
}

#[test]
fn a_queue_takes_so_many_messages_and_no_more() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    let turn = peer.start_turn(&thread, "slow: 36000s\nfirst");
    let add = |peer: &mut Peer, name: String| {
        let params = json!({ "threadId": thread, "clientUserMessageId": name, "input": said("next") });
        peer.ask("thread/queue/add", params)
    };
    for number in 0..QUEUED_MAX {
        add(&mut peer, format!("m{number}")).expect("there is room");
    }
    assert_full(add(&mut peer, "one more".to_owned()), &format!("{QUEUED_MAX} messages wait"));
    add(&mut peer, "m0".to_owned()).expect("it waits already");
    let page = peer.ask("thread/queue/list", json!({ "threadId": thread, "limit": 1000 })).expect("a page");
    assert_eq!(count(&page), QUEUED_MAX);
    let which = json!({ "threadId": thread, "queuedSubmissionId": page["data"][0]["id"] });
    peer.ask("thread/queue/delete", which).expect("it waits");
    add(&mut peer, "one more".to_owned()).expect("there is room again");
    let words = said(&"x".repeat(TURN_INPUT_CHARS_MAX + 1));
    let long = json!({ "threadId": thread, "clientUserMessageId": "long", "input": words });
    assert_eq!(peer.ask("thread/queue/add", long).expect_err("too long")["code"], -32602);
    // So that they do not all run at the end.
    peer.ask("turn/interrupt", json!({ "threadId": thread, "turnId": turn })).expect("it runs");
    peer.hear("turn/completed", &thread);
}

#[test]
fn attachments_have_a_number_and_a_size() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    let add = |peer: &mut Peer, key: &str, payload: Value| {
        let rest =
            json!({ "threadId": thread, "attachmentType": "t", "identityKey": key, "payload": payload });
        peer.ask("thread/attachment/add", rest)
    };
    // Type, key and payload count, the payload with its quotes.
    let fits = "x".repeat(ATTACHMENT_BYTES_MAX - "t".len() - "big".len() - "\"\"".len());
    let refused = add(&mut peer, "big", json!(format!("{fits}x")));
    assert_wrong(refused, &format!("{ATTACHMENT_BYTES_MAX} are accepted"));
    add(&mut peer, "big", json!(fits)).expect("it fits");
    for number in 1..ATTACHMENTS_MAX {
        add(&mut peer, &format!("k{number}"), json!(number)).expect("there is room");
    }
    let refused = add(&mut peer, "one more", json!({}));
    assert_full(refused, &format!("the thread has {ATTACHMENTS_MAX} attachments"));
    assert_eq!(add(&mut peer, "k1", json!({})).expect("it is there")["outcome"], "existing");
    let k1 = json!({ "threadId": thread, "attachmentType": "t", "identityKey": "k1" });
    peer.ask("thread/attachment/remove", k1).expect("it is there");
    add(&mut peer, "one more", json!({})).expect("there is room again");
}

#[test]
fn what_is_put_into_a_conversation_at_once_has_a_size() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    let item = |bytes: usize| {
        let content = json!([{ "type": "input_text", "text": "x".repeat(bytes) }]);
        json!({ "type": "message", "role": "user", "content": content })
    };
    let inject = |items: Value| json!({ "threadId": thread, "items": items });
    let half = INJECTED_BYTES_MAX / 2;
    let refused = peer.ask("thread/inject_items", inject(json!([item(half), item(half)])));
    assert_wrong(refused, &format!("{INJECTED_BYTES_MAX} are accepted at once"));
    let entries = |inside: &Inside| {
        let database = rusqlite::Connection::open(inside.database()).expect("the database opens");
        let sql = "SELECT COUNT(*) FROM conversation";
        database.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number")
    };
    assert_eq!(entries(&inside), 0, "all or nothing");
    for _ in 0..2 {
        peer.ask("thread/inject_items", inject(json!([item(half)]))).expect("it fits");
    }
    assert_eq!(entries(&inside), 2);
}

#[test]
fn so_many_turns_run_at_once_and_so_much_input_waits_for_one() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let threads: Vec<String> = (0..=TURNS_RUNNING_MAX).map(|_| peer.start_thread(json!({}))).collect();
    let prompt = "slow: 36000s\nI am at work";
    let turns: Vec<String> = threads[1..].iter().map(|thread| peer.start_turn(thread, prompt)).collect();
    let one_more = json!({ "threadId": threads[0], "input": said("me too") });
    assert_full(peer.ask("turn/start", one_more.clone()), &format!("{TURNS_RUNNING_MAX} turns are running"));
    peer.ask("turn/interrupt", json!({ "threadId": threads[1], "turnId": turns[0] })).expect("it runs");
    peer.hear("turn/completed", &threads[1]);
    peer.ask("turn/start", one_more).expect("there is room again");
}

#[test]
fn a_page_has_a_usual_size_and_a_largest_one() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    peer.run_turn(&thread, "hello");
    let database = rusqlite::Connection::open(inside.database()).expect("the database opens");
    let sql = "INSERT INTO attachments (thread, id, kind, identity, payload, created_at_ms)
        WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n <= ?1)
        SELECT threads.key, 'a' || n, 't', 'k' || n, '{}', 0 FROM n, threads";
    database.execute(sql, [PAGE_SIZE_MAX]).expect("they are inserted");
    let page = |peer: &mut Peer, limit: Value| {
        let page = peer.ask("thread/attachment/list", json!({ "threadId": thread, "limit": limit }));
        let page = page.expect("a page");
        (count(&page), page["nextCursor"].is_string())
    };
    assert_eq!(page(&mut peer, Value::Null), (PAGE_SIZE_DEFAULT as usize, true));
    assert_eq!(page(&mut peer, json!(PAGE_SIZE_MAX + 500)), (PAGE_SIZE_MAX as usize, true));
    let rest = json!({ "threadId": thread, "limit": 5000 });
    let first = peer.ask("thread/attachment/list", rest).expect("a page");
    let next = json!({ "threadId": thread, "cursor": first["nextCursor"] });
    assert_eq!(count(&peer.ask("thread/attachment/list", next).expect("a page")), 1, "nothing is left out");
}
