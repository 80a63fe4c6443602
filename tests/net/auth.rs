//! Authorization as a client meets it. The matrix of tokens is tested beside the code.

use std::net::SocketAddr;

use app_server::clock::Clock;
use app_server::config::net::auth::{AuthConfig, TokenSource};
use app_server::config::net::{Endpoint, NetConfig};
use app_server::net::Listener;
use sha2::{Digest, Sha256};
use tungstenite::client::IntoClientRequest;

use crate::support::{Client, Server, UPGRADE, exchange, status, wiring};

const ANY: Endpoint =
    Endpoint::Tcp(SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0));

fn token() -> AuthConfig {
    AuthConfig::Capability(TokenSource::Sha256(Sha256::digest(b"open sesame").into()))
}

#[test]
fn without_the_token_there_is_no_websocket_and_with_it_there_is() {
    let server = Server::on(Clock::real(), &ANY, |config| config.auth = token());
    let table = [
        (String::new(), "401", "missing websocket bearer token"),
        ("Authorization: Basic x\r\n".to_owned(), "401", "invalid authorization header"),
        ("Authorization: Bearer wrong\r\n".to_owned(), "401", "invalid websocket bearer token"),
        // A page is turned away before its token is looked at.
        ("Authorization: Bearer wrong\r\nOrigin: null\r\n".to_owned(), "403", ""),
    ];
    for (headers, expected, text) in table {
        let request = UPGRADE.replace("\r\n\r\n", &format!("\r\n{headers}\r\n"));
        let answer = exchange(server.tcp(), request.as_bytes());
        assert_eq!(status(&answer), expected, "{headers}: {answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{text}")), "{answer}");
        assert_eq!(answer.contains("WWW-Authenticate: Bearer\r\n"), expected == "401", "{answer}");
    }
    // A request that is no upgrade hears what is wrong with it, and the probes are open.
    assert_eq!(status(&exchange(server.tcp(), b"GET / HTTP/1.1\r\n\r\n")), "400");
    assert_eq!(status(&exchange(server.tcp(), b"GET /readyz HTTP/1.1\r\n\r\n")), "200");
    assert_eq!(server.watched.look(|seen| seen.opened), 0);
    let mut request = "ws://host/rpc".into_client_request().expect("a request");
    request.headers_mut().insert("authorization", "bearer open sesame".parse().expect("a value"));
    // Offers of a real client that this server declines by silence.
    request.headers_mut().insert(
        "sec-websocket-extensions",
        "permessage-deflate; client_max_window_bits".parse().expect("a value"),
    );
    request.headers_mut().insert("x-codex-app-server-compression", "zstd".parse().expect("a value"));
    let (mut client, response) = Client::asking(request, server.tcp());
    assert!(!response.headers().contains_key("sec-websocket-extensions"));
    assert_eq!(client.call("echo", 1.into())["result"], 1);
}

#[test]
fn a_listener_for_everyone_without_auth_warns_or_is_refused() {
    let (open, _drain, _timer) = wiring(Clock::real());
    let listener = Listener::start(NetConfig::new(), &ANY, open).expect("it starts");
    assert!(listener.banner().contains("note: auth is off; configure `--ws-auth`"), "{}", listener.banner());
    drop(listener);

    let strict = |auth: AuthConfig| {
        let (wiring, _drain, _timer) = wiring(Clock::real());
        let mut config = NetConfig::new();
        (config.require_auth, config.auth) = (true, auth);
        Listener::start(config, &ANY, wiring)
            .map(|listener| listener.banner())
            .map_err(|error| error.to_string())
    };
    let error = strict(AuthConfig::Off).expect_err("it insists");
    assert!(error.contains("refusing to start non-loopback websocket listener ws://0.0.0.0:0"), "{error}");
    let banner = strict(token()).expect("it starts");
    assert!(banner.contains("note: websocket auth is required for non-localhost listeners"), "{banner}");
}

#[test]
fn the_banner_shows_the_real_port_as_words_of_their_own() {
    let server = Server::start();
    let banner = server.listener.banner();
    let port = server.address().port();
    let lines: Vec<&str> = banner.lines().collect();
    assert_eq!(lines[0], "app-server (WebSockets)");
    assert_eq!(lines[1], format!("  listening on: ws://127.0.0.1:{port}"));
    assert_eq!(lines[2], format!("  readyz: http://127.0.0.1:{port}/readyz"));
    assert_eq!(lines[3], format!("  healthz: http://127.0.0.1:{port}/healthz"));
    assert!(lines[4].starts_with("  note: binds localhost only"), "{banner}");
    assert!(port != 0 && banner.ends_with('\n'));
}
