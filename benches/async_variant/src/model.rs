//! A turn: one request of the Responses API by hand over a TCP stream, and its deltas to the subscribers.

use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use app_server::proto::{AgentMessageDelta, Notification};

use crate::Failure;
use crate::processor::{Event, encoded, home};

/// Where the model is.
pub struct Provider {
    address: String,
    path: String,
}

#[derive(Deserialize)]
struct SseEvent<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    delta: Option<std::borrow::Cow<'a, str>>,
}

impl Provider {
    /// The provider of the home's configuration; its only `base_url` is taken.
    pub fn from_home() -> Result<Option<Self>, Failure> {
        let Some(home) = home() else { return Ok(None) };
        let Ok(config) = std::fs::read_to_string(home.join("config.toml")) else { return Ok(None) };
        let line = config.lines().find_map(|line| line.trim().strip_prefix("base_url"));
        let Some(url) = line.and_then(|line| line.split('"').nth(1)) else { return Ok(None) };
        let rest = url.strip_prefix("http://").ok_or("the async variant speaks http:// only")?;
        let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Some(Self { address: address.to_owned(), path: format!("/{path}/responses") }))
    }
}

/// Runs a turn and tells the subscribers of its thread.
pub async fn turn(
    provider: &Provider,
    thread: String,
    turn: String,
    input: serde_json::Value,
    events: mpsc::Sender<Event>,
) {
    let tell = async |method: &str, params: &serde_json::Value| {
        let _ = events.send(Event::Turn(thread.clone(), encoded(method, params))).await;
    };
    tell("turn/started", &json!({"threadId": thread, "turn": {"id": turn}})).await;
    let failure = stream(provider, &thread, &turn, &input, &events).await.err();
    let status = if failure.is_some() { "failed" } else { "completed" };
    let error = failure.map(|failure| json!({"message": failure.to_string()}));
    tell(
        "turn/completed",
        &json!({"threadId": thread, "turn": {"id": turn, "status": status, "error": error}}),
    )
    .await;
}

async fn stream(
    provider: &Provider,
    thread: &str,
    turn: &str,
    input: &serde_json::Value,
    events: &mpsc::Sender<Event>,
) -> Result<(), Failure> {
    let body = json!({"model": "mock-model", "stream": true, "input": input}).to_string();
    let mut stream = TcpStream::connect(&provider.address).await?;
    stream.set_nodelay(true)?;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        provider.path,
        provider.address,
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut reader = BufReader::with_capacity(64 * 1024, stream);
    let mut line = String::new();
    let mut length = None;
    while reader.read_line(&mut line).await? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse::<u64>().ok();
        }
        line.clear();
    }
    let mut reader = BufReader::new(reader.take(length.ok_or("want an answer with a content-length")?));
    line.clear();
    while reader.read_line(&mut line).await? > 0 {
        if let Some(data) = line.strip_prefix("data:")
            && let Ok(SseEvent { kind, delta }) = serde_json::from_str(data)
        {
            match (kind, delta) {
                ("response.output_text.delta", Some(delta)) => {
                    let grown = AgentMessageDelta {
                        thread_id: thread,
                        turn_id: turn,
                        item_id: "msg_1",
                        delta: &delta,
                    };
                    let message = encoded(AgentMessageDelta::METHOD, &grown);
                    events.send(Event::Turn(thread.to_owned(), message)).await?;
                }
                ("response.completed", _) => return Ok(()),
                _ => {}
            }
        }
        line.clear();
    }
    Err("the stream ended early".into())
}
