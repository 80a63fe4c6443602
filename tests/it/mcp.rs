//! MCP servers: started when needed, listed, called; what one of them does wrong costs its own calls only.

use std::path::Path;
use std::sync::Arc;

use app_server::limits::{MCP_MESSAGE_BYTES_MAX, MCP_REQUESTS_MAX};
use serde_json::{Value, json};

use crate::mcp_server::{MODE, table};
use crate::support::client::{Client, column};
use crate::support::home::Home;
use crate::support::process::Launch;
use crate::support::server::Server;
use crate::support::{PATIENCE, Transport, over_stdio_and_websocket};

over_stdio_and_websocket!(
    servers_are_started_when_needed_and_listed,
    tools_are_called_and_resources_read,
    a_server_that_hangs_costs_its_own_calls_only,
    a_server_that_dies_is_started_again,
    a_reload_takes_the_configuration_as_it_is_now,
    what_a_server_asks_is_answered_in_a_turn_and_declined_elsewhere,
);

/// A call in the name of a thread; the text of the answer.
fn call(client: &mut Client, thread: &str, tool: &str, arguments: &Value) -> Result<String, String> {
    let params = params(thread, tool, arguments);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    match client.request("mcpServer/tool/call", params) {
        Ok(answer) => Ok(text(&answer["content"][0]["text"])),
        Err(error) => Err(text(&error["message"])),
    }
}

fn params(thread: &str, tool: &str, arguments: &Value) -> Value {
    json!({ "threadId": thread, "server": "usual", "tool": tool, "arguments": arguments })
}

fn with(transport: Transport, config: &str) -> (Server, Client, Arc<Home>) {
    let home = Home::with_config(config);
    let mut server = Server::start_in(transport, &home);
    let client = server.client();
    (server, client, home)
}

/// The next start of a server that ended, one way or the other.
fn start_of(client: &mut Client, name: &str) -> Value {
    let message = client.next_fitting("the end of a start", |message| {
        message["method"] == "mcpServer/startupStatus/updated"
            && message["params"]["name"] == name
            && message["params"]["status"] != "starting"
    });
    message["params"].clone()
}

fn servers_are_started_when_needed_and_listed(transport: Transport) {
    let config = table("usual", "usual", "disabled_tools = [\"fail\"]")
        + &table("silent", "silent", "startup_timeout_sec = 0.3")
        + &table("dies", "dies", "")
        + &table("off", "usual", "enabled = false")
        + "[mcp_servers.missing]\ncommand = \"/no/such/program\"\n";
    let (server, mut client, _home) = with(transport, &config);
    assert!(!client.heard().contains(&"mcpServer/startupStatus/updated".to_owned()), "nobody needed them");
    assert!(!server.workers().iter().any(|worker| worker.starts_with("mcp")), "{:?}", server.workers());

    let list = client.ok("mcpServerStatus/list", json!({}));
    let servers = list["data"].as_array().expect("a list");
    assert_eq!(column(&list["data"], "name"), ["dies", "missing", "off", "silent", "usual"]);
    let states: Vec<&Value> = servers.iter().map(|server| &server["runtimeStatus"]).collect();
    assert_eq!(states, ["failed", "failed", "disabled", "failed", "connected"]);
    let error = |at: usize| servers[at]["toolsError"].as_str().unwrap_or_default();
    assert!(error(0).contains("it ended with exit code 3"), "{}", error(0));
    assert!(error(1).contains("it cannot be started: No such file or directory"), "{}", error(1));
    assert!(error(3).contains("no answer to `initialize` within 0.3 seconds"), "{}", error(3));
    let usual = &servers[4];
    assert_eq!(usual["serverInfo"]["name"], "test server");
    assert_eq!(usual["serverCapabilities"]["tools"]["listChanged"], true);
    let tools: Vec<&String> = usual["tools"].as_object().expect("tools").keys().collect();
    assert_eq!(tools, ["ask", "die", "echo", "env", "flood", "grow", "hang", "pester", "spawn", "wonder"]);
    assert_eq!(usual["tools"]["echo"]["description"], "does echo");
    assert_eq!(
        (&usual["resources"][0]["uri"], &usual["authStatus"]),
        (&json!("test://a"), &json!("unsupported"))
    );
    assert_eq!(usual["resourceTemplates"][0]["uriTemplate"], "test://{x}");

    for (name, status) in
        [("usual", "ready"), ("silent", "failed"), ("dies", "failed"), ("missing", "failed")]
    {
        let said = client.received();
        let of_server = said.iter().filter(|message| message["method"] == "mcpServer/startupStatus/updated");
        let states: Vec<&Value> = of_server
            .filter(|message| message["params"]["name"] == name)
            .map(|message| &message["params"]["status"])
            .collect();
        assert_eq!(states, ["starting", status], "{name}");
    }

    // One after the other, by pages, or by name; and without asking for resources.
    let first = client.ok("mcpServerStatus/list", json!({ "limit": 2 }));
    assert_eq!(column(&first["data"], "name"), ["dies", "missing"]);
    let rest = client.ok("mcpServerStatus/list", json!({ "cursor": first["nextCursor"] }));
    assert_eq!(column(&rest["data"], "name"), ["off", "silent", "usual"]);
    assert!(rest["nextCursor"].is_null());
    let one = json!({ "serverName": "usual", "detail": "toolsAndAuthOnly" });
    let one = client.ok("mcpServerStatus/list", one);
    assert_eq!((&one["data"][0]["resources"], &one["data"][1]), (&json!([]), &Value::Null));
    let refusal = client.refused("mcpServerStatus/list", json!({ "cursor": "nobody" }));
    assert_eq!(refusal["message"], "invalid cursor: nobody");
}

