//! `fs/watch`, `fs/unwatch`. The processor keeps the names, the worker for watches does the rest.

use crate::agent::Encoded;
use crate::limits;
use crate::proto::{EmptyResponse, FsChanged, FsUnwatchParams, FsWatchParams, FsWatchResponse};
use crate::rpc::{Reason, Reply, RpcError};
use crate::server::Event;
use crate::server::dispatch::Caller;
use crate::server::files::WatchRefusal;
use crate::server::processor::Processor;

/// `fs/watch`. Answered by the worker once the watch stands; what changes comes after the answer.
pub(in crate::server) fn watch(
    processor: &mut Processor,
    caller: Caller,
    params: FsWatchParams,
    reply: Reply,
) {
    if let Err(error) = processor.watcher() {
        return reply.refuse(error);
    }
    let connection = caller.connection;
    let FsWatchParams { path, watch_id } = params;
    let number = match processor.files.begin_watch(connection, &watch_id) {
        Ok(number) => number,
        Err(refusal) => return reply.refuse(refused(refusal, &watch_id)),
    };
    let (events, clock) = (processor.services.events.clone(), processor.services.clock.clone());
    let (name, changed_name) = (watch_id.clone(), watch_id.clone());
    let changed = move |changed_paths: Vec<std::path::PathBuf>| {
        let notification = FsChanged { watch_id: &changed_name, changed_paths: &changed_paths };
        let Some(encoded) = Encoded::new(&notification, clock.wall_ms()) else { return };
        let name = changed_name.clone();
        events.tell(Event::Then(Box::new(move |processor| {
            // Unwatched since, perhaps: nothing comes after that was answered.
            if processor.files.is_watch(connection, &name, number) {
                processor.tell_client(connection, &encoded);
            }
        })));
    };
    let (watched, events) = (path.clone().into_path(), processor.services.events.clone());
    let reply = reply.queueing();
    let stands = move |outcome: Result<(), crate::files::FileError>| {
        let reply = reply.arrived();
        match outcome {
            Ok(()) => events.tell(Event::Answer(reply.encode(Ok(FsWatchResponse { path })))),
            Err(error) => events.tell(Event::Then(Box::new(move |processor| {
                if processor.files.is_watch(connection, &name, number) {
                    processor.files.end_watch(connection, &name);
                }
                reply.refuse(super::fs::refusal(error));
            }))),
        }
    };
    // Where it is not taken, the reply that is dropped with it says so.
    let taken = processor.watcher().map(|watcher| watcher.watch(number, watched, changed, stands));
    if taken != Ok(Ok(())) {
        processor.files.end_watch(connection, &watch_id);
    }
}

fn refused(refusal: WatchRefusal, name: &str) -> RpcError {
    match refusal {
        WatchRefusal::InUse => {
            RpcError::invalid_request(format!("watchId already exists: {name}")).with(Reason::InvalidParams)
        }
        WatchRefusal::TooManyHere => RpcError::limit(format!(
            "this connection has {} watches already; end one with fs/unwatch",
            limits::WATCHES_PER_CONNECTION
        )),
        WatchRefusal::TooMany => {
            RpcError::limit(format!("the server has {} watches already; retry later", limits::WATCHES_MAX))
        }
    }
}

/// `fs/unwatch`. A name that stands for nothing is none the worse.
pub(in crate::server) fn unwatch(
    processor: &mut Processor,
    caller: Caller,
    params: FsUnwatchParams,
) -> Result<EmptyResponse, RpcError> {
    processor.files.end_watch(caller.connection, &params.watch_id);
    Ok(EmptyResponse {})
}
