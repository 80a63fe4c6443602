//! The mock model: the Responses API over HTTP and Server-Sent Events, as fast as it goes.
//!
//! The last `deltas=N size=M` in a request says how many deltas of how many bytes answer it. Answers are made
//! once and sent as they are, head and body in one write, so that the model costs every peer the same and next
//! to nothing. It is written by hand because `tiny_http` sets no `TCP_NODELAY`: a second answer on one
//! connection would wait 40 ms for the client's delayed acknowledgement.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use super::clock::in_background;

/// A running mock model; it ends with the process.
pub(crate) struct MockModel {
    /// Where it listens.
    pub(crate) port: u16,
    answers: Arc<Answers>,
}

/// Whole answers by number and size of their deltas.
#[derive(Default)]
struct Answers(Mutex<Rendered>);

type Rendered = HashMap<(usize, usize), Arc<[u8]>>;

impl MockModel {
    /// Listens on a port of loopback.
    pub(crate) fn start() -> Result<Self, String> {
        let failed = |error: io::Error| format!("the mock model: {error}");
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let answers = Arc::new(Answers::default());
        let model = Self { port, answers: Arc::clone(&answers) };
        in_background(move || {
            for stream in listener.incoming().flatten() {
                let answers = Arc::clone(&answers);
                // Whoever hangs up does not want the rest.
                in_background(move || drop(serve(stream, &answers)));
            }
        });
        Ok(model)
    }

    /// Bytes of the answer with `deltas` deltas of `size` bytes.
    pub(crate) fn answer_bytes(&self, deltas: usize, size: usize) -> usize {
        self.answers.get(deltas, size).len()
    }
}

/// Answers one request after the other until the client hangs up.
fn serve(mut stream: TcpStream, answers: &Answers) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(64 * 1024, stream.try_clone()?);
    let mut line = String::new();
    let mut body = Vec::new();
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let Some((name, value)) = line.split_once(':') else {
                if line.trim().is_empty() {
                    break;
                }
                continue;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            } else if name.eq_ignore_ascii_case("expect") {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        let (deltas, size) = wanted(&String::from_utf8_lossy(&body));
        stream.write_all(&answers.get(deltas, size))?;
    }
}

/// What the last `deltas=N size=M` of the request says.
fn wanted(body: &str) -> (usize, usize) {
    let Some(at) = body.rfind("deltas=") else { return (20, 16) };
    let mut numbers = body[at..].split(|byte: char| !byte.is_ascii_digit()).filter(|word| !word.is_empty());
    let mut next = || numbers.next().and_then(|word| word.parse().ok());
    (next().unwrap_or(20), next().unwrap_or(16))
}

impl Answers {
    fn get(&self, deltas: usize, size: usize) -> Arc<[u8]> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let render = || {
            let events = render(deltas, size);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length:";
            let mut answer = format!("{head} {}\r\n\r\n", events.len()).into_bytes();
            answer.extend_from_slice(&events);
            answer.into()
        };
        Arc::clone(made.entry((deltas, size)).or_insert_with(render))
    }
}

fn render(deltas: usize, size: usize) -> Vec<u8> {
    let delta = "x".repeat(size);
    let text = delta.repeat(deltas);
    let mut out = Vec::new();
    let mut event = |name: &str, mut data: serde_json::Value| {
        data["type"] = name.into();
        out.extend_from_slice(format!("event: {name}\ndata: {data}\n\n").as_bytes());
    };
    let item = json!({"type": "message", "id": "msg_1", "role": "assistant", "content": []});
    event("response.created", json!({"response": {"id": "resp_1"}}));
    event("response.output_item.added", json!({"output_index": 0, "item": item}));
    for _ in 0..deltas {
        let data = json!({"item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": delta});
        event("response.output_text.delta", data);
    }
    let item = json!({"type": "message", "id": "msg_1", "role": "assistant",
        "content": [{"type": "output_text", "text": text}]});
    event("response.output_item.done", json!({"output_index": 0, "item": item}));
    let usage = json!({"input_tokens": 10, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 10,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 20});
    event("response.completed", json!({"response": {"id": "resp_1", "output": [], "usage": usage}}));
    out
}
