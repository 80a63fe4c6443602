//! Model providers that do not answer: the turn fails visibly, and the next one works.

use serde_json::{Value, json};

use crate::support::client::{column, methods_of, text};
use crate::support::home::Home;
use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

over_stdio_and_websocket!(a_provider_that_cannot_be_reached_fails_the_turn, an_unknown_provider_is_refused,);

/// Nobody listens on port 9.
const CONFIG: &str = r#"
    model_provider = "x"
    model = "some-model"
    [model_providers.x]
    name = "X"
    base_url = "http://127.0.0.1:9/v1"
    wire_api = "responses"
    request_max_retries = 0
    stream_max_retries = 0
"#;

fn a_provider_that_cannot_be_reached_fails_the_turn(transport: Transport) {
    let home = Home::with_config(CONFIG);
    let mut server = Server::start_in(transport, &home);
    let mut client = server.client();
    let thread = client.thread();
    client.settle();
    client.start_turn(&thread, "hello");
    let messages = client.all_until("turn/completed");
    let methods = methods_of(&messages);
    let [.., status, error, read_state, completed] = messages.as_slice() else { panic!("{methods:?}") };
    assert_eq!(read_state["method"], "thread/readState/changed", "{methods:?}");
    assert_eq!(status["params"]["status"], json!({ "type": "systemError" }), "{methods:?}");
    assert_eq!((&error["method"], &error["params"]["willRetry"]), (&json!("error"), &json!(false)));
    let turn = &completed["params"]["turn"];
    assert_eq!((&turn["status"], &turn["error"]), (&json!("failed"), &error["params"]["error"]));
    assert!(!text(&turn["error"]["message"]).is_empty());
    let kept = client.read(&thread);
    assert_eq!(kept["status"], json!({ "type": "systemError" }));
    assert_eq!((&kept["turns"][0]["status"], &kept["turns"][0]["error"]), (&json!("failed"), &turn["error"]));

    // Neither this thread nor the next is lost.
    let again = client.start_turn(&thread, "again");
    assert_eq!(client.turn_end(&again)["status"], "failed");
    let offline = client.thread_with(json!({ "modelProvider": "offline", "model": "offline" }));
    assert_eq!(client.turn(&offline, "hello")["status"], "completed");
    drop(client);
    server.stop();

    let mut server = Server::start_in(transport, &home);
    let failed = server.client().read(&thread);
    assert_eq!(failed["turns"][0], kept["turns"][0]);
}

fn an_unknown_provider_is_refused(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let outcome = client.request("thread/start", json!({ "modelProvider": "nobody" }));
    let error: Value = match outcome {
        Err(error) => error,
        // A thread may be made; then its turn says what is wrong.
        Ok(started) => {
            let thread = text(&started["thread"]["id"]);
            let ended = client.turn(&thread, "hello");
            assert_eq!(ended["status"], "failed");
            ended["error"].clone()
        }
    };
    assert!(text(&error["message"]).contains("nobody"), "{error}");
    let thread = client.thread();
    assert_eq!(client.turn(&thread, "hello")["status"], "completed");
}

#[test]
fn the_built_in_providers_are_listed_and_known() {
    let mut server = Server::start(Transport::Stdio);
    let mut client = server.client();
    let list = client.ok("modelProvider/list", json!({}));
    assert_eq!(column(&list["data"], "id"), ["openai", "offline"]);
    assert_eq!(list["data"][0]["settings"], json!({ "type": "openai" }));
    client.ok("thread/start", json!({ "modelProvider": "openai" }));
    let refused = client.refused("thread/start", json!({ "modelProvider": "nobody" }));
    assert!(refused["message"].as_str().is_some_and(|text| text.contains("offline, openai")), "{refused}");
    server.stop();

    // One that the configuration has is there once, under its own name.
    let config = "[model_providers.openai]\nname = 'Ours'\nbase_url = 'http://127.0.0.1:9/v1'\n";
    let mut server = Server::start_in(Transport::Stdio, &Home::with_config(config));
    let mut client = server.client();
    let list = client.ok("modelProvider/list", json!({}));
    assert_eq!(column(&list["data"], "name"), ["Ours", "Built-in offline model"]);
    assert_eq!(list["data"][0]["settings"], json!({ "type": "openai" }));
    server.stop();
}
