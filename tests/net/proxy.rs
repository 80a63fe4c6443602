//! `proxy URL`: lines in, lines out, and at the input's end everything is answered first.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use app_server::clock::Clock;
use app_server::config::net::Endpoint;
use app_server::config::net::auth::{AuthConfig, TokenSource};
use app_server::run::proxy::{ProxyConfig, Target, run};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::Server;

fn config(server: &Server) -> ProxyConfig {
    let target = match server.listener.bound() {
        Endpoint::Tcp(address) => Target::parse(&format!("ws://{address}/rpc")),
        Endpoint::Unix(path) => Target::parse(&format!("unix://{}", path.display())),
    };
    ProxyConfig { target: target.expect("a URL"), token: None, drain_deadline: Duration::from_secs(30) }
}

fn bridge(
    server: &Server,
    config: &ProxyConfig,
    input: impl Read + Send + 'static,
) -> Result<Vec<Value>, String> {
    let mut output = Vec::new();
    run(config, &server.timer, input, &mut output).map_err(|error| error.to_string())?;
    let lines = String::from_utf8(output).expect("text");
    Ok(lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect())
}

fn requests(count: usize) -> Vec<u8> {
    let mut input = b"{\"id\":0,\"method\":\"initialize\"}\n\n".to_vec();
    for id in 1..=count {
        writeln!(input, "{}", json!({"id": id, "method": "echo", "params": "x".repeat(id % 300)}))
            .expect("memory");
    }
    // The last line may lack its end.
    input.pop();
    input
}

#[test]
fn every_request_before_the_end_of_the_input_is_answered() {
    let folder = std::env::temp_dir().join(format!("app-server-proxy-{}", std::process::id()));
    let unix: PathBuf = folder.join("s.sock");
    for endpoint in [Endpoint::Tcp(([127, 0, 0, 1], 0).into()), Endpoint::Unix(unix)] {
        let server = Server::on(Clock::real(), &endpoint, |_| {});
        let answers = bridge(&server, &config(&server), std::io::Cursor::new(requests(/*count*/ 2_000)))
            .expect("a good end");
        let ids: Vec<Value> = answers.iter().map(|answer| answer["id"].clone()).collect();
        assert_eq!(ids, (0..=2_000).map(Value::from).collect::<Vec<_>>());
        server.watched.wait_until("the connection to be closed", |seen| seen.closed == 1);
    }
    let _ = std::fs::remove_dir_all(folder);
}

#[test]
fn a_request_that_is_never_answered_is_not_waited_for_for_ever() {
    let server = Server::start();
    let config = ProxyConfig { drain_deadline: Duration::from_millis(50), ..config(&server) };
    let input = b"{\"id\":1,\"method\":\"silence\"}\n";
    let error = bridge(&server, &config, &input[..]).expect_err("it is not answered");
    assert!(error.contains("1 requests were not answered"), "{error}");
}

#[test]
fn a_server_that_ends_first_or_refuses_is_an_error_with_its_reason() {
    let server = Server::start();
    let (mut keep, input) = std::os::unix::net::UnixStream::pair().expect("a pair");
    keep.write_all(b"{\"id\":1,\"method\":\"bye\"}\n").expect("it writes");
    let error = bridge(&server, &config(&server), input).expect_err("it ends");
    assert!(error.contains("goodbye"), "{error}");
    // The input is still open, and keeps nothing of the server going.
    drop(server);
    drop(keep);

    let auth = AuthConfig::Capability(TokenSource::Sha256(Sha256::digest(b"open sesame").into()));
    let server = Server::with(|config| config.auth = auth);
    let error = bridge(&server, &config(&server), &b""[..]).expect_err("no token");
    assert!(error.contains("401") && error.contains("missing websocket bearer token"), "{error}");
    let config = ProxyConfig { token: Some("open sesame".into()), ..config(&server) };
    let answers = bridge(&server, &config, std::io::Cursor::new(requests(/*count*/ 3))).expect("a good end");
    assert_eq!(answers.len(), 4);
}

#[test]
fn a_line_that_is_no_text_ends_the_bridge_with_an_error() {
    let server = Server::start();
    let error = bridge(&server, &config(&server), &b"\xFF\xFE\n"[..]).expect_err("no text");
    assert!(error.contains("not UTF-8"), "{error}");
}
