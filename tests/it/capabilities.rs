//! What a client says of itself at `initialize`: notifications that it does not want, and the experimental
//! part.

use serde_json::json;

use crate::support::client::methods_of;
use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

over_stdio_and_websocket!(
    notifications_that_a_client_opted_out_of_are_not_sent,
    opting_out_needs_exact_names,
    a_wrong_opt_out_list_fails_initialize,
    experimental_methods_and_fields_need_the_capability,
);

fn notifications_that_a_client_opted_out_of_are_not_sent(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.connect();
    let unwanted = ["item/agentMessage/delta", "thread/status/changed", "turn/started"];
    client.initialize_with(json!({ "optOutNotificationMethods": unwanted }));
    let thread = client.thread();
    client.turn(&thread, "hello");
    let heard = methods_of(&client.received());
    assert!(!heard.iter().any(|method| unwanted.contains(&method.as_str())), "{heard:?}");
    let wanted =
        ["thread/started", "item/started", "item/completed", "thread/tokenUsage/updated", "turn/completed"];
    assert!(wanted.iter().all(|method| heard.contains(&(*method).to_owned())), "{heard:?}");
}

fn opting_out_needs_exact_names(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.connect();
    let inexact = ["item/agentMessage", "item/*", "Turn/Completed", "turn/completed ", "", "no/such"];
    client.initialize_with(json!({ "optOutNotificationMethods": inexact }));
    let thread = client.thread();
    client.turn(&thread, "hello");
    let heard = client.heard();
    for method in ["item/agentMessage/delta", "item/started", "turn/completed"] {
        assert!(heard.contains(&method.to_owned()), "{method} is missing");
    }
}

fn a_wrong_opt_out_list_fails_initialize(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.connect();
    let info = json!({ "name": "x", "version": "1" });
    for wrong in [json!("turn/started"), json!([1]), json!({})] {
        let capabilities = json!({ "optOutNotificationMethods": wrong });
        let params = json!({ "clientInfo": info, "capabilities": capabilities });
        let error = client.refused("initialize", params);
        assert_eq!(error["data"]["reason"], "invalidParams", "{error}");
    }
    assert_eq!(client.refused("thread/list", json!({}))["message"], "Not initialized");
    client.initialize();
}

fn experimental_methods_and_fields_need_the_capability(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.connect();
    client.initialize_with(json!({}));
    let method = client.refused("collaborationMode/list", json!({}));
    assert_eq!(method["message"], "collaborationMode/list requires experimentalApi capability");
    assert_eq!((&method["code"], &method["data"]["reason"]), (&json!(-32600), &json!("experimentalApi")));
    let field = client.refused("thread/start", json!({ "historyMode": "paginated" }));
    assert_eq!(field["message"], "thread/start.historyMode requires experimentalApi capability");
    // A field that is null was not set.
    client.ok("thread/start", json!({ "historyMode": null }));
    // These are open to stable clients.
    let thread = client.thread();
    client.turn(&thread, "hello");
    client.ok("thread/turns/list", json!({ "threadId": thread }));
    client.ok("thread/items/list", json!({ "threadId": thread }));
}

#[test]
fn capabilities_belong_to_the_connection() {
    let mut server = Server::start(Transport::WebSocket);
    let mut able = server.client();
    let mut plain = server.connect();
    plain.initialize_with(json!({ "optOutNotificationMethods": ["thread/started"] }));
    able.ok("collaborationMode/list", json!({}));
    plain.refused("collaborationMode/list", json!({}));
    able.thread();
    plain.settle();
    assert!(plain.heard().is_empty(), "{:?}", plain.heard());
}

#[test]
fn an_experimental_field_is_seen_beside_a_number_that_is_too_large() {
    let mut server = Server::start(Transport::Stdio);
    let mut client = server.connect();
    client.initialize_with(json!({}));
    client.expect_answer_to("raw", "thread/start");
    let params = r#"{ "unknown": 1e999, "historyMode": "paginated" }"#;
    let line = format!("{{ \"id\": \"raw\", \"method\": \"thread/start\", \"params\": {params} }}\n");
    client.send_bytes(line.as_bytes());
    let refused = client.answer(&json!("raw")).expect_err("it is experimental");
    assert_eq!(refused["message"], "thread/start.historyMode requires experimentalApi capability");
}
