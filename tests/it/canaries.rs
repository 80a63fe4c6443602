//! Secrets as canaries: planted wherever a server is given one, looked for in everything that it lets out.
//!
//! Below the trace level no log has prompts or output of commands either.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::home::Home;
use crate::support::mock_model::{Answer, MockModel, call, completed, created, say};
use crate::support::process::Launch;
use crate::support::server::Server;
use crate::support::{PATIENCE, Transport};

/// What nobody may ever see again, at any level.
const SECRETS: [(&str, &str); 10] = [
    ("the capability token", "canary-capability-0f3a"),
    ("a wrong token", "canary-wrong-token-1b77"),
    ("a token in a query", "canary-query-token-9d02"),
    ("the value of env_key", "canary-env-key-44c1"),
    ("the value of env_http_headers", "canary-env-header-7e10"),
    ("a header in the configuration", "canary-http-header-a5d9"),
    ("a query parameter in the configuration", "canary-query-param-c3e8"),
    ("a password in a URL", "canary-url-password-6f21"),
    ("a variable of an MCP server", "canary-mcp-env-b8b8"),
    ("an API key in the configuration", "canary-api-key-d7d7"),
];

/// What logs have at the trace level only, if at all.
const WORDS: [(&str, &str); 4] = [
    ("the prompt", "canary-prompt-2c90"),
    ("the model's answer", "canary-answer-e512"),
    ("a command line", "canary-command-line-3a6b"),
    ("a command's output", "canary-output-58f4"),
];

fn secret(what: &str) -> &'static str {
    let all = SECRETS.iter().chain(&WORDS);
    all.copied().find(|(name, _)| *name == what).map(|(_, canary)| canary).expect("it is planted")
}

/// Panics if a canary is in the text. The message has its name and where it was.
fn assert_silent(place: &str, text: &str, canaries: &[(&str, &str)]) {
    for (what, canary) in canaries {
        if let Some(line) = text.lines().find(|line| line.contains(canary)) {
            panic!("{place} has {what}: {line:.600}");
        }
    }
}

/// Everything that a busy server let out.
struct Heard {
    log: String,
    metrics: String,
    /// What others than the one who works were told, and what anybody was told of configuration and errors.
    messages: String,
}

