//! Input that comes when a turn is about to end: it is neither lost nor run twice.

use app_server::limits::TURN_COMMANDS;
use serde_json::{Value, json};

use crate::agenda::words_of;
use crate::support::Transport;
use crate::support::client::{Client, column, said, text};
use crate::support::home::Home;
use crate::support::inside::{Inside, Peer};
use crate::support::mock_model::{Answer, MockModel, Step, completed, created, say};
use crate::support::server::Server;

/// Tries to meet the moment between a turn's last look at its input and its end.
const TRIES: usize = 50;

/// What a user said, of each turn.
fn said_in(thread: &Value) -> Vec<Vec<String>> {
    let turns = thread["turns"].as_array().expect("turns").iter();
    let said = |turn: &Value| {
        let items = turn["items"].as_array().expect("items").iter();
        let said = items.filter(|item| item["type"] == "userMessage");
        said.map(|item| text(&item["content"][0]["text"])).collect()
    };
    turns.map(said).collect()
}

/// Holds a turn where it takes no more input and its end is not written yet: the model's last word comes when
/// the database is locked. Returns the requests that then wait, both with the same words.
fn start_while_it_ends(client: &mut Client, mock: &MockModel, home: &Home, thread: &str) -> [Value; 2] {
    for attempt in 1..=TRIES {
        let mut steps = vec![Step::event(created())];
        steps.extend(say("m", "well").into_iter().map(Step::event));
        steps.extend([Step::Gate, Step::event(completed())]);
        mock.script([Answer::stream(steps)]);
        client.start_turn(thread, "first");
        mock.wait_for_gates(attempt);
        loop {
            if client.next_notification("item/completed")["item"]["type"] == "agentMessage" {
                break;
            }
        }
        let database = rusqlite::Connection::open(home.database()).expect("the database opens");
        database.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
        mock.open_gate();
        client.next_notification("thread/tokenUsage/updated");
        let late = json!({ "threadId": thread, "clientUserMessageId": format!("late {attempt}"),
            "input": said(&format!("late {attempt}")) });
        let asked = [client.send("turn/start", late.clone()), client.send("turn/start", late)];
        // Answered after both, so what is not answered by now waits.
        client.ok("account/read", json!({}));
        let is_answered = client.received().iter().any(|message| message["id"] == asked[0]);
        if !is_answered {
            mock.script([Answer::text("now")]);
            database.execute_batch("COMMIT").expect("it ends");
            return asked;
        }
        // It still looked: it has joined. Once more.
        mock.script([Answer::text("joined")]);
        database.execute_batch("COMMIT").expect("it ends");
        client.next_notification("turn/completed");
    }
    panic!("the moment was not met in {TRIES} tries");
}

#[test]
fn what_comes_when_a_turn_takes_no_more_is_the_next_turn_and_runs_once() {
    let mock = MockModel::start();
    let home = Home::with_config(&mock.config(""));
    let mut server = Server::start_in(Transport::Stdio, &home);
    let mut client = server.client();
    let thread = client.thread();
    let asked = start_while_it_ends(&mut client, &mock, &home, &thread);
    let first = text(&client.next_notification("turn/completed")["turn"]["id"]);
    let [next, again] = asked.map(|id| text(&client.answer(&id).expect("it starts")["turn"]["id"]));
    assert_eq!(next, again, "submitted twice, run once");
    assert_ne!(next, first);
    assert_eq!(client.next_notification("turn/completed")["turn"]["id"], next.as_str());
    let thread = client.read(&thread);
    let turns = said_in(&thread);
    let last = turns.last().expect("turns");
    assert!(last.len() == 1 && last[0].starts_with("late"), "{turns:?}");
    assert_eq!(turns.iter().flatten().filter(|words| *words == &last[0]).count(), 1, "{turns:?}");
    assert_eq!(column(&thread["turns"], "status"), vec!["completed"; turns.len()]);
    server.stop();
}

/// Puts so much into a turn that waits for an answer, and returns how the last one was taken.
fn steer(peer: &mut Peer, thread: &str, turn: &str, count: usize) -> Result<Value, Value> {
    let mut last = Ok(Value::Null);
    for number in 0..count {
        let words = format!("more {number}");
        let rest = json!({ "threadId": thread, "expectedTurnId": turn, "input": said(&words),
            "clientUserMessageId": words });
        last = peer.ask("turn/steer", rest);
    }
    last
}

fn asked(peer: &mut Peer, thread: &str) -> Value {
    peer.hear("item/tool/requestUserInput", thread)
}

#[test]
fn so_much_input_waits_for_a_turn_and_all_of_it_is_taken() {
    let inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    let turn = peer.start_turn(&thread, "ask: Shall I?");
    let question = asked(&mut peer, &thread);
    steer(&mut peer, &thread, &turn, TURN_COMMANDS).expect("there is room");
    let one_more = json!({ "threadId": thread, "input": said("one more") });
    for refused in [
        peer.ask("turn/start", one_more.clone()),
        peer.ask("turn/steer", json!({ "threadId": thread, "expectedTurnId": turn, "input": said("x") })),
    ] {
        assert_eq!(refused.expect_err("there is no room")["code"], -32001);
    }
    peer.answer(&question, json!({ "answers": {} }));
    peer.hear("turn/completed", &thread);
    let words = words_of(&mut peer, &thread);
    assert_eq!(words.len(), 1 + TURN_COMMANDS, "{words:?}");
    assert_eq!(words.last(), Some(&format!("more {}", TURN_COMMANDS - 1)));
    peer.ask("turn/start", one_more).expect("there is room again");
    peer.hear("turn/completed", &thread);
}

#[test]
fn what_was_said_to_an_interrupted_turn_is_kept() {
    let mut inside = Inside::start(&[]);
    let mut peer = inside.connect();
    let thread = peer.start_thread(json!({}));
    let turn = peer.start_turn(&thread, "ask: Shall I?");
    asked(&mut peer, &thread);
    steer(&mut peer, &thread, &turn, /*count*/ 2).expect("it is taken");
    peer.ask("turn/interrupt", json!({ "threadId": thread, "turnId": turn })).expect("it runs");
    let ended = peer.hear("turn/completed", &thread);
    assert_eq!(ended["params"]["turn"]["status"], "interrupted");
    let expected = ["ask: Shall I?", "more 0", "more 1"];
    assert_eq!(words_of(&mut peer, &thread), expected);
    drop(peer);
    inside.restart();
    let mut peer = inside.connect();
    peer.ask("thread/resume", json!({ "threadId": thread })).expect("it is stored");
    let again = json!({ "threadId": thread, "clientUserMessageId": "more 1", "input": said("more 1") });
    let answer = peer.ask("turn/start", again).expect("it is known");
    assert_eq!(answer["turn"]["id"], turn.as_str(), "it was submitted before");
    assert_eq!(words_of(&mut peer, &thread), expected);
}
