//! Messages that wait in a thread's queue, and what clients keep with a thread.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{column, said, text};
use crate::support::inside::{Inside, Peer};

fn queue(peer: &mut Peer, thread: &str, client_id: &str, words: &str) -> Value {
    let params = json!({ "threadId": thread, "clientUserMessageId": client_id, "input": said(words) });
    peer.ask("thread/queue/add", params).expect("there is room")["queuedSubmission"].take()
}

fn queued(peer: &mut Peer, thread: &str) -> Vec<String> {
    let page = peer.ask("thread/queue/list", json!({ "threadId": thread })).expect("a page");
    column(&page["data"], "clientUserMessageId")
}

/// What the user said in a thread, oldest first.
pub(crate) fn words_of(peer: &mut Peer, thread: &str) -> Vec<String> {
    let list = peer.ask("thread/items/list", json!({ "threadId": thread, "limit": 1000 })).expect("a page");
    let items = list["data"].as_array().expect("a list").iter().map(|entry| &entry["item"]);
    items.filter(|item| item["type"] == "userMessage").map(|item| text(&item["content"][0]["text"])).collect()
}

#[test]
fn what_waits_starts_in_its_order_when_the_turn_ends() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    peer.start_turn(&thread, "slow: 60s\nfirst");
    let a = queue(&mut peer, &thread, "a", "one");
    let b = queue(&mut peer, &thread, "b", "two");
    let c = queue(&mut peer, &thread, "c", "three");
    assert_eq!(queue(&mut peer, &thread, "a", "again"), a, "one name waits once");
    peer.hear("thread/queue/changed", &thread);
    let page = peer.ask("thread/queue/list", json!({ "threadId": thread, "limit": 2 })).expect("a page");
    assert_eq!(page["data"], json!([a, b]));
    let rest = json!({ "threadId": thread, "cursor": page["nextCursor"] });
    let rest = peer.ask("thread/queue/list", rest).expect("a page");
    assert_eq!((&rest["data"], &rest["nextCursor"]), (&json!([c]), &Value::Null));

    let which =
        |it: &Value| json!({ "threadId": thread, "queuedSubmissionId": it["id"], "input": said("new") });
    let updated = peer.ask("thread/queue/update", which(&b)).expect("it waits");
    assert_eq!(updated["queuedSubmission"]["input"][0]["text"], "new");
    assert_eq!(peer.ask("thread/queue/delete", which(&c)), Ok(json!({ "deleted": true })));
    assert_eq!(peer.ask("thread/queue/delete", which(&c)), Ok(json!({ "deleted": false })));
    peer.ask("thread/queue/update", which(&c)).expect_err("it does not wait any more");
    let order = |ids: Value| json!({ "threadId": thread, "queuedSubmissionIds": ids });
    peer.ask("thread/queue/reorder", order(json!([b["id"]]))).expect_err("one is missing");
    peer.ask("thread/queue/reorder", order(json!([b["id"], a["id"]]))).expect("these are all");
    assert_eq!(queued(&mut peer, &thread), ["b", "a"]);

    inside.advance_until(&mut peer, "turn/completed", &thread);
    for _ in 0..2 {
        peer.hear("turn/completed", &thread);
    }
    assert!(queued(&mut peer, &thread).is_empty());
    assert_eq!(words_of(&mut peer, &thread), ["slow: 60s\nfirst", "new", "one"]);
    // On an idle thread nothing waits.
    queue(&mut peer, &thread, "d", "four");
    peer.hear("turn/completed", &thread);
    assert_eq!(words_of(&mut peer, &thread).last().map(String::as_str), Some("four"));
    peer.ask("thread/queue/start", json!({ "threadId": thread })).expect_err("the queue is empty");
}

