//! An HTTP proxy for tests that knows CONNECT, keeps what it was asked, and looks up names in a table of its
//! own.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use app_server::sys::worker::Worker;

use super::PATIENCE;
use super::process::STACK_BYTES;
use super::watched::Watched;

/// What it does with a CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Connects to where its table says.
    Serves,
    /// Answers with this status.
    Refuses(u16),
    /// Says nothing.
    KeepsSilent,
}

/// A running proxy. Connections are closed and its workers joined when it is dropped.
pub(crate) struct ConnectProxy {
    address: SocketAddr,
    state: Arc<Watched<State>>,
    acceptor: Option<Worker>,
}

#[derive(Default)]
struct State {
    /// The heads of the requests so far.
    asked: Vec<String>,
    sockets: Vec<TcpStream>,
    workers: Vec<Worker>,
    stopped: bool,
}

impl ConnectProxy {
    pub(crate) fn start(manner: Manner, table: &[(&str, SocketAddr)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let table: HashMap<String, SocketAddr> =
            table.iter().map(|(name, address)| ((*name).to_owned(), *address)).collect();
        let table = Arc::new(table);
        let state = Arc::new(Watched::<State>::default());
        let accepting = Arc::clone(&state);
        let acceptor = Worker::spawn("proxy-accept", STACK_BYTES, move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.now().stopped {
                    return;
                }
                let (serving, table) = (Arc::clone(&accepting), Arc::clone(&table));
                keep(&accepting, &client);
                let worker = Worker::spawn("proxy", STACK_BYTES, move || {
                    // A client that goes away has its reasons.
                    let _ = serve(&serving, manner, &table, &client);
                    let _ = client.shutdown(Shutdown::Both);
                });
                accepting.change(|state| state.workers.push(worker.expect("a worker")));
            }
        });
        Self { address, state, acceptor: Some(acceptor.expect("a worker")) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The heads of the requests so far, at least this many.
    pub(crate) fn wait_for_asked(&self, count: usize) -> Vec<String> {
        let look = |state: &mut State| (state.asked.len() >= count).then(|| state.asked.clone());
        self.state.wait(PATIENCE, look).expect("the proxy is asked")
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        let workers = self.state.change(|state| {
            state.stopped = true;
            for socket in &state.sockets {
                let _ = socket.shutdown(Shutdown::Both);
            }
            std::mem::take(&mut state.workers)
        });
        // Wakes the acceptor.
        drop(TcpStream::connect(self.address));
        drop(self.acceptor.take());
        drop(workers);
    }
}

fn keep(state: &Watched<State>, socket: &TcpStream) {
    let socket = socket.try_clone().expect("another handle of the socket");
    state.change(|state| state.sockets.push(socket));
}

fn serve(
    state: &Watched<State>,
    manner: Manner,
    table: &HashMap<String, SocketAddr>,
    mut client: &TcpStream,
) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte)? > 0 {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    state.change(|state| state.asked.push(head.clone()));
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let address = match (manner, table.get(target)) {
        (Manner::Serves, Some(address)) => address,
        (Manner::KeepsSilent, _) => return client.read(&mut byte).map(drop),
        (Manner::Serves, None) => return write!(client, "HTTP/1.1 502 Unknown\r\n\r\n"),
        (Manner::Refuses(status), _) => return write!(client, "HTTP/1.1 {status} No\r\n\r\n"),
    };
    let server = TcpStream::connect(address)?;
    keep(state, &server);
    write!(client, "HTTP/1.1 200 Connected\r\n\r\n")?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    let back = Worker::spawn("proxy-back", STACK_BYTES, move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let _ = io::copy(&mut client, &mut &server);
    let _ = server.shutdown(Shutdown::Both);
    drop(back);
    Ok(())
}
