//! Requests to clients from end to end: a prompt makes the offline model ask, and clients of the real binary
//! answer.

use serde_json::{Value, json};

use crate::support::Transport;
use crate::support::client::{Client, text};
use crate::support::server::Server;

const INPUT: &str = "item/tool/requestUserInput";
const CALL: &str = "item/tool/call";

fn request(client: &mut Client, method: &str) -> Value {
    client.next_fitting(method, |message| message["method"] == method)
}

fn answer(client: &mut Client, request: &Value, result: &Value) {
    client.send_raw(&json!({ "id": request["id"], "result": result }).to_string());
}

fn settled(client: &mut Client, request: &Value) {
    let resolved = client.next_notification("serverRequest/resolved");
    assert_eq!(resolved["requestId"], request["id"]);
}

#[test]
fn of_two_clients_the_first_to_answer_decides() {
    let mut server = Server::start(Transport::WebSocket);
    let (mut first, mut second) = (server.client(), server.client());
    let thread = first.thread();
    second.ok("thread/resume", json!({ "threadId": thread }));
    let turn = first.start_turn(&thread, "ask: Which one? | this | that");
    let asked = request(&mut first, INPUT);
    assert_eq!(request(&mut second, INPUT), asked, "one id, one message");
    let id = text(&asked["params"]["questions"][0]["id"]);
    answer(&mut second, &asked, &json!({ "answers": { id.clone(): { "answers": ["that"] } } }));
    settled(&mut second, &asked);
    answer(&mut first, &asked, &json!({ "answers": { id: { "answers": ["this"] } } }));
    settled(&mut first, &asked);
    let ended = first.turn_end(&turn);
    assert_eq!(ended["status"], "completed");
    let said = text(&ended["items"][0]["text"]);
    assert!(said.contains("that") && !said.contains(r#"["this"]"#), "{said}");
    drop((first, second));
    server.stop();
}

#[test]
fn a_request_outlives_its_client_and_is_replayed_to_the_next() {
    let mut server = Server::start(Transport::WebSocket);
    let mut first = server.client();
    let thread = first.thread();
    first.start_turn(&thread, "ask: Which one? | this | that");
    let asked = request(&mut first, INPUT);
    drop(first);
    let mut second = server.client();
    let resumed = second.ok("thread/resume", json!({ "threadId": thread }));
    assert_eq!(resumed["thread"]["status"]["activeFlags"], json!(["waitingOnUserInput"]));
    assert_eq!(request(&mut second, INPUT), asked);
    answer(&mut second, &asked, &json!({ "answers": {} }));
    settled(&mut second, &asked);
    assert_eq!(second.next_notification("turn/completed")["turn"]["status"], "completed");
    drop(second);
    server.stop();
}

/// A thread whose client carries out a tool, on any transport.
fn carries_out_a_tool(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let tool =
        json!({ "name": "lookup", "description": "Look a thing up", "inputSchema": { "type": "object" } });
    let thread = client.thread_with(json!({ "dynamicTools": [tool] }));
    let turn = client.start_turn(&thread, r#"call: lookup {"key": "k"}"#);
    let call = request(&mut client, CALL);
    assert_eq!(
        (&call["params"]["tool"], &call["params"]["arguments"]),
        (&json!("lookup"), &json!({ "key": "k" }))
    );
    let output = json!([{ "type": "inputText", "text": "value 42" }]);
    answer(&mut client, &call, &json!({ "success": true, "contentItems": output }));
    let item = client.next_fitting("the item", |message| {
        message["method"] == "item/completed" && message["params"]["item"]["type"] == "dynamicToolCall"
    });
    assert_eq!(item["params"]["item"]["contentItems"], output);
    let ended = client.turn_end(&turn);
    assert!(text(&ended["items"][0]["text"]).contains("value 42"));
    // What the client brought along is there in the next turn as well, and an interrupt ends its call.
    let turn = client.start_turn(&thread, "call: lookup {}");
    let call = request(&mut client, CALL);
    client.ok("turn/interrupt", json!({ "threadId": thread, "turnId": turn }));
    assert_eq!(client.turn_end(&turn)["status"], "interrupted");
    settled(&mut client, &call);
    client.close_input();
    drop(client);
    server.stop();
}

#[test]
fn a_client_carries_out_a_tool_over_stdio() {
    carries_out_a_tool(Transport::Stdio);
}

#[test]
fn a_client_carries_out_a_tool_over_websocket() {
    carries_out_a_tool(Transport::WebSocket);
}

#[test]
fn the_end_of_input_does_not_leave_a_turn_that_asks_hanging() {
    let mut server = Server::start(Transport::Stdio);
    let mut client = server.client();
    let thread = client.thread();
    client.start_turn(&thread, "ask: Which one? | this | that");
    let asked = request(&mut client, INPUT);
    client.close_input();
    settled(&mut client, &asked);
    assert_eq!(client.next_notification("turn/completed")["turn"]["status"], "completed");
    drop(client);
    server.stop();
}
