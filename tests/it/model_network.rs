//! The ways to a model: encrypted, through a proxy, and when nobody answers there.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::model_http::{interrupt, said};
use crate::support::client::{Client, text};
use crate::support::connect_proxy::{ConnectProxy, Manner};
use crate::support::home::Home;
use crate::support::mock_model::{Answer, MockModel, Step};
use crate::support::process::Launch;
use crate::support::server::Server;
use crate::support::tls::Authority;
use crate::support::{PATIENCE, Transport};

/// A server with this environment whose provider is at `base_url`, and a client.
fn server(base_url: &str, env: &[(&str, &str)]) -> (Server, Client) {
    let config = format!(
        "model = 'some-model'\nmodel_provider = 'x'\n[model_providers.x]\nbase_url = '{base_url}'\n\
         request_max_retries = 0\nstream_max_retries = 0"
    );
    let mut launch = Launch::new(&Home::with_config(&config));
    // Those of whoever runs the tests may say anything.
    let own = ["CODEX_CA_CERTIFICATE", "SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"];
    for name in own {
        launch = launch.env(name, "").env(&name.to_lowercase(), "");
    }
    for (name, value) in env {
        launch = launch.env(name, value);
    }
    let mut server = Server::launch(Transport::Stdio, launch);
    let client = server.client();
    (server, client)
}

/// The text with which a turn fails.
fn failure(client: &mut Client) -> String {
    let thread = client.thread();
    let turn = client.turn(&thread, "hello");
    assert_eq!(turn["status"], "failed", "{turn}");
    text(&turn["error"]["message"])
}

/// The address of a mock as `scheme://host:port/v1`.
fn url(scheme: &str, host: &str, address: SocketAddr) -> String {
    format!("{scheme}://{host}:{}/v1", address.port())
}

#[cfg(feature = "tls")]
mod encrypted {
    use super::*;

    fn pem_file(text: &str) -> (Arc<Home>, String) {
        let home = Home::new();
        let path = home.path().join("authority.pem");
        std::fs::write(&path, text).expect("a file");
        let path = path.to_str().expect("a path in UTF-8").to_owned();
        (home, path)
    }

    #[test]
    fn an_authority_of_the_users_own_is_trusted() {
        let authority = Authority::new();
        let (_home, path) = pem_file(&format!("some words\n{}", authority.pem()));
        for env in [
            vec![("CODEX_CA_CERTIFICATE", path.as_str())],
            vec![("SSL_CERT_FILE", path.as_str())],
            // The first one counts.
            vec![("CODEX_CA_CERTIFICATE", path.as_str()), ("SSL_CERT_FILE", "/nowhere")],
        ] {
            let mock = MockModel::start_behind(Some(authority.server("localhost")));
            mock.script([Answer::text("over TLS"), Answer::text("again")]);
            let (server, mut client) = server(&url("https", "localhost", mock.address()), &env);
            let thread = client.thread();
            assert_eq!(said(&client.turn(&thread, "hello")), "over TLS");
            assert_eq!(said(&client.turn(&thread, "hello")), "again");
            let connections: Vec<usize> = mock.seen().iter().map(|seen| seen.connection).collect();
            assert_eq!(connections, [0, 0], "an encrypted connection is kept as well");
            server.stop();
        }
    }

    #[test]
    fn nobody_else_is_trusted() {
        let authority = Authority::new();
        let (_home, path) = pem_file(&authority.pem());
        let mock = MockModel::start_behind(Some(authority.server("127.0.0.1")));
        let right = url("https", "127.0.0.1", mock.address());
        let wrong = url("https", "localhost", mock.address());
        let nothing = pem_file("no certificate at all\n");
        let trusted = ("CODEX_CA_CERTIFICATE", path.as_str());
        for (url, env, expected) in [
            (&right, None, "the server's certificate is signed by nobody who is trusted"),
            (&right, None, "set `CODEX_CA_CERTIFICATE` to a PEM file with its authority"),
            (&wrong, Some(trusted), "TLS failed: invalid peer certificate: certificate not valid for name"),
            (
                &right,
                Some(("SSL_CERT_FILE", "/nowhere/a.pem")),
                "the file that `SSL_CERT_FILE` names is of no use (/nowhere/a.pem): No such file",
            ),
            (
                &right,
                Some(("CODEX_CA_CERTIFICATE", nothing.1.as_str())),
                "there is no usable certificate in it",
            ),
        ] {
            let (server, mut client) = server(url, &env.into_iter().collect::<Vec<_>>());
            let message = failure(&mut client);
            assert!(message.starts_with("Connection failed: ") && message.contains(expected), "{message}");
            server.stop();
        }
        assert_eq!(mock.seen().len(), 0, "nothing was sent");
        mock.script([Answer::text("an address in a certificate")]);
        let (server, mut client) = server(&right, &[trusted]);
        let thread = client.thread();
        assert_eq!(said(&client.turn(&thread, "hello")), "an address in a certificate");
        server.stop();
    }

