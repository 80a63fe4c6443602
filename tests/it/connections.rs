//! Several connections to one server: who hears what, and that nobody disturbs the others.

use serde_json::{Value, json};

use crate::support::Transport;
use crate::support::client::{column, methods_of, text};
use crate::support::server::Server;

/// What every initialized connection hears of a thread; the rest is for subscribers.
const BROADCAST: [&str; 3] = ["thread/started", "thread/status/changed", "thread/name/updated"];

#[test]
fn everybody_hears_of_threads_and_only_subscribers_of_turns() {
    let mut server = Server::start(Transport::WebSocket);
    let mut owner = server.client();
    let mut other = server.client();
    let mut stranger = server.connect();
    let thread = owner.thread();
    owner.turn(&thread, "hello");
    owner.ok("thread/name/set", json!({ "threadId": thread, "name": "named" }));
    let renamed = owner.next_notification("thread/name/updated");
    assert_eq!(other.next_notification("thread/name/updated"), renamed);
    let of_owner = owner.heard();
    let expected: Vec<String> =
        of_owner.iter().filter(|method| BROADCAST.contains(&method.as_str())).cloned().collect();
    assert_eq!(other.heard(), expected);
    assert!(of_owner.len() > expected.len());
    // Who has not said who it is hears nothing.
    stranger.initialize();
    assert!(stranger.heard().is_empty());
    drop((owner, other, stranger));
    server.stop();
}

#[test]
fn both_subscribers_hear_the_same() {
    let mut server = Server::start(Transport::WebSocket);
    let mut first = server.client();
    let mut second = server.client();
    let thread = first.thread();
    second.next_notification("thread/started");
    second.ok("thread/resume", json!({ "threadId": thread }));
    first.settle();
    second.settle();
    // A turn of the one is heard by the other, and starting one does not need a subscription.
    let turn = second.start_turn(&thread, "hello");
    let notifications = |messages: Vec<Value>| -> Vec<Value> {
        messages.into_iter().filter(|message| message["method"].is_string()).collect()
    };
    let of_first = notifications(first.all_until("turn/completed"));
    // The answer to turn/start was looked at already; what came behind it may not have been.
    second.turn_end(&turn);
    let of_second = notifications(second.received());
    assert_eq!(of_second[of_second.len() - of_first.len()..], of_first);
}

#[test]
fn ids_belong_to_their_connection() {
    let mut server = Server::start(Transport::WebSocket);
    let mut first = server.client();
    let mut second = server.client();
    let id = json!("the same");
    let threads = [&mut first, &mut second].map(|client| {
        client.send_raw(&json!({ "id": id, "method": "thread/start", "params": {} }).to_string());
        text(&client.answer(&id).expect("it is granted")["thread"]["id"])
    });
    assert_ne!(threads[0], threads[1]);
    first.settle();
    second.settle();
    for client in [&first, &second] {
        client.wait_until("one answer", |heard| (heard.answers(&id).len() == 1).then_some(()));
    }
}

#[test]
fn a_client_that_leaves_does_not_end_its_turn() {
    let mut server = Server::start(Transport::WebSocket);
    let mut leaver = server.client();
    let mut stayer = server.client();
    let thread = leaver.thread();
    let turn = leaver.start_turn(&thread, "slow: 20ms\nhello");
    leaver.next_notification("item/agentMessage/delta");
    drop(leaver);
    stayer.next_fitting("idle again", |message| message["params"]["status"]["type"] == "idle");
    let kept = stayer.read(&thread)["turns"].take();
    assert_eq!((&kept[0]["id"], &kept[0]["status"]), (&json!(turn), &json!("completed")));
    assert_eq!(column(&kept[0]["items"], "type"), ["userMessage", "agentMessage"]);
}

