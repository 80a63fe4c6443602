//! The owner of all state: one task, one event after the other.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use app_server::rpc::{
    Incoming, Params, Reason, Request, RequestId, RpcError, Undecodable, error_response, notification,
    response,
};

use crate::model::Provider;

/// What the processor takes.
pub enum Event {
    /// A connection with its outbox.
    Opened(u64, mpsc::Sender<Bytes>),
    /// A message from it.
    Message(u64, Result<Incoming, Undecodable>),
    /// It is gone.
    Closed(u64),
    /// A turn has something for the subscribers of its thread.
    Turn(String, Bytes),
}

#[derive(Default)]
struct State {
    connections: HashMap<u64, mpsc::Sender<Bytes>>,
    threads: HashMap<String, Vec<u64>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ThreadParams {
    thread_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TurnParams {
    thread_id: String,
    input: serde_json::Value,
}

/// Runs until nobody can send events any more.
pub async fn run(mut inbox: mpsc::Receiver<Event>, provider: Option<Provider>, events: mpsc::Sender<Event>) {
    let provider = provider.map(Arc::new);
    let mut state = State::default();
    while let Some(event) = inbox.recv().await {
        match event {
            Event::Opened(id, outbox) => {
                state.connections.insert(id, outbox);
            }
            Event::Closed(id) => {
                state.connections.remove(&id);
                for subscribers in state.threads.values_mut() {
                    subscribers.retain(|subscriber| *subscriber != id);
                }
            }
            Event::Turn(thread, message) => {
                for subscriber in state.threads.get(&thread).into_iter().flatten() {
                    state.push(*subscriber, message.clone());
                }
            }
            Event::Message(id, Ok(Incoming::Request(request))) => {
                let Request { id: request_id, method, params, .. } = request;
                if let Some(answer) = state.answer(id, &request_id, &method, params, &provider, &events) {
                    state.push(id, answer);
                }
            }
            Event::Message(_, Ok(_)) => {}
            Event::Message(id, Err(undecodable)) => {
                state.push(id, error_response(undecodable.id.as_ref(), &undecodable.error));
            }
        }
    }
}

impl State {
    /// Whoever has no room is cut off, as in the real server.
    fn push(&self, connection: u64, message: Bytes) {
        if let Some(outbox) = self.connections.get(&connection) {
            let _ = outbox.try_send(message);
        }
    }

    fn answer(
        &mut self,
        connection: u64,
        id: &RequestId,
        method: &str,
        params: Params,
        provider: &Option<Arc<Provider>>,
        events: &mpsc::Sender<Event>,
    ) -> Option<Bytes> {
        let outcome = match method {
            "initialize" => {
                Ok(json!({"userAgent": "async-variant", "codexHome": "/", "platformFamily": "unix",
                "platformOs": "linux"}))
            }
            "thread/loaded/list" => {
                let data: Vec<&String> = self.threads.keys().collect();
                Ok(json!({"data": data, "nextCursor": null}))
            }
            "thread/start" => {
                let thread = uuid::Uuid::now_v7().to_string();
                self.threads.insert(thread.clone(), vec![connection]);
                Ok(json!({"thread": {"id": thread}}))
            }
            "thread/resume" => decoded::<ThreadParams>(params).map(|params| {
                let subscribers = self.threads.entry(params.thread_id.clone()).or_default();
                if !subscribers.contains(&connection) {
                    subscribers.push(connection);
                }
                json!({"thread": {"id": params.thread_id}})
            }),
            "turn/start" => match (decoded::<TurnParams>(params), provider) {
                (Ok(params), Some(provider)) => {
                    let turn = uuid::Uuid::now_v7().to_string();
                    let provider = Arc::clone(provider);
                    let (answer, events) = (json!({"turn": {"id": turn}}), events.clone());
                    tokio::spawn(async move {
                        crate::model::turn(&provider, params.thread_id, turn, params.input, events).await;
                    });
                    Ok(answer)
                }
                (Ok(_), None) => Err(RpcError::invalid_request("no provider with a base_url is configured")),
                (Err(error), _) => Err(error),
            },
            "command/exec" => match (decoded(params), self.connections.get(&connection)) {
                (Ok(params), Some(outbox)) => {
                    tokio::spawn(crate::commands::exec(id.clone(), params, outbox.clone()));
                    return None;
                }
                (Err(error), _) => Err(error),
                _ => return None,
            },
            _ => Err(RpcError::invalid_request(format!("{method} is not served by the async variant"))
                .with(Reason::UnsupportedMethod)),
        };
        Some(match outcome {
            Ok(result) => response(id, &result),
            Err(error) => error_response(Some(id), &error),
        })
    }
}

fn decoded<T: for<'de> Deserialize<'de>>(params: Params) -> Result<T, RpcError> {
    let text = params.as_ref().map_or("{}", |params| params.get());
    serde_json::from_str(text).map_err(|error| RpcError::invalid_request(format!("Invalid request: {error}")))
}

/// Encodes a notification once, for all who get it.
pub fn encoded(method: &str, params: &impl serde::Serialize) -> Bytes {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    notification(method, params, i64::try_from(now.as_millis()).unwrap_or(0)).unwrap_or_default()
}

/// The home folder, found as the real server finds it.
pub fn home() -> Option<PathBuf> {
    ["APP_SERVER_HOME", "CODEX_HOME"].iter().find_map(std::env::var_os).map(PathBuf::from)
}