#[test]
fn what_waits_is_held_after_an_interrupt_and_a_restart_and_runs_once() {
    let mut inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    let turn = peer.start_turn(&thread, "slow: 60s\nfirst");
    let a = queue(&mut peer, &thread, "a", "one");
    queue(&mut peer, &thread, "b", "two");
    queue(&mut peer, &thread, "c", "three");
    peer.ask("turn/interrupt", json!({ "threadId": thread, "turnId": turn })).expect("it runs");
    peer.hear("turn/completed", &thread);
    assert_eq!(queued(&mut peer, &thread), ["a", "b", "c"], "it waits for a word");
    drop(peer);

    inside.restart();
    let mut peer = inside.connect();
    peer.ask("thread/resume", json!({ "threadId": thread })).expect("it is stored");
    peer.heard_so_far();
    assert_eq!(queued(&mut peer, &thread), ["a", "b", "c"]);
    // Said directly under the name of one that waits: it does not wait any more.
    let direct = json!({ "threadId": thread, "clientUserMessageId": "c", "input": said("slow: 60s\nthree") });
    let running = peer.ask("turn/start", direct).expect("it starts")["turn"]["id"].take();
    peer.hear("thread/queue/changed", &thread);
    assert_eq!(queued(&mut peer, &thread), ["a", "b"]);
    // While a turn runs, what is started joins it.
    let start = json!({ "threadId": thread, "queuedSubmissionId": a["id"] });
    let joined = peer.ask("thread/queue/start", start).expect("it waits")["turn"]["id"].take();
    assert_eq!(joined, running);
    // It cuts the answer if that has begun; then the last one runs at once, and else after the minute.
    let mut ended = Vec::new();
    for _ in 0..100_000 {
        inside.advance(Duration::from_secs(1));
        let heard = peer.take_heard().into_iter().filter(|message| message["method"] == "turn/completed");
        ended.extend(heard.map(|mut message| message["params"]["turn"]["id"].take()));
        if ended.len() == 2 {
            break;
        }
    }
    assert_eq!((ended.len(), &ended[0]), (2, &joined));
    assert!(queued(&mut peer, &thread).is_empty());
    assert_eq!(words_of(&mut peer, &thread), ["slow: 60s\nfirst", "slow: 60s\nthree", "one", "two"]);
}

#[test]
fn what_is_put_into_a_conversation_is_for_the_model_alone() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    peer.run_turn(&thread, "hello");
    let inject = |items: Value| json!({ "threadId": thread, "items": items });
    for (items, words) in [(json!([]), "must not be empty"), (json!([{ "role": "user" }]), "items[0]")] {
        let error = peer.ask("thread/inject_items", inject(items)).expect_err("refused");
        assert!(error["message"].as_str().is_some_and(|text| text.contains(words)), "{error}");
    }
    let item =
        json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "psst" }] });
    assert_eq!(peer.ask("thread/inject_items", inject(json!([item]))), Ok(json!({})));
    peer.run_turn(&thread, "again");
    assert_eq!(words_of(&mut peer, &thread), ["hello", "again"]);
    let database = rusqlite::Connection::open(inside.database()).expect("the database opens");
    let sql = "SELECT body FROM conversation WHERE turn IS NULL";
    let kept: String = database.query_row(sql, [], |row| row.get(0)).expect("one entry");
    assert_eq!(serde_json::from_str::<Value>(&kept).expect("JSON")["item"], item);
    let nobody = json!({ "threadId": "01990000-0000-7000-8000-000000000000", "items": [item] });
    peer.ask("thread/inject_items", nobody).expect_err("there is no such thread");
}