fn tools_are_called_and_resources_read(transport: Transport) {
    let config =
        table("usual", "usual", "disabled_tools = [\"fail2\", \"grow\"]\nenv_vars = [\"LOG_FORMAT\"]");
    let home = Home::with_config(&config);
    let mut server = Server::start_in(transport, &home);
    let mut client = server.client();
    let thread = client.thread();
    let mut asked = params(&thread, "echo", &json!({ "a": [1, null] }));
    asked["_meta"] = json!({ "mark": 7 });
    let answer = client.ok("mcpServer/tool/call", asked);
    assert_eq!(
        answer,
        json!({
            "content": [{ "type": "text", "text": "{\"a\":[1,null]}" }],
            "structuredContent": { "said": { "a": [1, null] } },
            "isError": false,
            "_meta": { "asked": { "mark": 7 } },
        })
    );
    let failed = client.ok("mcpServer/tool/call", params(&thread, "fail", &Value::Null));
    assert_eq!((&failed["isError"], &failed["content"][0]["text"]), (&json!(true), &json!("it failed")));
    assert_eq!(call(&mut client, &thread, "ask", &json!({})).as_deref(), Ok("answered {}"));
    let names = call(&mut client, &thread, "env", &json!({})).expect("names");
    let names: Vec<&str> = names.split(' ').collect();
    assert!(names.contains(&"PATH") && names.contains(&MODE), "{names:?}");
    assert!(!names.contains(&"CARGO") && !names.contains(&"APP_SERVER_HOME"), "{names:?}");
    let read = json!({ "threadId": thread, "server": "usual", "uri": "test://b" });
    let read = client.ok("mcpServer/resource/read", read);
    assert_eq!(read, json!({ "contents": [{ "uri": "test://b", "text": "the content" }] }));

    let refused = [
        ("grow", "the tool `grow` of the MCP server `usual` is disabled in config.toml"),
        ("nothing", "the MCP server `usual` failed: no such tool (-32602)"),
    ];
    for (tool, expected) in refused {
        assert_eq!(call(&mut client, &thread, tool, &json!({})), Err(expected.to_owned()));
    }
    let unknown = client.refused("mcpServer/resource/read", json!({ "server": "x", "uri": "test://b" }));
    assert_eq!(unknown["message"], "there is no MCP server `x`; add [mcp_servers.x] to config.toml");
    let nobody = "01a1f96b-1eb1-7381-9ff6-1ee3787567a8";
    let no_thread = client.refused("mcpServer/tool/call", params(nobody, "echo", &Value::Null));
    assert_eq!(no_thread["data"]["reason"], "threadNotFound");
}

fn a_server_that_hangs_costs_its_own_calls_only(transport: Transport) {
    // Enough for the call beside it on a busy machine.
    let config = table("usual", "usual", "tool_timeout_sec = 5");
    let (_server, mut client, _home) = with(transport, &config);
    let thread = client.thread();
    let hangs = client.send("mcpServer/tool/call", params(&thread, "hang", &Value::Null));
    assert!(call(&mut client, &thread, "echo", &json!(1)).is_ok());
    let told = client.answer(&hangs).expect_err("nobody answers");
    let expected = "the MCP server `usual` failed: no answer to `tools/call` within 5 seconds";
    assert_eq!(told["message"], expected);
    assert!(call(&mut client, &thread, "echo", &json!(2)).is_ok(), "it goes on");
    client.turn(&thread, "and turns run");
}

