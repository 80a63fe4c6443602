//! Reviews: in a thread, and apart from it in a new one.

use serde_json::{Value, json};

use crate::support::client::{Client, column, said, text};
use crate::support::home::Home;
use crate::support::mock_model::{Answer, MockModel};
use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

over_stdio_and_websocket!(
    a_review_is_a_turn_of_its_thread,
    a_detached_review_runs_in_a_thread_of_its_own,
    what_is_only_in_memory_is_reviewed_in_place,
);

fn review(thread: &str, delivery: &str) -> Value {
    json!({ "threadId": thread, "target": { "type": "custom", "instructions": "look at it" },
        "delivery": delivery })
}

/// Kinds of the items of each turn.
fn kinds(client: &mut Client, thread: &str) -> Vec<Vec<String>> {
    let read = client.read(thread);
    read["turns"].as_array().expect("turns").iter().map(|turn| column(&turn["items"], "type")).collect()
}

const TALK: [&str; 2] = ["userMessage", "agentMessage"];
const REVIEW: [&str; 4] = ["enteredReviewMode", "userMessage", "agentMessage", "exitedReviewMode"];

fn a_review_is_a_turn_of_its_thread(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    let started = client.ok("review/start", review(&thread, "inline"));
    assert_eq!(started["reviewThreadId"], thread);
    assert_eq!(client.turn_end(&text(&started["turn"]["id"]))["status"], "completed");
    assert_eq!(kinds(&mut client, &thread), [REVIEW.to_vec()]);
    // One at a time.
    client.start_turn(&thread, "slow: 30s\nnever said");
    client.refused("review/start", review(&thread, "inline"));
    client.ok("turn/interrupt", json!({ "threadId": thread, "turnId": "" }));
    client.next_notification("turn/completed");
    server.stop();
}

fn a_detached_review_runs_in_a_thread_of_its_own(transport: Transport) {
    let mock = MockModel::with_script([Answer::text("well"), Answer::text("two bugs")]);
    let home = Home::with_config(&mock.config(""));
    let mut server = Server::start_in(transport, &home);
    let mut client = server.client();
    let thread = client.thread();
    client.turn(&thread, "the wish");
    client.settle();
    let asked = client.send("review/start", review(&thread, "detached"));
    let answer = client.answer(&asked).expect("it is granted");
    let (apart, turn) = (text(&answer["reviewThreadId"]), text(&answer["turn"]["id"]));
    assert_ne!(apart, thread);
    let messages = client.all_until("turn/completed");
    let at = |fits: &dyn Fn(&Value) -> bool| messages.iter().position(fits).expect("it was said");
    let told = at(&|message| message["method"] == "thread/started");
    let answered = at(&|message| message["id"] == asked);
    let began = at(&|message| message["method"] == "turn/started");
    assert!(told < answered && answered < began, "{messages:?}");
    let shown = &messages[told]["params"]["thread"];
    assert_eq!((&shown["id"], &shown["forkedFromId"]), (&json!(apart), &json!(thread)));
    // All of it is told of the new thread, to whom asked for it.
    for message in messages.iter().filter(|message| message["params"]["turnId"].is_string()) {
        let params = &message["params"];
        assert_eq!((&params["threadId"], &params["turnId"]), (&json!(apart), &json!(turn)), "{message}");
    }
    let left = messages.iter().rfind(|message| message["params"]["item"]["type"] == "exitedReviewMode");
    assert_eq!(left.expect("it ends")["params"]["item"]["review"], "two bugs");
    assert_eq!(kinds(&mut client, &thread), [TALK.to_vec()]);
    assert_eq!(kinds(&mut client, &apart), [TALK.to_vec(), REVIEW.to_vec()]);
    // The reviewer knows what was said before.
    let seen = mock.wait_for_requests(/*count*/ 2)[1].body["input"].to_string();
    assert!(seen.contains("the wish") && seen.contains("well") && seen.contains("look at it"), "{seen}");

    // Also beside a turn that runs, which it does not disturb; and the new thread is one like others.
    mock.script([Answer::text("never said").slow(std::time::Duration::from_secs(30)), Answer::text("fine")]);
    let running = client.start_turn(&thread, "slowly");
    mock.wait_for_requests(/*count*/ 3);
    let second = client.ok("review/start", review(&thread, "detached"));
    client.turn_end(&text(&second["turn"]["id"]));
    let second = text(&second["reviewThreadId"]);
    assert_eq!(kinds(&mut client, &second), [TALK.to_vec(), vec!["userMessage"], REVIEW.to_vec()]);
    client.ok("turn/interrupt", json!({ "threadId": thread, "turnId": running }));
    assert_eq!(client.turn_end(&running)["status"], "interrupted");
    mock.script([Answer::text("more")]);
    client.turn(&second, "go on");
    server.stop();
}

fn what_is_only_in_memory_is_reviewed_in_place(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread_with(json!({ "ephemeral": true }));
    let refused = client.refused("review/start", review(&thread, "detached"));
    assert!(text(&refused["message"]).contains("only in memory"), "{refused}");
    let nobody = "01a1f96b-c90c-7c73-ab17-19f87c56a4b7";
    client.refused("review/start", review(nobody, "detached"));
    client.ok("turn/start", json!({ "threadId": thread, "input": said("well") }));
    client.next_notification("turn/completed");
    server.stop();
}
