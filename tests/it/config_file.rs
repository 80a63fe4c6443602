//! The configuration as clients read and change it.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::home::Home;
use crate::support::process::Launch;
use crate::support::server::Server;
use crate::support::{Transport, over_stdio_and_websocket};

over_stdio_and_websocket!(
    values_are_written_with_what_stands_around_them,
    what_cannot_be_written_changes_nothing
);

const TEXT: &str = "# ours\nmodel_reasoning_effort = \"high\" # for now\n\n[features]\nx = true\n";

fn write(client: &mut Client, key: &str, value: Value) -> Result<Value, Value> {
    let params = json!({ "keyPath": key, "value": value, "mergeStrategy": "replace" });
    client.request("config/value/write", params)
}

fn values_are_written_with_what_stands_around_them(transport: Transport) {
    let home = Home::with_config(TEXT);
    let path = home.path().join("config.toml");
    let text = || std::fs::read_to_string(&path).expect("the file");
    let mut server = Server::start_in(transport, &home);
    let mut client = server.client();
    let read = client.ok("config/read", json!({ "includeLayers": true }));
    assert_eq!(read["config"]["model_reasoning_effort"], "high");
    let layer =
        read["layers"].as_array().expect("layers").iter().find(|layer| layer["name"]["type"] == "user");
    let layer = layer.expect("the file").clone();
    assert_eq!(layer["name"]["file"], path.display().to_string());
    assert_eq!(layer["config"]["features"], json!({ "x": true }));
    assert_eq!(read["origins"]["features.x"]["version"], layer["version"]);

    let written = write(&mut client, "model_reasoning_effort", json!("low")).expect("written");
    assert_eq!(text(), TEXT.replace("high", "low"));
    assert_eq!((&written["status"], &written["overriddenMetadata"]), (&json!("ok"), &Value::Null));
    assert_eq!(written["filePath"], path.display().to_string());
    let read = client.ok("config/read", json!({}));
    assert_eq!((&read["config"]["model_reasoning_effort"], &read["layers"]), (&json!("low"), &Value::Null));
    assert_eq!(read["origins"]["model_reasoning_effort"]["version"], written["version"]);

    // A change of somebody else is not lost.
    let edits = json!([
        { "keyPath": "features", "value": { "y": 1 }, "mergeStrategy": "upsert" },
        { "keyPath": "projects.\"/a.b\".trust_level", "value": "trusted", "mergeStrategy": "replace" },
    ]);
    let stale = json!({ "edits": edits, "expectedVersion": layer["version"] });
    let refused = client.refused("config/batchWrite", stale);
    assert_eq!(refused["data"]["config_write_error_code"], "configVersionConflict");
    let params = json!({ "edits": edits, "expectedVersion": written["version"], "reloadUserConfig": true });
    client.ok("config/batchWrite", params);
    let expected =
        format!("{}y = 1\n\n[projects.\"/a.b\"]\ntrust_level = \"trusted\"\n", TEXT.replace("high", "low"));
    assert_eq!(text(), expected);
    write(&mut client, "features", Value::Null).expect("removed");
    assert!(!text().contains("[features]"), "{}", text());
}

fn what_cannot_be_written_changes_nothing(transport: Transport) {
    let home = Home::with_config(TEXT);
    let path = home.path().join("config.toml");
    let mut server = Server::start_in(transport, &home);
    let mut client = server.client();
    for (key, value, expected) in [
        ("", json!(1), "keyPath must not be empty"),
        ("a..b", json!(1), "keyPath segments must not be empty"),
        ("model_reasoning_effort.x", json!(1), "cannot set value on non-table parent"),
        ("model", json!(5), "Invalid configuration: "),
        ("sandbox_mode", json!("nope"), "Invalid configuration: "),
    ] {
        let refused = write(&mut client, key, value).expect_err(key);
        assert_eq!(
            (&refused["code"], &refused["data"]["config_write_error_code"]),
            (&json!(-32600), &json!("configValidationError"))
        );
        assert!(refused["message"].as_str().is_some_and(|text| text.starts_with(expected)), "{refused}");
    }
    let good = json!({ "keyPath": "model", "value": "m", "mergeStrategy": "replace" });
    let bad = json!({ "keyPath": "model", "value": 5, "mergeStrategy": "replace" });
    client.refused("config/batchWrite", json!({ "edits": [good, bad] }));
    let mut elsewhere = good;
    elsewhere["filePath"] = json!("/somewhere/else.toml");
    let refused = client.refused("config/value/write", elsewhere);
    assert_eq!(refused["data"]["config_write_error_code"], "configLayerReadonly");
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), TEXT);
}

#[test]
fn what_the_command_line_says_counts_more() {
    let home = Home::with_config(TEXT);
    let launch = Launch::new(&home).args(["-c", "model=\"mine\""]);
    let mut server = Server::launch(Transport::Stdio, launch);
    let mut client = server.client();
    let written = write(&mut client, "model", json!("other")).expect("written");
    let overridden = &written["overriddenMetadata"];
    assert_eq!((&written["status"], &overridden["effectiveValue"]), (&json!("okOverridden"), &json!("mine")));
    assert_eq!(overridden["overridingLayer"]["name"], json!({ "type": "sessionFlags" }));
    let read = client.ok("config/read", json!({}));
    assert_eq!(read["config"]["model"], "mine");
    assert_eq!(read["origins"]["model"]["name"]["type"], "sessionFlags");
}