    #[test]
    fn an_interrupt_reaches_an_encrypted_read_and_a_handshake() {
        let authority = Authority::new();
        let (_home, path) = pem_file(&authority.pem());
        let mock = MockModel::start_behind(Some(authority.server("localhost")));
        mock.script([Answer::text("said this").broken(/*after*/ 3, Step::Stall)]);
        let base_url = url("https", "localhost", mock.address());
        let (first, mut client) = server(&base_url, &[("SSL_CERT_FILE", &path)]);
        let thread = client.thread();
        let turn = client.start_turn(&thread, "wait");
        mock.wait_for_gates(/*count*/ 1);
        assert!(interrupt(&mut client, &thread, &turn) < PATIENCE);
        mock.wait_for_open_connections(/*count*/ 0);
        first.stop();

        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let base_url = url("https", "127.0.0.1", listener.local_addr().expect("its address"));
        let (server, mut client) = server(&base_url, &[]);
        let thread = client.thread();
        let turn = client.start_turn(&thread, "wait");
        let (mut stream, _) = listener.accept().expect("a connection");
        // It has said hello by then, and waits for the server's.
        let mut hello = [0];
        std::io::Read::read_exact(&mut stream, &mut hello).expect("its first byte");
        assert!(interrupt(&mut client, &thread, &turn) < PATIENCE);
        server.stop();
    }

    #[test]
    fn an_encrypted_connection_goes_through_a_proxy() {
        let authority = Authority::new();
        let (_home, path) = pem_file(&authority.pem());
        let mock = MockModel::start_behind(Some(authority.server("model.test")));
        mock.script([Answer::text("through a proxy")]);
        // The name is the proxy's to look up.
        let proxy = ConnectProxy::start(Manner::Serves, &[("model.test:443", mock.address())]);
        let address = format!("http://me:pass%20word@{}", proxy.address());
        let env = [
            ("SSL_CERT_FILE", path.as_str()),
            ("HTTPS_PROXY", &address),
            ("HTTP_PROXY", "http://127.0.0.1:1"),
        ];
        let (server, mut client) = server("https://model.test/v1", &env);
        let thread = client.thread();
        assert_eq!(said(&client.turn(&thread, "hello")), "through a proxy");
        let head = proxy.wait_for_asked(/*count*/ 1).remove(0).to_lowercase();
        assert!(head.starts_with("connect model.test:443 http/1.1\r\n"), "{head}");
        // me:pass word
        assert!(head.contains("proxy-authorization: basic bwu6cgfzcyb3b3jk\r\n"), "{head}");
        assert!(!mock.seen()[0].headers.iter().any(|(name, _)| name.starts_with("proxy-")));
        server.stop();
    }
}

#[test]
fn each_address_has_its_proxy_or_none() {
    let mock = MockModel::start();
    let proxy = ConnectProxy::start(Manner::Serves, &[("plain.test:80", mock.address())]);
    let address = format!("http://{}", proxy.address());
    mock.script([Answer::text("through a proxy")]);
    let (server_of_proxy, mut client) = server("http://plain.test/v1", &[("http_proxy", &address)]);
    let thread = client.thread();
    assert_eq!(said(&client.turn(&thread, "hello")), "through a proxy");
    assert_eq!(proxy.wait_for_asked(/*count*/ 1).len(), 1);
    server_of_proxy.stop();

    // One that is not to be asked.
    for env in [
        vec![("HTTPS_PROXY", address.as_str())],
        vec![("HTTP_PROXY", &address), ("NO_PROXY", "10.0.0.0/8, 127.0.0.0/8")],
        vec![("ALL_PROXY", &address), ("no_proxy", "*")],
    ] {
        mock.script([Answer::text("directly")]);
        let (server, mut client) = server(&mock.base_url(), &env);
        let thread = client.thread();
        assert_eq!(said(&client.turn(&thread, "hello")), "directly");
        server.stop();
    }
    assert_eq!(proxy.wait_for_asked(/*count*/ 1).len(), 1);
}

