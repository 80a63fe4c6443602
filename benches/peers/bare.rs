//! What the way through a server costs when nothing is done on it: a WebSocket server that answers each
//! message with the same result, by way of a reader, a processor and a writer with bounded channels between
//! them. The bench starts itself as this server, so that it is a process of its own like any peer.

use std::net::{TcpListener, TcpStream};

use crossbeam_channel::{Receiver, Sender, bounded};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, Utf8Bytes, WebSocket};

use super::clock::in_background;
use super::peer::Peer;

/// The argument that makes the bench this server.
pub(crate) const SERVE: &str = "--serve-bare";

const ANSWER: &str = r#"{"id":1,"result":{"data":[],"nextCursor":null}}"#;
const ROOM: usize = 1024;

/// A message, and where its answer goes.
type Job = (Utf8Bytes, Sender<Utf8Bytes>);

/// The server as a peer.
pub(crate) fn peer() -> Result<Peer, String> {
    let program = std::env::current_exe().map_err(|error| format!("the bench's own program: {error}"))?;
    Ok(Peer::new("bare", vec![program.display().to_string(), SERVE.to_owned()]))
}

/// Serves until it is killed.
pub(crate) fn serve() -> Result<(), String> {
    let failed = |error: std::io::Error| format!("bare server: {error}");
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    announce(&format!("listening on: ws://{address}"));
    let (jobs, queue) = bounded::<Job>(ROOM);
    in_background(move || {
        for (message, answers) in queue {
            if message.contains("\"id\"") && answers.send(Utf8Bytes::from_static(ANSWER)).is_err() {
                continue;
            }
        }
    });
    for stream in listener.incoming().flatten() {
        let jobs = jobs.clone();
        in_background(move || {
            let _ = read(stream, &jobs);
        });
    }
    Ok(())
}

fn read(stream: TcpStream, jobs: &Sender<Job>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let writing = stream.try_clone().ok()?;
    let config = WebSocketConfig::default().read_buffer_size(8 * 1024).write_buffer_size(0);
    let mut socket = tungstenite::accept_with_config(stream, Some(config)).ok()?;
    let (answers, said) = bounded(ROOM);
    in_background(move || drop(write(writing, &said)));
    loop {
        if let Message::Text(text) = socket.read().ok()? {
            jobs.send((text, answers.clone())).ok()?;
        }
    }
}

/// One system call for all that is there.
fn write(stream: TcpStream, said: &Receiver<Utf8Bytes>) -> Result<(), tungstenite::Error> {
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, /*config*/ None);
    while let Ok(first) = said.recv() {
        for text in std::iter::once(first).chain(said.try_iter()) {
            socket.write(Message::Text(text))?;
        }
        socket.flush()?;
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "where every server of this protocol says its address")]
fn announce(line: &str) {
    eprintln!("{line}");
}
