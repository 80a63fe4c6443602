//! `fuzzyFileSearch` and its sessions. Each runs on a worker of its own, which encodes what it has to say.

use crate::agent::Encoded;
use crate::files::{Match, Progress, Search};
use crate::limits;
use crate::net::ConnectionId;
use crate::proto::{
    EmptyResponse, FuzzyFileSearchMatchType, FuzzyFileSearchParams, FuzzyFileSearchResponse,
    FuzzyFileSearchResult, FuzzyFileSearchSessionCompleted, FuzzyFileSearchSessionStartParams,
    FuzzyFileSearchSessionStopParams, FuzzyFileSearchSessionUpdateParams, FuzzyFileSearchSessionUpdated,
};
use crate::rpc::{Reason, Reply, RpcError};
use crate::server::dispatch::Caller;
use crate::server::files::SearchName;
use crate::server::processor::Processor;
use crate::server::{Event, EventSender};

fn refused(text: impl Into<String>) -> RpcError {
    RpcError::invalid_request(text).with(Reason::InvalidParams)
}

fn check_roots(roots: &[String]) -> Result<(), RpcError> {
    if roots.len() > limits::SEARCH_ROOTS_MAX {
        return Err(refused(format!("roots has more than {} folders", limits::SEARCH_ROOTS_MAX)));
    }
    Ok(())
}

fn check_query(query: &str) -> Result<(), RpcError> {
    if query.len() > limits::SEARCH_QUERY_BYTES_MAX {
        return Err(refused(format!("query is longer than {} bytes", limits::SEARCH_QUERY_BYTES_MAX)));
    }
    Ok(())
}

fn result(found: Match) -> FuzzyFileSearchResult {
    FuzzyFileSearchResult {
        root: found.root.as_ref().to_owned(),
        file_name: found.path[found.name_at..].to_owned(),
        match_type: if found.is_directory {
            FuzzyFileSearchMatchType::Directory
        } else {
            FuzzyFileSearchMatchType::File
        },
        path: found.path,
        score: found.score,
        indices: Some(found.indices),
    }
}

/// `fuzzyFileSearch`: answered when all was looked at, or with what was found until another search took its
/// token.
pub(in crate::server) fn search(
    processor: &mut Processor,
    caller: Caller,
    params: FuzzyFileSearchParams,
    reply: Reply,
) {
    let FuzzyFileSearchParams { query, roots, cancellation_token } = params;
    if let Err(error) = check_roots(&roots).and_then(|()| check_query(&query)) {
        return reply.refuse(error);
    }
    if query.is_empty() || roots.is_empty() {
        return reply.send(Ok(FuzzyFileSearchResponse { files: Vec::new() }));
    }
    let connection = caller.connection;
    let name = match cancellation_token {
        Some(token) => SearchName::Token(token),
        None => SearchName::Number(processor.files.next_number()),
    };
    let own_name = name.clone();
    // Outside of what may be refused, so that it can say why.
    let mut reply = Some(reply);
    let begun = processor.begin_search(connection, name, |processor, number| {
        let events = processor.services.events.clone();
        let memory = &processor.files.search_memory;
        let reply = reply.take();
        Search::once(number, roots, query, memory, move |found| {
            let files = found.into_iter().map(result).collect();
            if let Some(reply) = reply {
                events.tell(Event::Answer(reply.encode(Ok(FuzzyFileSearchResponse { files }))));
            }
            events.tell(Event::Then(Box::new(move |processor| {
                processor.end_search(connection, &own_name, Some(number));
            })));
        })
    });
    if let (Err(error), Some(reply)) = (begun, reply) {
        reply.refuse(error);
    }
}

/// `fuzzyFileSearch/sessionStart`. A session that has the name already is replaced.
pub(in crate::server) fn start(
    processor: &mut Processor,
    caller: Caller,
    params: FuzzyFileSearchSessionStartParams,
) -> Result<EmptyResponse, RpcError> {
    let FuzzyFileSearchSessionStartParams { session_id, roots } = params;
    if session_id.is_empty() {
        return Err(refused("sessionId must not be empty"));
    }
    check_roots(&roots)?;
    let connection = caller.connection;
    let name = SearchName::Session(session_id.clone());
    processor.begin_search(connection, name, |processor, number| {
        let clock = processor.services.clock.clone();
        let mut speaker =
            Speaker { connection, session_id, number, events: processor.services.events.clone() };
        let stamp = clock.clone();
        let tell = move |progress| speaker.say(progress, stamp.wall_ms());
        Search::start(number, roots, &processor.files.search_memory, clock, tell)
    })?;
    Ok(EmptyResponse {})
}

/// Says on a session's worker what it has found.
struct Speaker {
    connection: ConnectionId,
    session_id: String,
    number: u64,
    events: EventSender,
}

impl Speaker {
    fn say(&mut self, progress: Progress, wall_ms: i64) {
        let Progress { query, matches, is_complete } = progress;
        if let Some(matches) = matches {
            let files: Vec<FuzzyFileSearchResult> = matches.into_iter().map(result).collect();
            let (session_id, query, files) = (&*self.session_id, &*query, &*files);
            let updated = FuzzyFileSearchSessionUpdated { session_id, query, files };
            self.tell(Encoded::new(&updated, wall_ms));
        }
        if is_complete {
            let completed = FuzzyFileSearchSessionCompleted { session_id: &self.session_id };
            self.tell(Encoded::new(&completed, wall_ms));
        }
    }

    fn tell(&self, encoded: Option<Encoded>) {
        let Some(encoded) = encoded else { return };
        let (connection, number) = (self.connection, self.number);
        let name = SearchName::Session(self.session_id.clone());
        self.events.tell(Event::Then(Box::new(move |processor| {
            // Stopped or replaced since, perhaps: nothing comes after that was answered.
            if processor.search(connection, &name).is_some_and(|(now, _)| now == number) {
                processor.tell_client(connection, &encoded);
            }
        })));
    }
}

/// `fuzzyFileSearch/sessionUpdate`.
pub(in crate::server) fn update(
    processor: &mut Processor,
    caller: Caller,
    params: FuzzyFileSearchSessionUpdateParams,
) -> Result<EmptyResponse, RpcError> {
    check_query(&params.query)?;
    let name = SearchName::Session(params.session_id);
    match processor.search(caller.connection, &name) {
        Some((_, search)) => search.look_for(params.query),
        None => {
            let SearchName::Session(id) = name else { return Ok(EmptyResponse {}) };
            return Err(refused(format!("fuzzy file search session not found: {id}")));
        }
    }
    Ok(EmptyResponse {})
}

/// `fuzzyFileSearch/sessionStop`. A session that is not there is stopped already.
pub(in crate::server) fn stop(
    processor: &mut Processor,
    caller: Caller,
    params: FuzzyFileSearchSessionStopParams,
) -> Result<EmptyResponse, RpcError> {
    processor.end_search(caller.connection, &SearchName::Session(params.session_id), /*number*/ None);
    Ok(EmptyResponse {})
}