#[test]
fn what_is_unread_is_told_and_marked() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    let turn = peer.start_turn(&thread, "hello");
    let told = peer.hear("thread/readState/changed", &thread)["params"]["readState"].take();
    assert_eq!(told["firstUnread"], json!({ "type": "turn", "turnId": turn }));
    peer.hear("turn/completed", &thread);
    peer.run_turn(&thread, "again");
    let mark = |kind: &str, revision: &Value| {
        let operation = json!({ "type": kind });
        json!({ "threadId": thread, "operation": operation, "expectedRevision": revision })
    };
    peer.ask("thread/readState/update", mark("read", &told["revision"]))
        .expect_err("something happened since");
    let read = peer.ask("thread/read", json!({ "threadId": thread })).expect("it is stored");
    let state = &read["readState"];
    assert_eq!(state["firstUnread"]["turnId"], turn.as_str(), "the first that is not read");
    let marked = peer.ask("thread/readState/update", mark("read", &state["revision"])).expect("it is seen");
    assert_eq!(marked["readState"]["firstUnread"], Value::Null);
    let told = peer.hear("thread/readState/changed", &thread);
    assert_eq!(told["params"]["readState"], marked["readState"]);
    let marked = peer.ask("thread/readState/update", mark("unread", &marked["readState"]["revision"]));
    assert_ne!(
        marked.expect("it is seen")["readState"]["firstUnread"]["turnId"],
        turn.as_str(),
        "the last one"
    );
}

#[test]
fn attachments_are_kept_once_a_key_and_found_from_both_sides() {
    let mut inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let threads: Vec<String> = (0..3).map(|_| peer.start_thread(json!({}))).collect();
    let payload = json!({ "n": 1, "a": [null] });
    let of = |thread: &str, key: &str| {
        let mut params = json!({ "threadId": thread, "attachmentType": "pr", "identityKey": key });
        params["payload"] = payload.clone();
        params
    };
    for thread in &threads {
        let added = peer.ask("thread/attachment/add", of(thread, "k:1")).expect("there is room");
        assert_eq!(added["outcome"], "created");
        assert_eq!(added["attachment"]["payload"], payload);
        let told = peer.hear("thread/attachment/updated", thread)["params"].take();
        assert_eq!(
            (&told["operation"], &told["attachmentId"]),
            (&json!("created"), &added["attachment"]["id"])
        );
    }
    let again = peer.ask("thread/attachment/add", of(&threads[0], "k:1")).expect("it is there");
    assert_eq!(again["outcome"], "existing");
    peer.ask("thread/attachment/add", of(&threads[0], "k:2")).expect("there is room");
    drop(peer);
    inside.restart();
    let mut peer = inside.connect();
    let first =
        peer.ask("thread/attachment/list", json!({ "threadId": threads[0], "limit": 1 })).expect("a page");
    assert_eq!(column(&first["data"], "identityKey"), ["k:1"]);
    let next = json!({ "threadId": threads[0], "limit": 1, "cursor": first["nextCursor"] });
    let next = peer.ask("thread/attachment/list", next).expect("a page");
    assert_eq!(
        (column(&next["data"], "identityKey"), &next["nextCursor"]),
        (vec!["k:2".to_owned()], &Value::Null)
    );
    let owners = |peer: &mut Peer, rest: Value| {
        let mut params = rest;
        params["attachmentType"] = "pr".into();
        params["identityKey"] = "k:1".into();
        peer.ask("thread/attachmentOwner/list", params).expect("a page")
    };
    let page = owners(&mut peer, json!({ "limit": 2 }));
    assert_eq!(column(&page["data"], "threadId"), threads[..2]);
    let rest = owners(&mut peer, json!({ "cursor": page["nextCursor"], "archived": false }));
    assert_eq!(rest["data"], json!([{ "threadId": threads[2], "archived": false }]));
    assert!(owners(&mut peer, json!({ "archived": true }))["data"].as_array().is_some_and(Vec::is_empty));
    peer.ask("thread/attachment/remove", of(&threads[2], "k:1")).expect("it is there");
    let told = peer.hear("thread/attachment/updated", &threads[2]);
    assert_eq!(told["params"]["operation"], "deleted");
    assert_eq!(owners(&mut peer, json!({}))["data"].as_array().map(Vec::len), Some(2));
    peer.ask("thread/attachment/remove", of(&threads[2], "k:1")).expect("there is nothing to say");
}
