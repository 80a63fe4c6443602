//! Plan mode: what the model proposes between its two lines is an item of its own.

use serde_json::{Value, json};

use crate::support::client::{column, said, text};
use crate::support::home::Home;
use crate::support::mock_model::{Answer, MockModel, Step, completed, created, say};
use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

over_stdio_and_websocket!(a_proposed_plan_is_an_item_of_its_own, a_message_may_be_nothing_but_a_plan);

fn mode(mode: &str) -> Value {
    json!({ "mode": mode, "settings": { "model": "offline", "reasoning_effort": null,
        "developer_instructions": null } })
}

fn a_proposed_plan_is_an_item_of_its_own(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let thread = client.thread();
    let input = said("propose: look; leap");
    let planned = client
        .ok("turn/start", json!({ "threadId": thread, "input": input, "collaborationMode": mode("plan") }));
    let turn = text(&planned["turn"]["id"]);
    let plan = format!("{turn}-plan");
    let messages = client.all_until("turn/completed");
    let of = |method: &str, key: &str| -> Vec<String> {
        let told = messages.iter().filter(|message| message["method"] == method);
        told.map(|message| text(&message["params"][key])).collect()
    };
    assert_eq!(of("item/plan/delta", "delta").concat(), "- look\n- leap\n");
    assert!(of("item/plan/delta", "itemId").iter().all(|id| *id == plan));
    let words = of("item/agentMessage/delta", "delta").concat();
    assert!(words.starts_with("This is the offline model") && !words.contains("proposed_plan"), "{words}");
    let items = |method: &str| -> Vec<Value> {
        let told = messages.iter().filter(|message| message["method"] == method);
        told.map(|message| message["params"]["item"].clone()).collect()
    };
    assert_eq!(column(&json!(items("item/started")), "type"), ["userMessage", "agentMessage", "plan"]);
    let ended = items("item/completed");
    assert_eq!(column(&json!(ended), "type"), ["userMessage", "plan", "agentMessage"]);
    assert_eq!((&ended[1]["id"], &ended[1]["text"]), (&json!(plan), &json!("- look\n- leap\n")));
    assert_eq!(ended[2]["text"], words);
    let kept = client.read(&thread)["turns"][0]["items"].take();
    assert!(ended.iter().all(|item| kept.as_array().expect("items").contains(item)), "{kept}");
    // The mode stays until it is changed; without it the lines are words like others.
    client.turn(&thread, "propose: again");
    let usual = json!({ "threadId": thread, "input": input, "collaborationMode": mode("default") });
    client.ok("turn/start", usual);
    let summary = client.next_notification("turn/completed")["turn"]["items"][0].take();
    assert!(text(&summary["text"]).contains("<proposed_plan>\n- look\n"), "{summary}");
    let turns = client.read(&thread)["turns"].take();
    assert_eq!(column(&turns[1]["items"], "type"), ["userMessage", "plan", "agentMessage"]);
    assert_eq!(column(&turns[2]["items"], "type"), ["userMessage", "agentMessage"]);
    server.stop();
}

fn a_message_may_be_nothing_but_a_plan(transport: Transport) {
    let plan = "\n<proposed_plan>\n1. look\n</proposed_plan>\n";
    let whole = json!({ "type": "message", "id": "m2", "role": "assistant",
        "content": [{ "type": "output_text", "text": plan }] });
    let answers = [
        Answer::response(say("m1", plan)),
        // And with no delta.
        Answer::response([json!({ "type": "response.output_item.done", "item": whole })]),
        Answer::text("well"),
    ];
    let mock = MockModel::with_script(answers);
    let home = Home::with_config(&mock.config(""));
    let mut server = Server::start_in(transport, &home);
    let mut client = server.client();
    let thread = client.thread();
    for _ in 0..2 {
        let start =
            json!({ "threadId": thread, "input": said("plan it"), "collaborationMode": mode("plan") });
        client.ok("turn/start", start);
        assert_eq!(client.next_notification("turn/completed")["turn"]["items"], json!([]));
    }
    let turns = client.read(&thread)["turns"].take();
    for at in 0..2 {
        assert_eq!(column(&turns[at]["items"], "type"), ["userMessage", "plan"]);
        assert_eq!(turns[at]["items"][1]["text"], "1. look\n");
    }
    // The model hears its own words as it said them.
    client.turn(&thread, "go");
    let asked = &mock.wait_for_requests(/*count*/ 3)[2].body["input"];
    let own: Vec<&Value> =
        asked.as_array().expect("input").iter().filter(|entry| entry["role"] == "assistant").collect();
    assert!(own.len() == 2 && own.iter().all(|entry| entry["content"][0]["text"] == plan), "{asked}");
    server.stop();
}

#[test]
fn who_comes_in_the_middle_of_a_plan_sees_it_so_far() {
    let mut steps = vec![Step::event(created())];
    let mut words = say("m1", "<proposed_plan>\nfirst second\n</proposed_plan>").into_iter().map(Step::event);
    // The item's begin, and the words up to the first blank.
    steps.extend(words.by_ref().take(2));
    steps.push(Step::Gate);
    steps.extend(words);
    steps.push(Step::event(completed()));
    let mock = MockModel::with_script([Answer::stream(steps)]);
    let home = Home::with_config(&mock.config(""));
    let mut server = Server::start_in(Transport::WebSocket, &home);
    let mut client = server.client();
    let thread = client.thread();
    let start = json!({ "threadId": thread, "input": said("plan"), "collaborationMode": mode("plan") });
    client.ok("turn/start", start);
    assert_eq!(client.next_notification("item/plan/delta")["delta"], "first ");
    let mut late = server.client();
    let resumed = late.ok("thread/resume", json!({ "threadId": thread }));
    let items = &resumed["thread"]["turns"][0]["items"];
    assert_eq!(column(items, "type"), ["userMessage", "plan"]);
    assert_eq!(items[1]["text"], "first ");
    mock.open_gate();
    assert_eq!(late.next_notification("item/plan/delta")["delta"], "second\n");
    assert_eq!(late.next_notification("item/completed")["item"]["text"], "first second\n");
    late.next_notification("turn/completed");
    server.stop();
}
