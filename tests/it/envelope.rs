//! The envelope: ids, undecodable input, unknown methods, sizes. Nothing that asks for an answer gets none.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::home::Home;
use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

over_stdio_and_websocket!(
    ids_come_back_with_their_type,
    unusable_ids_get_an_error_without_id,
    what_is_no_message_gets_an_error_and_the_connection_lives_on,
    answers_and_notifications_of_clients_are_not_answered,
    an_unknown_method_is_named_alone,
    a_published_method_without_implementation_says_so,
    params_may_be_absent_or_null_where_all_are_optional,
    unknown_keys_are_ignored,
);

/// The same id on requests that are in flight together: each is answered.
fn ids_come_back_with_their_type(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let ids =
        [json!("92"), json!(92), json!(""), json!(-1), json!(i64::MIN), json!(i64::MAX), json!("\u{0}\"\\")];
    for id in &ids {
        client.send_raw(&json!({ "id": id, "method": "account/read" }).to_string());
        client.answer(id).expect("it is granted");
    }
    let twice = json!({ "id": "twice", "method": "thread/list" }).to_string();
    client.send_all(&[twice.clone(), twice]);
    client.wait_until("two answers", |heard| (heard.answers(&json!("twice")).len() == 2).then_some(()));
    server.stop();
}

fn unusable_ids_get_an_error_without_id(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    for id in ["null", "1.5", "true", "{}", "[1]", "9223372036854775808"] {
        let answer = client.refusal_of_raw(&format!(r#"{{"id":{id},"method":"account/read"}}"#));
        assert_eq!(answer["error"]["code"], -32600, "{id}");
        assert_eq!(answer["error"]["data"]["reason"], "invalidId", "{id}");
    }
    lives_on(&mut client);
}

fn what_is_no_message_gets_an_error_and_the_connection_lives_on(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let request = r#"{"id":1000,"method":"account/read"}"#;
    for (text, code, reason) in [
        ("this is not json".to_owned(), -32700, "parseError"),
        (r#"{"id":1000,"method":"account/read""#.to_owned(), -32700, "parseError"),
        (format!("{request} {request}"), -32700, "parseError"),
        (format!("[{request},{request}]"), -32600, "batchUnsupported"),
        ("[]".to_owned(), -32600, "batchUnsupported"),
        ("17".to_owned(), -32600, "invalidParams"),
        ("null".to_owned(), -32600, "invalidParams"),
        ("\"text\"".to_owned(), -32600, "invalidParams"),
        ("{}".to_owned(), -32600, "invalidParams"),
        (r#"{"id":1,"id":2,"method":"account/read"}"#.to_owned(), -32600, "invalidParams"),
        ("[".repeat(100_000), -32700, "parseError"),
    ] {
        let answer = client.refusal_of_raw(&text);
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &Value::Null), "{text:.60}");
        assert_eq!(answer["error"]["data"]["reason"], reason, "{text:.60}");
    }
    lives_on(&mut client);
    server.stop();
}

fn answers_and_notifications_of_clients_are_not_answered(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    client.settle();
    let before = client.received().len();
    for text in [
        r#"{"method":"no/such"}"#,
        r#"{"method":"thread/start","params":{}}"#,
        r#"{"id":5000,"result":{}}"#,
        r#"{"id":"x","error":{"code":1,"message":"no"}}"#,
    ] {
        client.send_raw(text);
    }
    client.settle();
    assert_eq!(client.received().len(), before + 1, "only the answer that settles");
}

fn an_unknown_method_is_named_alone(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let error = client.refused("nope/nope", json!({}));
    assert_eq!(error["message"], "Invalid request: unknown method `nope/nope`");
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32600), &json!("unknownMethod")));
}

fn a_published_method_without_implementation_says_so(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    let error = client.refused("marketplace/add", json!({ "source": "x" }));
    assert_eq!(error["message"], "marketplace/add is not supported by this server");
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32601), &json!("unsupportedMethod")));
}

