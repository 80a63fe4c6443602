//! `thread/search` and `thread/searchOccurrences`.

use super::thread_life::store_of;
use super::thread_lists::{direction, refusal, shown, sort_key, source_names};
use super::{page_limit, thread_id};
use crate::proto::{
    ThreadSearchOccurrence, ThreadSearchOccurrencesParams, ThreadSearchOccurrencesResponse,
    ThreadSearchParams, ThreadSearchResponse, ThreadSearchResult, ThreadSearchTextRange,
};
use crate::rpc::{Reason, Reply, RpcError};
use crate::server::dispatch::{Caller, Query};
use crate::server::processor::Processor;
use crate::store::{Direction, Occurrence, OccurrenceQuery, SearchIn, ThreadQuery};

/// `thread/search`: threads by what their titles and messages say.
pub(in crate::server) fn threads(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadSearchParams,
    reply: Reply,
) {
    if let Err(error) = refuse_empty(&params.search_term) {
        return reply.refuse(error);
    }
    let query = ThreadQuery {
        cursor: params.page.cursor,
        limit: page_limit(params.page.limit),
        sort_key: sort_key(params.sort_key),
        direction: direction(params.sort_direction, Direction::Descending),
        archived: params.archived.unwrap_or(false),
        sources: source_names(params.source_kinds),
        search_term: Some(params.search_term),
        ..ThreadQuery::default()
    };
    let store = processor.services.store.clone();
    processor.read_then(
        &store,
        reply,
        move |database| database.search_threads(&query, SearchIn::Everything),
        |processor, reply, page| {
            let result = |hit: crate::store::ThreadHit| ThreadSearchResult {
                thread: shown(processor, &hit.record),
                snippet: hit.snippet,
            };
            reply.send(Ok(ThreadSearchResponse {
                data: page.hits.into_iter().map(result).collect(),
                next_cursor: page.next_cursor,
                backwards_cursor: page.backwards_cursor,
            }));
        },
    );
}

/// `thread/searchOccurrences`: where one thread's messages say something.
pub(in crate::server) fn occurrences(
    processor: &mut Processor,
    params: ThreadSearchOccurrencesParams,
) -> Result<Query<ThreadSearchOccurrencesResponse>, RpcError> {
    refuse_empty(&params.search_term)?;
    let id = thread_id(&params.thread_id)?;
    let query = OccurrenceQuery {
        term: params.search_term,
        cursor: params.page.cursor,
        limit: page_limit(params.page.limit),
    };
    let read = move |database: &crate::store::Database| {
        let page = database.occurrences(&id.to_string(), &query).map_err(refusal(id))?;
        Ok(ThreadSearchOccurrencesResponse {
            data: page.occurrences.into_iter().map(occurrence).collect(),
            next_cursor: page.next_cursor,
        })
    };
    Ok(Query { store: store_of(processor, id), read: Box::new(read) })
}

fn occurrence(found: Occurrence) -> ThreadSearchOccurrence {
    let text = &found.snippet.text;
    let units = |bytes: usize| u32::try_from(text[..bytes].encode_utf16().count()).unwrap_or(u32::MAX);
    let range =
        ThreadSearchTextRange { start: units(found.snippet.hit.start), end: units(found.snippet.hit.end) };
    ThreadSearchOccurrence {
        turn_id: found.turn_id,
        item_id: found.item_id,
        turn_cursor: found.turn_cursor,
        snippet: found.snippet.text,
        snippet_match_range: range,
    }
}

fn refuse_empty(term: &str) -> Result<(), RpcError> {
    if term.is_empty() {
        return Err(RpcError::invalid_request("searchTerm must not be empty").with(Reason::InvalidParams));
    }
    Ok(())
}