/// The snapshot and the events after it fit together: nothing is missing, nothing comes twice.
#[test]
fn resuming_in_the_middle_of_a_turn_has_no_gap_and_no_doublet() {
    let mut server = Server::start(Transport::WebSocket);
    let mut owner = server.client();
    // Far longer than anybody waits for: it is interrupted when enough was heard.
    let endless = format!("slow: 10ms\n{}", "word ".repeat(2000));
    for round in 0..10 {
        let thread = owner.thread();
        let turn = owner.start_turn(&thread, &endless);
        for _ in 0..round {
            owner.next_notification("item/agentMessage/delta");
        }
        let mut joiner = server.client();
        let asked = joiner.send("thread/resume", json!({ "threadId": thread }));
        let snapshot = joiner.answer(&asked).expect("it is resumed")["thread"]["turns"][0].take();
        assert_eq!((&snapshot["id"], &snapshot["status"]), (&json!(turn), &json!("inProgress")));
        for _ in 0..3 {
            joiner.next_notification("item/agentMessage/delta");
        }
        owner.ok("turn/interrupt", json!({ "threadId": thread, "turnId": turn }));
        owner.turn_end(&turn);
        assert_eq!(joiner.turn_end(&turn)["status"], "interrupted");

        let of_turn = |messages: &[Value]| -> Vec<Value> {
            let own = |message: &&Value| message["params"]["turnId"] == turn.as_str();
            messages.iter().filter(own).cloned().collect()
        };
        let all = of_turn(&owner.received());
        let messages = joiner.received();
        let joined = messages.iter().position(|message| message["id"] == asked).expect("the answer");
        assert!(of_turn(&messages[..joined]).is_empty(), "events before the snapshot");
        let live = of_turn(&messages[joined..]);
        assert_eq!(live[..], all[all.len() - live.len()..], "the rest of the turn, whole");

        // What happened before is in the snapshot: items that were started, as far as they had come.
        let before = &all[..all.len() - live.len()];
        let started: Vec<&Value> = before
            .iter()
            .filter(|event| event["method"] == "item/started")
            .map(|event| &event["params"]["item"]["id"])
            .collect();
        let shown: Vec<&Value> =
            snapshot["items"].as_array().expect("items").iter().map(|item| &item["id"]).collect();
        assert_eq!(shown, started, "round {round}");
        let completed = before.iter().filter(|event| event["method"] == "item/completed");
        for item in completed.map(|event| &event["params"]["item"]) {
            assert!(snapshot["items"].as_array().expect("items").contains(item), "{item} is not whole");
        }
        assert_eq!(methods_of(&live).last().map(String::as_str), Some("item/completed"));
    }
}

#[test]
fn nothing_of_a_connection_is_left_when_it_has_gone() {
    let mut server = Server::start(Transport::WebSocket);
    let mut stayer = server.client();
    // With everything that a turn and somebody beside it need.
    let mut bystander = server.client();
    let thread = stayer.thread();
    stayer.turn(&thread, "hello");
    bystander.settle();
    server.settles(&mut stayer);
    server.until_gone("turn-");
    // By number, because a new one has no name yet.
    let (workers, descriptors) = (server.workers().len(), server.descriptors());
    for _ in 0..20 {
        let mut client = server.client();
        let thread = client.thread();
        client.turn(&thread, "hello");
    }
    let mut clients: Vec<_> = (0..8).map(|_| server.client()).collect();
    assert!(server.descriptors() >= descriptors + 8 && server.workers().len() >= workers + 16);
    for client in &mut clients {
        client.settle();
    }
    drop(clients);
    // Each look is an exchange with the server, so there is no waiting in vain; the count says when to give
    // up.
    let all_gone = (0..5000).any(|_| {
        stayer.ok("account/read", json!({}));
        server.workers().len() == workers && server.descriptors() == descriptors
    });
    assert!(
        all_gone,
        "{workers} and {descriptors} became {:?} and {}",
        server.workers(),
        server.descriptors()
    );
    drop((stayer, bystander));
    server.stop();
}
