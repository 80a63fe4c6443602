//! Interfering with a running turn: interrupt, steer, more input.

use serde_json::{Value, json};

use crate::support::client::{Client, column, methods_of, said, text};
use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

over_stdio_and_websocket!(
    an_interrupted_turn_ends_at_once_and_keeps_what_was_said,
    an_interrupt_without_a_turn_id_means_the_running_turn,
    several_interrupts_are_all_answered,
    what_cannot_be_interrupted_or_steered_is_told_why,
    steering_adds_a_message_and_the_model_answers_again,
    a_turn_started_during_a_turn_joins_it,
);

/// Slow enough that nobody waits for its end by mistake.
const SLOW: &str = "slow: 30s\nnever said";

fn an_interrupted_turn_ends_at_once_and_keeps_what_was_said(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    let turn = client.start_turn(&thread, "slow: 1s\nnever said");
    let first = text(&client.next_notification("item/agentMessage/delta")["delta"]);
    let asked = client.send("turn/interrupt", json!({ "threadId": thread, "turnId": turn }));
    assert_eq!(client.answer(&asked), Ok(json!({})));
    let messages = client.all_until("turn/completed");
    let at = |fits: &dyn Fn(&Value) -> bool| messages.iter().position(fits).expect("it was said");
    let answered = at(&|message| message["id"] == asked);
    let partial = at(&|message| message["method"] == "item/completed");
    let idle = at(&|message| message["params"]["status"]["type"] == "idle");
    assert!(answered < idle && partial < idle && idle == messages.len() - 2, "{messages:?}");
    let ended = &messages[messages.len() - 1]["params"]["turn"];
    assert_eq!((&ended["id"], &ended["status"]), (&json!(turn), &json!("interrupted")));
    assert_eq!(ended["error"], Value::Null);

    let kept = client.read(&thread);
    assert_eq!(kept["status"], json!({ "type": "idle" }));
    assert_eq!(kept["turns"][0]["status"], "interrupted");
    let items = &kept["turns"][0]["items"];
    assert_eq!(column(items, "type"), ["userMessage", "agentMessage"]);
    let said = text(&items[1]["text"]);
    assert!(said.starts_with(&first) && !said.contains("never said"), "{said}");
    assert_eq!(messages[partial]["params"]["item"], items[1]);
    // The thread goes on.
    assert_eq!(client.turn(&thread, "again")["status"], "completed");
    server.stop();
}

fn an_interrupt_without_a_turn_id_means_the_running_turn(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    client.send("turn/start", json!({ "threadId": thread, "input": said(SLOW) }));
    // In flight together: the turn is just being started.
    client.ok("turn/interrupt", json!({ "threadId": thread, "turnId": "" }));
    assert_eq!(client.next_notification("turn/completed")["turn"]["status"], "interrupted");
}

fn several_interrupts_are_all_answered(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    let turn = client.start_turn(&thread, SLOW);
    let asked: Vec<Value> = (0..5)
        .map(|_| client.send("turn/interrupt", json!({ "threadId": thread, "turnId": turn })))
        .collect();
    assert_eq!(client.turn_end(&turn)["status"], "interrupted");
    for (number, id) in asked.iter().enumerate() {
        match client.answer(id) {
            Ok(answer) => assert_eq!(answer, json!({})),
            // One that comes after the end.
            Err(error) => assert!(number > 0 && error["message"] == "no active turn to interrupt", "{error}"),
        }
    }
    client.settle();
    let ends = client.heard().iter().filter(|method| *method == "turn/completed").count();
    assert_eq!(ends, 1);
}

