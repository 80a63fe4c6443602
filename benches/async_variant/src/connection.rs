//! Connections: a reader and a writer task each.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use app_server::limits;
use app_server::rpc::{decode, decode_text};

use crate::processor::Event;

/// Messages that a writer takes at once, before it flushes.
const BATCH: usize = 256;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Serves a WebSocket until it closes.
pub async fn websocket(stream: TcpStream, events: mpsc::Sender<Event>) {
    let config = WebSocketConfig::default().read_buffer_size(4 * 1024);
    let Ok(socket) = tokio_tungstenite::accept_async_with_config(stream, Some(config)).await else { return };
    let (mut sink, mut source) = socket.split();
    let (outbox, mut queued) = mpsc::channel::<Bytes>(limits::OUTBOX_MESSAGES);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let writer = tokio::spawn(async move {
        let mut batch = Vec::new();
        while queued.recv_many(&mut batch, BATCH).await > 0 {
            for message in batch.drain(..) {
                // What the server encodes is JSON, so this check passes.
                let Ok(text) = Utf8Bytes::try_from(message) else { return };
                if sink.feed(Message::Text(text)).await.is_err() {
                    return;
                }
            }
            if sink.flush().await.is_err() {
                return;
            }
        }
    });
    if events.send(Event::Opened(id, outbox)).await.is_err() {
        return;
    }
    while let Some(Ok(message)) = source.next().await {
        let Message::Text(text) = message else { continue };
        if events.send(Event::Message(id, decode_text(&text))).await.is_err() {
            break;
        }
    }
    let _ = events.send(Event::Closed(id)).await;
    let _ = writer.await;
}

/// Serves stdin and stdout until the end of input.
pub async fn stdio(events: mpsc::Sender<Event>) {
    let (outbox, mut queued) = mpsc::channel::<Bytes>(limits::OUTBOX_MESSAGES);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let writer = tokio::spawn(async move {
        let mut output = BufWriter::new(tokio::io::stdout());
        let mut batch = Vec::new();
        while queued.recv_many(&mut batch, BATCH).await > 0 {
            for message in batch.drain(..) {
                if output.write_all(&message).await.is_err() || output.write_all(b"\n").await.is_err() {
                    return;
                }
            }
            if output.flush().await.is_err() {
                return;
            }
        }
    });
    let _ = events.send(Event::Opened(id, outbox)).await;
    let mut input = BufReader::new(tokio::io::stdin());
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line).await.is_ok_and(|count| count > 0) {
        let _ = events.send(Event::Message(id, decode(line.trim_ascii()))).await;
        line.clear();
    }
    let _ = events.send(Event::Closed(id)).await;
    drop(events);
    let _ = writer.await;
}