#[test]
fn a_proxy_that_does_not_serve_fails_the_turn_and_keeps_its_password() {
    let refusing = ConnectProxy::start(Manner::Refuses(407), &[]);
    let refusing = format!("http://me:secret-word@{}", refusing.address());
    for (address, expected) in [
        (refusing.as_str(), "proxy server responded 407"),
        ("http://127.0.0.1:1", "connection refused"),
        ("socks5://me:secret-word@127.0.0.1:1", "`ALL_PROXY` names a SOCKS proxy"),
        ("http://me:secret-word@", "`ALL_PROXY` is not the address of a proxy"),
    ] {
        let (server, mut client) = server("http://plain.test/v1", &[("ALL_PROXY", address)]);
        let message = failure(&mut client);
        assert!(message.contains(expected), "{message}");
        let heard = client.heard_texts().join("\n");
        assert!(!heard.contains("secret-word"), "{heard}");
        server.stop();
    }
}

#[test]
fn an_interrupt_reaches_a_silent_proxy() {
    let proxy = ConnectProxy::start(Manner::KeepsSilent, &[]);
    let address = format!("http://{}", proxy.address());
    let (server, mut client) = server("http://plain.test/v1", &[("HTTP_PROXY", &address)]);
    let thread = client.thread();
    let turn = client.start_turn(&thread, "wait");
    proxy.wait_for_asked(/*count*/ 1);
    assert!(interrupt(&mut client, &thread, &turn) < PATIENCE);
    server.stop();
}

/// A port whose queue of connections is full: who connects now waits for an answer to its first packet.
struct FullQueue {
    address: SocketAddr,
    _listener: Socket,
    _waiting: Vec<TcpStream>,
}

impl FullQueue {
    fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
        listener.listen(/*backlog*/ 0).expect("it listens");
        let address = listener.local_addr().expect("its address").as_socket().expect("IPv4");
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            waiting.push(stream);
            assert!(waiting.len() < 100, "the queue is never full");
        }
        Self { address, _listener: listener, _waiting: waiting }
    }
}

/// The states of TCP connections to this port, as the system numbers them (2: the first packet was sent).
fn states_to(port: u16) -> Vec<u8> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("a table of connections");
    let to = format!(":{port:04X}");
    let of_line = |line: &str| {
        let mut words = line.split_whitespace().skip(2);
        let (remote, state) = (words.next()?, words.next()?);
        remote.ends_with(&to).then(|| u8::from_str_radix(state, 16).ok()).flatten()
    };
    table.lines().filter_map(of_line).collect()
}

#[test]
fn an_interrupt_ends_a_connection_that_is_being_made() {
    const FIRST_PACKET_SENT: u8 = 2;
    let full = FullQueue::new();
    let connecting = || states_to(full.address.port()).contains(&FIRST_PACKET_SENT);
    let (server, mut client) = server(&url("http", "127.0.0.1", full.address), &[]);
    let thread = client.thread();
    let mut quickest = PATIENCE;
    for _ in 0..3 {
        server.until("no connection is being made", |_| !connecting());
        let turn = client.start_turn(&thread, "wait");
        server.until("a connection is being made", |_| connecting());
        quickest = quickest.min(interrupt(&mut client, &thread, &turn));
    }
    // Of several, because the machine may be busy; without an interrupt it takes three times as long.
    assert!(quickest < PATIENCE / 4, "{quickest:?}");
    server.until_gone("turn-");
    assert_eq!(client.read(&thread)["status"], json!({ "type": "idle" }));
    server.stop();
}
