//! Signing in with an API key: where it is kept, who uses it, who hears of it, and who never sees it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::home::Home;
use crate::support::mock_model::{Answer, MockModel, refusing_url};
use crate::support::process::Launch;
use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

over_stdio_and_websocket!(a_key_is_kept_used_and_forgotten, other_ways_to_sign_in_are_refused,);

const KEY: &str = "sk-a-key-that-nobody-else-may-see";

fn key_file(home: &Home) -> PathBuf {
    home.path().join("app-server/api-key")
}

fn account(client: &mut Client) -> Value {
    client.ok("account/read", json!({}))["account"].clone()
}

fn sign_in(client: &mut Client) {
    let answer = client.ok("account/login/start", json!({ "type": "apiKey", "apiKey": format!(" {KEY}\n") }));
    assert_eq!(answer, json!({ "type": "apiKey" }));
}

fn a_key_is_kept_used_and_forgotten(transport: Transport) {
    let mock = MockModel::with_script([Answer::text("one"), Answer::text("two"), Answer::text("three")]);
    let home = Home::with_config(&mock.config(""));
    let launch = || Launch::new(&home).env("RUST_LOG", "trace");
    let mut server = Server::launch(transport, launch());
    let mut client = server.client();
    assert_eq!(account(&mut client), Value::Null);
    let thread = client.thread();
    assert_eq!(client.turn(&thread, "without a key")["status"], "completed");

    sign_in(&mut client);
    let completed = client.next_notification("account/login/completed");
    let told = json!({ "loginId": null, "success": true, "error": null, "onboardingEntrypoint": null });
    assert_eq!(completed, told);
    let updated = client.next_notification("account/updated");
    assert_eq!(updated, json!({ "authMode": "apikey", "planType": null }));
    assert_eq!(account(&mut client), json!({ "type": "apiKey" }));
    let mode = std::fs::metadata(key_file(&home)).expect("the key's file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(client.turn(&thread, "with the key")["status"], "completed");

    // Another process finds it.
    client.ok("config/read", json!({}));
    let heard = client.heard_texts().concat();
    server.says("the sign-in", |line| line.contains("account/login/start").then_some(()));
    let said = server.said();
    server.stop_or_close(client);
    let mut server = Server::launch(transport, launch());
    let mut client = server.client();
    assert_eq!(account(&mut client), json!({ "type": "apiKey" }));
    assert_eq!(client.ok("account/logout", json!({})), json!({}));
    let updated = client.next_notification("account/updated");
    assert_eq!(updated, json!({ "authMode": null, "planType": null }));
    assert_eq!(account(&mut client), Value::Null);
    assert!(!key_file(&home).exists());
    assert_eq!(client.ok("account/logout", json!({})), json!({}));
    let thread = client.thread();
    assert_eq!(client.turn(&thread, "without a key again")["status"], "completed");

    let seen = mock.seen();
    let sent: Vec<_> = seen.iter().map(|seen| seen.header("authorization").map(str::to_owned)).collect();
    assert_eq!(sent, [None, Some(format!("Bearer {KEY}")), None]);
    let seen_by_others = [said, server.said(), heard, client.heard_texts().concat()];
    assert!(seen_by_others[0].contains("account/login/start"), "the log is there");
    assert!(seen_by_others.iter().all(|text| !text.contains(KEY)), "the key was shown");
    server.stop_or_close(client);
}

fn other_ways_to_sign_in_are_refused(transport: Transport) {
    let home = Home::new();
    let mut server = Server::start_in(transport, &home);
    let mut client = server.client();
    for params in [
        json!({ "type": "chatgpt" }),
        json!({ "type": "chatgptDeviceCode" }),
        json!({ "type": "chatgptAuthTokens", "accessToken": "x", "chatgptAccountId": "y" }),
        json!({ "type": "amazonBedrock", "apiKey": "x", "region": "y" }),
        json!({ "type": "amazonBedrockAccessKeys", "accessKeyId": "x", "secretAccessKey": "", "region": "" }),
    ] {
        let error = client.refused("account/login/start", params);
        assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32600), &json!("unsupportedMethod")));
        assert!(error["message"].as_str().is_some_and(|text| text.contains("not supported here")), "{error}");
    }
    for bad in ["", "  ", "two words", &"k".repeat(app_server::limits::API_KEY_BYTES_MAX + 1)] {
        let error = client.refused("account/login/start", json!({ "type": "apiKey", "apiKey": bad }));
        assert_eq!(error["data"]["reason"], "invalidParams");
    }
    assert_eq!(client.ok("account/login/cancel", json!({ "loginId": "x" })), json!({ "status": "notFound" }));
    assert_eq!(account(&mut client), Value::Null);
    server.stop_or_close(client);
}

#[test]
fn a_key_of_the_provider_comes_before_the_one_of_a_client() {
    let mock = MockModel::with_script([Answer::text("one"), Answer::error(/*status*/ 401, "invalid", KEY)]);
    let home = Home::with_config(&mock.config("env_key = 'OWN_KEY'"));
    let launch = |home| Launch::new(home).env("OWN_KEY", "sk-the-provider's-own");
    let mut server = Server::launch(Transport::Stdio, launch(&home));
    let mut client = server.client();
    sign_in(&mut client);
    let thread = client.thread();
    assert_eq!(client.turn(&thread, "hello")["status"], "completed");
    assert_eq!(mock.seen()[0].header("authorization"), Some("Bearer sk-the-provider's-own"));
    server.stop_or_close(client);

    // A provider that repeats the key in its refusal does not bring it to clients.
    let other = Home::with_config(&mock.config(""));
    let mut server = Server::start_in(Transport::Stdio, &other);
    let mut client = server.client();
    sign_in(&mut client);
    let thread = client.thread();
    let failed = client.turn(&thread, "hello");
    assert_eq!(failed["status"], "failed");
    let shown = client.heard_texts().concat();
    assert!(shown.contains("account/login/start") && !shown.contains(KEY), "{failed}");
    server.stop_or_close(client);
}

#[test]
fn openai_asks_for_a_key_and_takes_the_one_of_a_client() {
    let openai = format!(
        "model = 'm'\nmodel_provider = 'openai'\n[model_providers.openai]\nname = 'O'\nbase_url = '{}'\n\
         request_max_retries = 0\nstream_max_retries = 0\n",
        refusing_url()
    );
    let home = Home::with_config(&openai);
    let mut server = Server::launch(Transport::Stdio, Launch::new(&home).env("OPENAI_API_KEY", ""));
    let mut client = server.client();
    let thread = client.thread();
    let failed = client.turn(&thread, "hello");
    let message = failed["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("`OPENAI_API_KEY`") && message.contains("account/login/start"), "{failed}");
    sign_in(&mut client);
    let thread = client.thread();
    let failed = client.turn(&thread, "hello");
    let message = failed["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(!message.contains("OPENAI_API_KEY") && !message.is_empty(), "it was asked now: {failed}");
    server.stop_or_close(client);
}