fn a_server_that_dies_is_started_again(transport: Transport) {
    let (_server, mut client, _home) = with(transport, &table("usual", "usual", ""));
    let thread = client.thread();
    let hangs = client.send("mcpServer/tool/call", params(&thread, "hang", &Value::Null));
    let gone = Err("the MCP server `usual` failed: it ended with exit code 3".to_owned());
    // The two calls may come in any order.
    assert_eq!(call(&mut client, &thread, "die", &json!({ "once it hangs": true })), gone);
    assert!(client.answer(&hangs).is_err(), "all of its calls");
    assert!(call(&mut client, &thread, "echo", &json!(1)).is_ok(), "the next that needs it starts it");
    assert_eq!(call(&mut client, &thread, "die", &Value::Null), gone);
    let pause = call(&mut client, &thread, "echo", &json!(1)).expect_err("twice in a moment is too often");
    assert!(pause.contains("exit code 3; it is tried again in "), "{pause}");
    let starts = client.heard().iter().filter(|method| *method == "mcpServer/startupStatus/updated").count();
    assert_eq!(starts, 4, "two starts, each with its end");
}

fn a_reload_takes_the_configuration_as_it_is_now(transport: Transport) {
    let (_server, mut client, home) = with(transport, &table("usual", "usual", ""));
    let thread = client.thread();
    let child = call(&mut client, &thread, "spawn", &Value::Null).expect("a process");
    assert!(is_alive(&child));
    let path = home.path().join("config.toml");
    let write = |config: &str| std::fs::write(&path, config).expect("config.toml is written");

    // What did not change goes on.
    let both = table("usual", "usual", "") + &table("second", "usual", "");
    write(&both);
    assert_eq!(client.ok("config/mcpServer/reload", Value::Null), json!({}));
    assert!(is_alive(&child));
    let list = client.ok("mcpServerStatus/list", json!({}));
    assert_eq!(column(&list["data"], "name"), ["second", "usual"]);
    assert_eq!(start_of(&mut client, "second")["status"], "ready");

    // What is wrong changes nothing.
    write("[mcp_servers.usual]\ncommand = 1\n");
    let refusal = client.refused("config/mcpServer/reload", Value::Null);
    assert!(refusal["message"].as_str().is_some_and(|text| text.contains("mcp_servers.usual.command")));
    assert!(is_alive(&child));

    // What changed is let go, with all that it started.
    write(&table("second", "usual", ""));
    client.ok("config/mcpServer/reload", Value::Null);
    gone(&child);
    let list = client.ok("mcpServerStatus/list", json!({}));
    assert_eq!(column(&list["data"], "name"), ["second"]);
}

