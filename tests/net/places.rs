//! Other places to listen: unix sockets, and sockets that a supervisor opened.

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use app_server::clock::Clock;
use app_server::config::net::{Endpoint, NetConfig};
use app_server::net::Listener;
use app_server::sys::activation;
use app_server::sys::notify::Supervisor;

use crate::support::{Client, PATIENCE, Server, exchange, status, wiring};

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("app-server-net-{}", std::process::id())).join(name)
}

#[test]
fn a_unix_socket_serves_websockets_and_probes_and_goes_at_the_end() {
    let path = path("serve.sock");
    let server = Server::on(Clock::real(), &Endpoint::Unix(path.clone()), |_| {});
    assert!(server.listener.banner().contains(&format!("listening on: unix://{}", path.display())));
    let connect = || {
        let stream = UnixStream::connect(&path).expect("it connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        stream
    };
    let mut client = Client::over(connect()).initialized();
    let text = "x".repeat(3_000_000);
    assert_eq!(client.call("echo", text.as_str().into())["result"], text);
    assert_eq!(status(&exchange(connect(), b"GET /readyz HTTP/1.1\r\n\r\n")), "200");
    drop(server.listener);
    assert_eq!(client.close().0, 1001);
    assert!(!path.exists());
}

#[test]
fn a_passed_socket_is_served_and_outlives_the_server() {
    let supervisor = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a socket");
    supervisor.set_nonblocking(true).expect("as systemd does");
    let address = supervisor.local_addr().expect("an address");
    for _ in 0..2 {
        let (wiring, drain, timer) = wiring(Clock::real());
        let passed = OwnedFd::from(supervisor.try_clone().expect("a copy"));
        let listener = Listener::adopt(NetConfig::new(), passed, wiring).expect("it serves");
        assert_eq!(listener.bound(), &Endpoint::Tcp(address));
        let stream = std::net::TcpStream::connect(address).expect("it connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        assert_eq!(status(&exchange(stream, b"GET /healthz HTTP/1.1\r\n\r\n")), "200");
        drop((listener, drain, timer));
    }
    // Nobody serves it now, but it still listens: the next server finds the client in the queue.
    std::net::TcpStream::connect(address).expect("it still listens");
    let unix = path("passed.sock");
    std::fs::create_dir_all(unix.parent().expect("a folder")).expect("a folder");
    let _ = std::fs::remove_file(&unix);
    let supervisor = std::os::unix::net::UnixListener::bind(&unix).expect("a socket");
    let (wiring, _drain, _timer) = wiring(Clock::real());
    let passed = OwnedFd::from(supervisor.try_clone().expect("a copy"));
    drop(Listener::adopt(NetConfig::new(), passed, wiring).expect("it serves"));
    assert!(unix.exists(), "the file is the supervisor's");
    std::fs::remove_file(unix).expect("it is there");
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let server = Server::start();
    let (wiring, _drain, _timer) = wiring(Clock::real());
    let endpoint = Endpoint::Tcp(server.address());
    let error = Listener::start(NetConfig::new(), &endpoint, wiring).expect_err("in use").to_string();
    assert!(error.contains(&format!("cannot listen on ws://{}", server.address())), "{error}");
}

/// As systemd does it: descriptor 3, `LISTEN_PID` and `LISTEN_FDS`, and a datagram socket for `READY=1`.
#[test]
fn an_activated_process_serves_the_passed_socket_and_says_that_it_is_ready() {
    if std::env::var_os("NET_ACTIVATED").is_some() {
        let socket = activation::take().expect("a good environment").expect("a socket");
        let (wiring, _drain, _timer) = wiring(Clock::real());
        let _listener = Listener::adopt(NetConfig::new(), socket, wiring).expect("it serves");
        Supervisor::from_env().ready();
        // Until the supervisor ends it.
        loop {
            std::thread::park();
        }
    }
    let notify = path("notify.sock");
    std::fs::create_dir_all(notify.parent().expect("a folder")).expect("a folder");
    let _ = std::fs::remove_file(&notify);
    let supervisor = UnixDatagram::bind(&notify).expect("a socket");
    supervisor.set_read_timeout(Some(PATIENCE)).expect("an option");
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a socket");
    let address = listener.local_addr().expect("an address");
    let test = "places::an_activated_process_serves_the_passed_socket_and_says_that_it_is_ready";
    let mut child = Command::new("sh")
        // The process id stays the same through `exec`.
        .args([
            "-c",
            r#"export LISTEN_PID=$$ LISTEN_FDS=1; exec 3<&0 "$0" --exact "$1" --nocapture </dev/null"#,
        ])
        .arg(std::env::current_exe().expect("a test binary"))
        .arg(test)
        .env("NET_ACTIVATED", "1")
        .env("NOTIFY_SOCKET", &notify)
        .stdin(OwnedFd::from(listener))
        .stdout(Stdio::null())
        .spawn()
        .expect("it runs");
    let mut told = [0; 100];
    let heard = supervisor.recv(&mut told).map(|size| told[..size].to_vec());
    let answer = heard.as_ref().ok().and_then(|_| {
        let stream = std::net::TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        Some(exchange(stream, b"GET /healthz HTTP/1.1\r\n\r\n"))
    });
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    std::fs::remove_file(notify).expect("it is there");
    assert_eq!(heard.expect("a message"), b"READY=1");
    assert_eq!(answer.as_deref().map(status), Some("200"));
}
