//! The server's architecture on tasks instead of OS threads, to measure the one against the other.
//!
//! The same three hops (reader, processor, writer), the same bounds, the same `rpc` and `proto` code, and the
//! same Responses API; no store, no timers, no tools. It answers what the bench asks: `initialize`,
//! `thread/loaded/list`, `thread/start`, `thread/resume`, `turn/start`, `command/exec`. It is not a server to
//! use.

mod commands;
mod connection;
mod model;
mod processor;

use std::net::SocketAddr;

use tokio::sync::mpsc;

use app_server::limits;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (events, inbox) = mpsc::channel(limits::INBOX_MESSAGES);
    let processor = tokio::spawn(processor::run(inbox, model::Provider::from_home()?, events.clone()));
    let words: Vec<String> = std::env::args().collect();
    match words.iter().position(|word| word == "--listen") {
        Some(at) => listen(words.get(at + 1).ok_or("--listen wants a URL")?, events).await,
        None => {
            connection::stdio(events).await;
            processor.abort();
            Ok(())
        }
    }
}

async fn listen(url: &str, events: mpsc::Sender<processor::Event>) -> Result<(), Failure> {
    let address: SocketAddr = url.strip_prefix("ws://").ok_or("want ws://IP:PORT")?.parse()?;
    let listener = tokio::net::TcpListener::bind(address).await?;
    eprintln!("async variant\n  listening on: ws://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection::websocket(stream, events.clone()));
    }
}