fn get(server: &Server, target: &str, token: &str) -> String {
    let mut stream = TcpStream::connect(server.address().expect("it listens")).expect("it accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

fn busy(level: &str, format: &str, to_file: bool) -> Heard {
    let mock = MockModel::start();
    // The output is made by the command, so that it is not in the command's line.
    let cmd = format!("echo {}; printf '%s-%s\\n' canary output-58f4", secret("a command line"));
    mock.script([
        Answer::error(/*status*/ 500, "server_error", "try again"),
        Answer::response(call("c1", "exec_command", &json!({ "cmd": cmd, "login": false }))),
        Answer::events([vec![created()], say("m", secret("the model's answer")), vec![completed()]].concat()),
        // The provider repeats the key in its refusal, as some do.
        Answer::error(
            /*status*/ 401,
            "invalid_api_key",
            &format!("bad key {}", secret("the value of env_key")),
        ),
    ]);
    let with_password = |url: String| {
        url.replacen("http://", &format!("http://user:{}@", secret("a password in a URL")), /*count*/ 1)
    };
    let config = format!(
        "sandbox_mode = 'danger-full-access'\napproval_policy = 'never'\nmodel = 'some-model'\n\
         model_provider = 'mock'\nsome_api_key = '{api_key}'\n\
         [model_providers.mock]\nbase_url = '{url}'\nenv_key = 'CANARY_KEY'\nrequest_max_retries = 1\n\
         stream_max_retries = 0\nhttp_headers = {{ 'x-secret' = '{header}' }}\n\
         env_http_headers = {{ 'x-env' = 'CANARY_HEADER' }}\nquery_params = {{ 'key' = '{query}' }}\n\
         [model_providers.gone]\nbase_url = '{gone}'\nrequest_max_retries = 0\nstream_max_retries = 0\n\
         [mcp_servers.broken]\ncommand = '/bin/sh'\nargs = ['-c', 'exit 3']\nenv = {{ KEY = '{mcp}' }}\n",
        api_key = secret("an API key in the configuration"),
        url = with_password(mock.base_url()),
        gone = with_password("http://127.0.0.1:1/v1".to_owned()),
        header = secret("a header in the configuration"),
        query = secret("a query parameter in the configuration"),
        mcp = secret("a variable of an MCP server"),
    );
    let home = Home::with_config(&config);
    let token = secret("the capability token");
    let token_file = home.path().join("token");
    std::fs::write(&token_file, token).expect("a file");
    let log_file = home.path().join("log");
    let mut launch = Launch::new(&home)
        .env("RUST_LOG", level)
        .env("LOG_FORMAT", format)
        .env("CANARY_KEY", secret("the value of env_key"))
        .env("CANARY_HEADER", secret("the value of env_http_headers"))
        .args(["--ws-auth", "capability-token", "--ws-token-file", &token_file.display().to_string()]);
    if to_file {
        launch = launch.env("LOG_FILE", &log_file.display().to_string());
    }
    let mut server = Server::launch(Transport::WebSocket, launch);
    assert!(get(&server, "/metrics", secret("a wrong token")).starts_with("HTTP/1.1 401"));
    let query = format!("/metrics?token={}", secret("a token in a query"));
    get(&server, &query, secret("a wrong token"));
    let (mut worker, mut onlooker) = (server.client_as(token), server.client_as(token));
    let thread = worker.thread();
    let turn = worker.start_turn(&thread, secret("the prompt"));
    assert_eq!(worker.turn_end(&turn)["status"], "completed");
    let refused = worker.turn(&thread, "once more");
    assert_eq!(refused["status"], "failed");
    let unreachable = worker.thread_with(json!({ "modelProvider": "gone" }));
    let unreached = worker.turn(&unreachable, "is anybody there?");
    assert_eq!(unreached["status"], "failed");
    // Malformed requests, whose errors may quote them.
    let sent = json!({ "threadId": thread, "input": [{ "type": "text", "text": 5 }] });
    let mut told: Vec<Value> = vec![refused["error"].clone(), unreached["error"].clone()];
    told.push(worker.refused("turn/start", sent));
    for method in ["config/read", "modelProvider/list", "server/diagnostics", "mcpServerStatus/list"] {
        told.push(worker.ok(method, json!({})));
        told.push(onlooker.ok(method, json!({})));
    }
    onlooker.settle();
    let whole = |client: &Client| client.heard_texts().join("\n");
    let told: Vec<String> = told.iter().map(Value::to_string).collect();
    // What the worker was told has its own prompt in it, but no secret.
    assert_silent("a conversation", &whole(&worker), &SECRETS);
    let messages = format!("{}\n{}", told.join("\n"), whole(&onlooker));
    let metrics = get(&server, "/metrics", token);
    assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
    drop((worker, onlooker));
    server.signal(rustix::process::Signal::TERM);
    server.ends_well_within(PATIENCE);
    let mut log = server.stderr_at_end();
    if to_file {
        log += &std::fs::read_to_string(log_file).expect("the log");
    }
    assert!(log.len() > 1_000, "the log says something: {log}");
    Heard { log, metrics, messages }
}

#[test]
fn no_canary_gets_out_at_any_level_and_in_any_form() {
    for (level, format, to_file) in
        [("debug", "text", false), ("debug", "json", true), ("trace", "text", true), ("trace", "json", false)]
    {
        let heard = busy(level, format, to_file);
        let place = format!("the log ({level}, {format})");
        assert_silent(&place, &heard.log, &SECRETS);
        if level != "trace" {
            assert_silent(&place, &heard.log, &WORDS);
        }
        assert_silent("/metrics", &heard.metrics, &SECRETS);
        assert_silent("/metrics", &heard.metrics, &WORDS);
        assert_silent("a message", &heard.messages, &SECRETS);
    }
}

#[cfg(feature = "jwt")]
#[test]
fn the_secret_that_signs_tokens_and_the_tokens_stay_secret() {
    let home = Home::new();
    let signing = "canary-signing-secret-1f1f1f1f1f1f1f1f";
    let file = home.path().join("secret");
    std::fs::write(&file, signing).expect("a file");
    let args = ["--ws-auth", "signed-bearer-token", "--ws-shared-secret-file", &file.display().to_string()];
    let launch = Launch::new(&home).env("RUST_LOG", "trace").args(args);
    let mut server = Server::launch(Transport::WebSocket, launch);
    // A token that is none, one with a foreign signature.
    let foreign = "eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOiJjYW5hcnkifQ.canary-signature";
    for token in ["canary-no-jwt", foreign] {
        let answer = get(&server, "/metrics", token);
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        assert!(!answer.contains("canary"), "{answer}");
    }
    server.signal(rustix::process::Signal::TERM);
    server.ends_well_within(PATIENCE);
    let log = server.stderr_at_end();
    assert_silent("the log", &log, &[("the secret", "canary-signing"), ("a token", "canary-no-jwt")]);
    assert_silent("the log", &log, &[("a token", "canary-signature"), ("a token", "eyJhbGciOiJIUzI1NiJ9")]);
}