fn what_a_server_asks_is_answered_in_a_turn_and_declined_elsewhere(transport: Transport) {
    let (_server, mut client, _home) = with(transport, &table("usual", "usual", ""));
    let thread = client.thread();
    let declined = Ok(r#"answered {"action":"decline"}"#.to_owned());
    assert_eq!(call(&mut client, &thread, "wonder", &Value::Null), declined);

    let turn = client.start_turn(&thread, "call: mcp__usual__wonder {}");
    assert_eq!(client.next_notification("item/mcpToolCall/progress")["message"], "1/2");
    let asked =
        client.next_fitting("a question", |message| message["method"] == "mcpServer/elicitation/request");
    let waits = json!({ "type": "active", "activeFlags": ["waitingOnApproval"] });
    assert!(client.received().iter().any(|message| message["params"]["status"] == waits));
    let answer = json!({ "action": "accept", "content": { "name": "Bob" } });
    client.send_raw(&json!({ "id": asked["id"], "result": answer }).to_string());
    let item = client.next_fitting("the call's end", |message| {
        message["method"] == "item/completed" && message["params"]["item"]["type"] == "mcpToolCall"
    });
    let said = &item["params"]["item"]["result"]["content"][0]["text"];
    assert_eq!(said, r#"answered {"action":"accept","content":{"name":"Bob"}}"#);
    assert_eq!(client.turn_end(&turn)["status"], "completed");

    let silent = client.thread_with(json!({ "approvalPolicy": "never" }));
    let turn = client.start_turn(&silent, "call: mcp__usual__wonder {}");
    let item = client.next_fitting("the call's end", |message| {
        message["method"] == "item/completed"
            && message["params"]["item"]["type"] == "mcpToolCall"
            && message["params"]["turnId"] == turn
    });
    let said = &item["params"]["item"]["result"]["content"][0]["text"];
    assert_eq!(said, r#"answered {"action":"decline"}"#, "nobody may be asked");
}

#[test]
fn nothing_of_a_server_outlives_us() {
    for transport in [Transport::Stdio, Transport::WebSocket] {
        let (mut server, mut client, _home) = with(transport, &table("usual", "usual", ""));
        let thread = client.thread();
        let child = call(&mut client, &thread, "spawn", &Value::Null).expect("a process");
        client.send("mcpServer/tool/call", params(&thread, "hang", &Value::Null));
        // Answered in the processor, so the call has got there, too.
        client.request("thread/loaded/list", json!({})).expect("it answers");
        // A call that hangs is waited for at the end of input, not after a second signal.
        server.signal(rustix::process::Signal::TERM);
        if transport == Transport::WebSocket {
            // The second one means more than the first once the drain has begun.
            while client.request("thread/start", json!({})).is_ok() {}
            server.signal(rustix::process::Signal::TERM);
        }
        client.ended();
        server.exits_within(PATIENCE);
        gone(&child);
    }
}

#[test]
fn a_message_that_is_too_large_ends_the_connection() {
    let (_server, mut client, _home) = with(Transport::Stdio, &table("usual", "usual", ""));
    let thread = client.thread();
    let told = call(&mut client, &thread, "flood", &Value::Null).expect_err("it is cut off");
    assert!(told.contains(&format!("a message of more than {MCP_MESSAGE_BYTES_MAX} bytes")), "{told}");
    assert!(call(&mut client, &thread, "echo", &json!(1)).is_ok());
}

#[test]
fn more_waiting_requests_than_the_limit_are_refused() {
    let (_server, mut client, _home) =
        with(Transport::Stdio, &table("usual", "usual", "tool_timeout_sec = 2"));
    let thread = client.thread();
    assert!(call(&mut client, &thread, "echo", &json!(1)).is_ok());
    let asked: Vec<Value> = (0..=MCP_REQUESTS_MAX)
        .map(|_| client.send("mcpServer/tool/call", params(&thread, "hang", &Value::Null)))
        .collect();
    let codes: Vec<Value> =
        asked.iter().map(|id| client.answer(id).expect_err("nobody answers")["code"].clone()).collect();
    assert_eq!(codes.iter().filter(|code| **code == -32001).count(), 1, "{codes:?}");
    assert_eq!(codes[MCP_REQUESTS_MAX], -32001);
}

#[test]
fn tools_that_a_server_adds_later_are_seen() {
    let (_server, mut client, _home) = with(Transport::Stdio, &table("usual", "usual", ""));
    let thread = client.thread();
    let has_grown = |client: &mut Client| {
        let list = client.ok("mcpServerStatus/list", json!({}));
        list["data"][0]["tools"].as_object().expect("tools").contains_key("grown")
    };
    assert!(!has_grown(&mut client));
    call(&mut client, &thread, "grow", &Value::Null).expect("it grows");
    assert!(has_grown(&mut client));
}

#[test]
fn what_a_server_prints_on_stderr_is_in_the_debug_log() {
    let home = Home::with_config(&table("usual", "usual", ""));
    let mut process = Launch::new(&home).env("RUST_LOG", "debug").args(["--listen", "stdio://"]).start();
    drop(home);
    let mut stdin = process.stdin.take().expect("a pipe");
    let said = json!({ "name": "t", "version": "1" });
    for request in [
        json!({ "id": 1, "method": "initialize", "params": { "clientInfo": said } }),
        json!({ "id": 2, "method": "mcpServerStatus/list", "params": {} }),
    ] {
        std::io::Write::write_all(&mut stdin, format!("{request}\n").as_bytes()).expect("it reads");
    }
    process.says("the server's words", |said| {
        said.contains("the server says something on stderr").then_some(())
    });
}

fn is_alive(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

/// Waits until a process is gone; the test's own patience is the runner's.
fn gone(pid: &str) {
    let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    if let Ok(watched) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        let mut fds = [rustix::event::PollFd::new(&watched, rustix::event::PollFlags::IN)];
        let patience = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
        assert_eq!(rustix::event::poll(&mut fds, Some(&patience)), Ok(1), "{pid:?} lives on");
    }
}
