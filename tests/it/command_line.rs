//! The command line: flags, exit codes, configuration, `exec`.

use serde_json::{Value, json};

use crate::support::Transport;
use crate::support::home::Home;
use crate::support::process::{Launch, Output};
use crate::support::server::Server;

fn run(args: &[&str]) -> Output {
    run_in(&Home::new(), args)
}

fn run_in(home: &std::sync::Arc<Home>, args: &[&str]) -> Output {
    Launch::new(home).args(args.iter().copied()).run(b"")
}

/// The process failed with this code, and said only on stderr why; these words are among it.
fn failed(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert_eq!(output.stdout, "");
    for word in words {
        assert!(output.stderr.contains(word), "`{word}` is not in: {}", output.stderr);
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    for args in [&["--help"][..], &["-h"], &["app-server", "--help"], &["exec", "--help"]] {
        let output = run(args);
        assert_eq!((output.status.code(), output.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(output.stdout.contains("Usage:"), "{args:?}: {}", output.stdout);
        assert!(output.stdout.lines().all(|line| line.chars().count() <= 100), "{}", output.stdout);
    }
    let output = run(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, concat!("app-server ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn what_is_not_understood_is_named_and_exits_with_2() {
    failed(&run(&["--no-such"]), /*code*/ 2, &["--no-such", "--help"]);
    failed(&run(&["--lisen", "off"]), /*code*/ 2, &["--lisen", "--listen"]);
    failed(&run(&["serv"]), /*code*/ 2, &["serv"]);
    failed(&run(&["--listen"]), /*code*/ 2, &["--listen"]);
    failed(&run(&["exec"]), /*code*/ 2, &["PROMPT"]);
    failed(&run(&["--drain-timeout", "soon"]), /*code*/ 2, &["--drain-timeout", "soon"]);
    failed(&run(&["-c", "novalue"]), /*code*/ 2, &["novalue"]);
    failed(
        &run(&["--listen", "http://x"]),
        /*code*/ 2,
        &["unsupported --listen URL `http://x`", "ws://IP:PORT"],
    );
    failed(&run(&["--listen", "ws://localhost:1"]), /*code*/ 2, &["ws://localhost:1", "ws://IP:PORT"]);
    failed(&run(&["--listen", "off"]), /*code*/ 2, &["no transport"]);
}

#[test]
fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    failed(&run(&["--listen", &format!("ws://{address}")]), /*code*/ 1, &[&address]);
}

#[test]
fn flags_that_clients_pass_are_accepted_before_and_after_the_leading_word() {
    for args in [
        &["-c", "model=\"given\"", "app-server"][..],
        &["app-server", "-c", "model=given"],
        &["app-server", "--config=model=given", "--listen", "stdio://"],
        &["-c", "x.y=1", "app-server", "-c", "model=given", "--analytics-default-enabled"],
        &["app-server", "--session-source", "ide", "--enable", "a", "--disable", "b", "-m", "given"],
        &["--stdio", "-c", "model=other", "-c", "model=given"],
    ] {
        let mut server = Server::start_with(Transport::Stdio, &Home::new(), args.iter().copied());
        let mut client = server.client();
        let config = client.ok("config/read", json!({}))["config"].take();
        assert_eq!(config["model"], "given", "{args:?}");
        client.close_input();
        server.ends_well_within(crate::support::PATIENCE);
        assert_eq!(server.stderr_at_end(), "", "{args:?}");
    }
}

#[test]
fn a_wrong_configuration_names_the_key_and_the_file() {
    for (config, words) in [
        ("model = 3", &["model", "config.toml", "a string"][..]),
        ("sandbox_mode = \"open\"", &["sandbox_mode", "open", "read-only"]),
        ("[app_server]\nmax_connections = 0", &["app_server.max_connections"]),
        ("[app_server]\nmessage_bytes_max = \"many\"", &["app_server.message_bytes_max"]),
        ("model_provider = \"nobody\"", &["model_provider", "nobody", "offline"]),
        (
            "[model_providers.x]\nstream_idle_timeout_ms = \"long\"",
            &["model_providers.x.stream_idle_timeout_ms"],
        ),
        ("model = \"open", &["config.toml", "1"]),
    ] {
        failed(&run_in(&Home::with_config(config), &[]), /*code*/ 1, words);
    }
    failed(&run(&["-c", "model=3"]), /*code*/ 1, &["model", "-c"]);
}

#[test]
fn unknown_keys_are_ignored_silently() {
    let home = Home::with_config("no_such_key = 1\n[some.table]\nx = 2\n");
    let output = run_in(&home, &[]);
    assert_eq!((output.status.code(), output.stderr.as_str()), (Some(0), ""));
    let output = Launch::new(&home).env("RUST_LOG", "debug").run(b"");
    assert!(output.stderr.contains("no_such_key"), "{}", output.stderr);
}

#[test]
fn secrets_of_the_configuration_are_never_shown() {
    let home = Home::with_config(
        r#"
        model_provider = "x"
        [model_providers.x]
        name = "shown-name"
        base_url = "http://127.0.0.1:9/v1"
        env_key = "SHOWN_ENV_KEY"
        experimental_bearer_token = "canary-1"
        http_headers = { Authorization = "canary-2", X-Org = "canary-3" }
        query_params = { key = "canary-4" }
        [mcp_servers.y]
        command = "run"
        env = { PASSWORD = "canary-5" }
        "#,
    );
    let mut server = Server::start_with(Transport::Stdio, &home, ["-c", "some.api_key=canary-6"]);
    let mut client = server.client();
    let config = client.ok("config/read", json!({ "includeLayers": true }));
    assert_eq!(config["config"]["model_providers"]["x"]["name"], "shown-name");
    client.ok("modelProvider/list", json!({}));
    let thread = client.thread();
    assert_eq!(client.turn(&thread, "hello")["status"], "failed");
    client.close_input();
    client.ended();
    server.ends_well_within(crate::support::PATIENCE);
    let all: Vec<String> = client.received().iter().map(Value::to_string).collect();
    assert!(all.iter().any(|message| message.contains("SHOWN_ENV_KEY")));
    assert!(!all.iter().any(|message| message.contains("canary")), "{all:#?}");

    let output = Launch::new(&home).env("RUST_LOG", "trace").run(b"");
    assert!(!output.stderr.is_empty() && !output.stderr.contains("canary"), "{}", output.stderr);
}

#[test]
fn exec_prints_the_answer_and_says_who_gave_it() {
    let home = Home::new();
    let output = run_in(&home, &["exec", "what is this?"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stdout.ends_with("You said: what is this?\n"), "{}", output.stdout);
    assert!(output.stderr.contains("offline model"), "{}", output.stderr);
    // The thread is kept like any other, and known to come from exec.
    let mut server = Server::start_in(Transport::Stdio, &home);
    let mut client = server.client();
    let list = client.ok("thread/list", json!({ "sourceKinds": ["exec"] }));
    assert_eq!(list["data"][0]["preview"], "what is this?");
    assert_eq!(list["data"][0]["source"], "exec");
}

#[test]
fn exec_prints_an_answer_that_comes_in_one_piece() {
    let home = Home::with_config(
        "model_provider = \"tape\"\n[model_providers.tape]\nname = \"tape\"\nkind = \"replay\"\n\
         file = \"tape.sse\"\n",
    );
    let part = json!([{ "type": "output_text", "text": "all at once" }]);
    let item = json!({ "type": "message", "id": "m", "content": part });
    let tape = [
        json!({ "type": "response.output_item.done", "item": item }),
        json!({ "type": "response.completed", "response": {} }),
    ];
    let tape: String = tape.iter().map(|event| format!("data: {event}\n\n")).collect();
    std::fs::write(home.path().join("tape.sse"), tape).expect("a file");
    let output = run_in(&home, &["exec", "hello"]);
    assert_eq!((output.status.code(), output.stdout.as_str()), (Some(0), "all at once\n"), "{output:?}");
}

#[test]
fn exec_takes_its_prompt_from_stdin() {
    let output = Launch::new(&Home::new()).args(["exec", "-"]).run(b"from the pipe");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stdout.ends_with("You said: from the pipe\n"), "{}", output.stdout);
}

#[test]
fn exec_json_prints_the_raw_messages() {
    let output = run(&["exec", "hello", "--json"]);
    assert_eq!((output.status.code(), output.stderr.as_str()), (Some(0), ""), "{output:?}");
    let messages: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(messages[0]["id"], "initialize");
    assert!(messages.iter().any(|message| message["method"] == "item/agentMessage/delta"));
    let last = messages.last().expect("messages");
    assert_eq!(
        (&last["method"], &last["params"]["turn"]["status"]),
        (&json!("turn/completed"), &json!("completed"))
    );
}

#[test]
fn exec_with_a_failing_provider_fails_with_the_reason() {
    let home = Home::with_config(
        "model_provider = \"x\"\n[model_providers.x]\nname = \"x\"\nbase_url = \"http://127.0.0.1:9/v1\"\n\
         request_max_retries = 0\nstream_max_retries = 0\n",
    );
    let output = run_in(&home, &["exec", "hello"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(output.stdout.trim(), "", "no answer");
    assert!(output.stderr.contains("http://127.0.0.1:9/v1"), "{}", output.stderr);
    assert!(output.stderr.contains("is the server running?"), "{}", output.stderr);
}