fn params_may_be_absent_or_null_where_all_are_optional(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    for (number, method) in [
        "account/rateLimits/read",
        "account/read",
        "collaborationMode/list",
        "config/read",
        "configRequirements/read",
        "experimentalFeature/list",
        "hooks/list",
        "mcpServerStatus/list",
        "model/list",
        "modelProvider/list",
        "permissionProfile/list",
        "skills/list",
        "thread/list",
        "thread/loaded/list",
        "thread/start",
    ]
    .iter()
    .enumerate()
    {
        for (form, rest) in [("absent", ""), ("null", r#","params":null"#), ("empty", r#","params":{}"#)] {
            let id = json!(format!("{form}-{number}"));
            client.send_raw(&format!(r#"{{"id":{id},"method":"{method}"{rest}}}"#));
            if let Err(error) = client.answer(&id) {
                panic!("{method} with {form} params: {error}");
            }
        }
    }
    let error = {
        client.send_raw(r#"{"id":"r","method":"thread/read"}"#);
        client.answer(&json!("r")).expect_err("it needs a thread")
    };
    assert_eq!(error["message"], "Invalid request: missing field `threadId`");
}

fn unknown_keys_are_ignored(transport: Transport) {
    let mut server = Server::start(transport);
    let mut client = server.client();
    client.send_raw(r#"{"jsonrpc":"1.0","id":"k","method":"thread/list","params":{"new":1},"later":[]}"#);
    client.answer(&json!("k")).expect("it is granted");
}

#[test]
fn invalid_utf_8_on_stdin_is_an_error_and_not_the_end() {
    let mut server = Server::start(Transport::Stdio);
    let mut client = server.client();
    client.send_bytes(b"{\"id\":1,\"method\":\"\xff\xfe\"}\n");
    let answer = client.refusal_without_id(/*at*/ 0);
    assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32700), &Value::Null));
    lives_on(&mut client);
}

#[test]
fn lines_may_end_with_a_carriage_return_and_empty_ones_ask_for_nothing() {
    let mut server = Server::start(Transport::Stdio);
    let mut client = server.client();
    client.send_raw("{\"id\":\"cr\",\"method\":\"account/read\"}\r");
    client.answer(&json!("cr")).expect("it is granted");
    client.settle();
    let before = client.received().len();
    client.send_bytes(b"\n\r\n  \n");
    client.settle();
    assert_eq!(client.received().len(), before + 1);
}

#[test]
fn a_line_may_come_in_pieces() {
    let mut server = Server::start(Transport::Stdio);
    let mut client = server.client();
    client.expect_answer_to("pieces", "account/read");
    for piece in [&b"{\"id\":"[..], b"\"pieces\",\"me", b"thod\":\"account/read\"}", b"\r", b"\n"] {
        client.send_bytes(piece);
    }
    client.answer(&json!("pieces")).expect("it is granted");
}

#[test]
fn a_line_above_the_limit_is_refused_and_the_next_one_works() {
    let home = Home::new();
    let limit = 65_536;
    let argument = format!("app_server.message_bytes_max={limit}");
    let mut server = Server::start_with(Transport::Stdio, &home, ["-c", &argument]);
    let mut client = server.client();
    let request = |bytes: usize| {
        let empty = json!({ "id": "x", "method": "account/read", "pad": "" }).to_string();
        empty.replace(r#""pad":"""#, &format!(r#""pad":"{}""#, "p".repeat(bytes - empty.len())))
    };
    client.send_raw(&request(limit));
    client.answer(&json!("x")).expect("the largest line is taken");
    for (at, bytes) in [limit + 1, 10 * limit].into_iter().enumerate() {
        client.send_bytes((request(bytes) + "\n").as_bytes());
        let answer = client.refusal_without_id(at);
        assert_eq!(answer["error"]["data"]["reason"], "messageTooLarge");
        let message = answer["error"]["message"].as_str().expect("a text");
        assert!(message.contains("65536"), "{message}");
    }
    lives_on(&mut client);
}

#[test]
fn a_line_of_64_mib_is_taken_and_one_byte_more_is_refused() {
    let mut server = Server::start(Transport::Stdio);
    let mut client = server.client();
    let line = |bytes: usize| {
        let (start, end) = (r#"{"id":"big","method":"account/read","pad":""#, "\"}");
        let mut line = String::with_capacity(bytes + 1);
        line.push_str(start);
        line.extend(std::iter::repeat_n('p', bytes - start.len() - end.len()));
        line.push_str(end);
        line.push('\n');
        line
    };
    let limit = 64 * 1024 * 1024;
    client.expect_answer_to("big", "account/read");
    client.send_bytes(line(limit).as_bytes());
    client.answer(&json!("big")).expect("it is granted");
    client.send_bytes(line(limit + 1).as_bytes());
    let answer = client.refusal_without_id(/*at*/ 0);
    assert_eq!(answer["error"]["data"]["reason"], "messageTooLarge");
    lives_on(&mut client);
}

#[test]
fn a_websocket_message_above_the_limit_closes_the_connection_with_1009() {
    let home = Home::new();
    let arguments = ["-c", "app_server.message_bytes_max=65536"];
    let mut server = Server::start_with(Transport::WebSocket, &home, arguments);
    let mut client = server.client();
    client.send_raw(&format!(r#"{{"method":"x","pad":"{}"}}"#, "p".repeat(65_536)));
    let ended = client.ended();
    assert!(ended.starts_with("closed: 1009 ") && ended.contains("65536"), "{ended}");
    // Others are not concerned.
    lives_on(&mut server.client());
}

#[test]
fn a_websocket_message_that_is_not_utf_8_closes_the_connection_with_1007() {
    let mut server = Server::start(Transport::WebSocket);
    let mut client = server.client();
    // A masked text frame with two bytes that no text has; the mask is zero.
    client.send_bytes(&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe]);
    let ended = client.ended();
    assert!(ended.starts_with("closed: 1007 "), "{ended}");
    lives_on(&mut server.client());
}

fn lives_on(client: &mut Client) {
    client.ok("account/read", json!({}));
}
