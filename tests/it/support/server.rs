//! A running server and the connections to it.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::client::Client;
use super::home::Home;
use super::process::{Launch, Process};
use super::wire::{self, Receiver, Sender};
use super::{PATIENCE, Transport};

/// A running server; as a process it can be watched and signalled.
#[derive(Debug)]
pub(crate) struct Server {
    process: Process,
    /// Where it listens; none on stdio.
    address: Option<SocketAddr>,
}

impl Server {
    /// A server in a home of its own.
    pub(crate) fn start(transport: Transport) -> Self {
        Self::start_with(transport, &Home::new(), [])
    }

    pub(crate) fn start_in(transport: Transport, home: &Arc<Home>) -> Self {
        Self::start_with(transport, home, [])
    }

    pub(crate) fn start_with<'a>(
        transport: Transport,
        home: &Arc<Home>,
        args: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self::launch(transport, Launch::new(home).args(args))
    }

    /// A server started in a way of its own.
    pub(crate) fn launch(transport: Transport, launch: Launch) -> Self {
        match transport {
            Transport::Stdio => Self { process: launch.start(), address: None },
            Transport::WebSocket => {
                let process = launch.args(["--listen", "ws://127.0.0.1:0"]).start();
                let address = process.says("the address", address);
                Self { process, address: Some(address) }
            }
        }
    }

    /// Where it listens; none on stdio.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// A new connection; on stdio there is one.
    pub(crate) fn connect(&mut self) -> Client {
        let (sender, receiver) = match self.address {
            Some(address) => wire::connect(address),
            None => {
                let stdin = self.process.stdin.take().expect("the one connection on stdio");
                let stdout = self.process.stdout.take().expect("the one connection on stdio");
                (Sender::Pipe(Some(stdin)), Receiver::Pipe(std::io::BufReader::new(stdout)))
            }
        };
        Client::new(sender, receiver)
    }

    /// A new connection over WebSocket with this token, which has said who it is.
    pub(crate) fn client_as(&self, token: &str) -> Client {
        let (sender, receiver) = wire::connect_as(self.address.expect("it listens"), Some(token));
        let mut client = Client::new(sender, receiver);
        client.initialize();
        client
    }

    /// A new connection that has said who it is.
    pub(crate) fn client(&mut self) -> Client {
        let mut client = self.connect();
        client.initialize();
        client
    }

    /// Waits until what the server does once after its start is over: it opens the store and tries out the
    /// sandbox.
    pub(crate) fn settles(&self, client: &mut Client) {
        // Answered by the store, and once it is known what the sandbox can do.
        client.ok("thread/list", json!({}));
        client.ok("server/diagnostics", json!({}));
        self.until_gone("sandbox");
    }

    /// Ends the server as an operator would, and makes sure that it ends well.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.exits_within(PATIENCE);
        assert_eq!(status.code(), Some(0), "{}", self.stderr_at_end());
    }

    /// Ends the client and the server, on a pipe by the end of its input, and makes sure that both end well.
    pub(crate) fn stop_or_close(mut self, mut client: Client) {
        match self.address {
            Some(_) => {
                drop(client);
                self.stop();
            }
            None => {
                client.close_input();
                self.ends_well_within(PATIENCE);
            }
        }
    }

    /// The process must end by itself, without a failure.
    pub(crate) fn ends_well_within(&mut self, deadline: Duration) {
        let status = self.exits_within(deadline);
        assert_eq!(status.code(), Some(0), "{status}: {}", self.stderr_at_end());
    }
}

impl Deref for Server {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// The address in a line of the banner, as real clients find it: colours off, then the first word that starts
/// like one and can be parsed.
fn address(line: &str) -> Option<SocketAddr> {
    let mut plain = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('\u{1b}') {
        plain.push_str(&rest[..at]);
        let escape = &rest[at..];
        rest = escape.find('m').map_or("", |end| &escape[end + 1..]);
    }
    plain.push_str(rest);
    // In a JSON log the line is a member's text.
    plain
        .split(|c: char| c.is_whitespace() || c == '"')
        .find_map(|word| word.strip_prefix("ws://")?.parse().ok())
}

#[test]
fn the_address_is_found_in_a_coloured_banner() {
    let found = address("  listening on: \u{1b}[1;36mws://127.0.0.1:35145\u{1b}[0m");
    assert_eq!(found, Some(SocketAddr::from(([127, 0, 0, 1], 35145))));
    assert_eq!(address("\u{1b}[33mapp-server (ws://unix)"), None);
}