fn what_cannot_be_interrupted_or_steered_is_told_why(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    let steer = |client: &mut Client, turn: &str, input: Value| {
        let params = json!({ "threadId": thread, "expectedTurnId": turn, "input": input });
        text(&client.refused("turn/steer", params)["message"])
    };
    let interrupt = |client: &mut Client, turn: &str| {
        text(&client.refused("turn/interrupt", json!({ "threadId": thread, "turnId": turn }))["message"])
    };
    assert_eq!(steer(&mut client, "t", said("x")), "no active turn to steer");
    assert_eq!(interrupt(&mut client, "t"), "no active turn to interrupt");
    assert_eq!(interrupt(&mut client, ""), "no active turn to interrupt");
    let turn = client.start_turn(&thread, SLOW);
    assert_eq!(steer(&mut client, "", said("x")), "expectedTurnId must not be empty");
    assert_eq!(steer(&mut client, &turn, json!([])), "input must not be empty");
    let found = format!("expected active turn id `other` but found `{turn}`");
    assert_eq!(steer(&mut client, "other", said("x")), found);
    assert_eq!(interrupt(&mut client, "other"), format!("expected active turn id other but found {turn}"));
    client.ok("turn/interrupt", json!({ "threadId": thread, "turnId": turn }));
    client.turn_end(&turn);
}

fn steering_adds_a_message_and_the_model_answers_again(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    let turn = client.start_turn(&thread, "slow: 1s\nfirst");
    client.next_notification("item/agentMessage/delta");
    let params = json!({ "threadId": thread, "expectedTurnId": turn, "input": said("second"),
        "clientUserMessageId": "mine" });
    assert_eq!(client.ok("turn/steer", params), json!({ "turnId": turn }));
    assert_eq!(client.turn_end(&turn)["status"], "completed");
    let kept = client.read(&thread);
    assert_eq!(kept["turns"].as_array().map(Vec::len), Some(1));
    let items = &kept["turns"][0]["items"];
    assert_eq!(column(items, "type"), ["userMessage", "agentMessage", "userMessage", "agentMessage"]);
    assert_eq!((&items[2]["content"][0]["text"], &items[2]["clientId"]), (&json!("second"), &json!("mine")));
    assert!(text(&items[3]["text"]).ends_with("You said: second"), "{items}");
}

fn a_turn_started_during_a_turn_joins_it(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    let turn = client.start_turn(&thread, "slow: 1s\nfirst");
    client.next_notification("item/agentMessage/delta");
    assert_eq!(client.start_turn(&thread, "second"), turn);
    client.turn_end(&turn);
    client.settle();
    let heard = methods_of(&client.received());
    assert_eq!(heard.iter().filter(|method| *method == "turn/started").count(), 1);
    let items = client.read(&thread)["turns"][0]["items"].take();
    assert_eq!(column(&items, "type"), ["userMessage", "agentMessage", "userMessage", "agentMessage"]);
}

/// However a second `turn/start` meets the end of the first turn, both are answered and both inputs are kept.
#[test]
fn a_turn_started_at_the_end_of_a_turn_is_never_lost() {
    let mut server = Server::start(Transport::Stdio);
    let mut client = server.client();
    for round in 0..40 {
        let thread = client.thread();
        client.start_turn(&thread, "first");
        // Another moment of the running turn each time: after so many of its words.
        for _ in 0..round % 18 {
            let heard = client.next_fitting("a word or the end", |message| {
                ["item/agentMessage/delta", "turn/completed"]
                    .iter()
                    .any(|method| message["method"] == *method)
            });
            if heard["method"] == "turn/completed" {
                break;
            }
        }
        let second = client.start_turn(&thread, "second");
        // It may have ended before the answer was looked at.
        client.wait_until("the end of the second turn", |heard| {
            let ended = |message: &Value| {
                message["method"] == "turn/completed" && message["params"]["turn"]["id"] == second.as_str()
            };
            heard.received.iter().any(ended).then_some(())
        });
        let turns = client.read(&thread)["turns"].take();
        let items: Vec<Value> = turns
            .as_array()
            .expect("turns")
            .iter()
            .flat_map(|turn| turn["items"].as_array().cloned())
            .flatten()
            .collect();
        // The second message may have come before the model had said a word.
        let kinds = column(&Value::from(items), "type");
        let users = kinds.iter().filter(|kind| *kind == "userMessage").count();
        assert_eq!(users, 2, "round {round}: {kinds:?}");
        assert_eq!(kinds.last().map(String::as_str), Some("agentMessage"), "round {round}: {kinds:?}");
        client.settle();
    }
}
