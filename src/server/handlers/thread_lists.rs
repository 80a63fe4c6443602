//! What is read of threads: `thread/read`, `thread/list`, `thread/loaded/list`, `thread/turns/list`,
//! `thread/items/list`, `thread/items/read`.

use super::thread_life::store_of;
use super::{invalid_cursor, page_limit, thread_id, thread_not_found};
use crate::agent::ThreadId;
use crate::proto::{
    OneOrMany, SortDirection, Thread, ThreadItemsListAnchor, ThreadItemsListCursor, ThreadItemsListParams,
    ThreadItemsListResponse, ThreadItemsReadParams, ThreadItemsReadResponse, ThreadListParams,
    ThreadListResponse, ThreadLoadedListParams, ThreadLoadedListResponse, ThreadReadParams,
    ThreadReadResponse, ThreadSortKey, ThreadSourceKind, ThreadStatus, ThreadTurnsListParams, TurnItemsView,
    TurnsPage,
};
use crate::rpc::{Reason, Reply, RpcError};
use crate::server::agenda::shown_read_state;
use crate::server::dispatch::{Caller, Query, store_refusal};
use crate::server::processor::Processor;
use crate::server::view;
use crate::server::view::Running;
use crate::store::{
    Direction, ItemQuery, ItemsView, ReadState, SortKey, StoreError, ThreadPage, ThreadQuery, TurnQuery,
};

/// Most ids in one `thread/items/read`, as the reference has it.
const ITEM_IDS_MAX: usize = 100;

/// What a read needs to know of a thread that may be loaded.
struct Seen {
    id: ThreadId,
    status: ThreadStatus,
    ephemeral: bool,
    running: Option<String>,
}

impl Seen {
    /// Where its open turn runs: the processor knows of its own, the store of those of other processes.
    fn running(&self, database: &crate::store::Database) -> Result<Running<'_>, RpcError> {
        if let Some(turn) = &self.running {
            return Ok(Running::Here(turn));
        }
        let elsewhere = self.status == ThreadStatus::NotLoaded
            && database.is_owned_elsewhere(&self.id.to_string()).map_err(refusal(self.id))?;
        Ok(if elsewhere { Running::Elsewhere } else { Running::Nowhere })
    }
}

fn see(processor: &Processor, text: &str) -> Result<Seen, RpcError> {
    let id = thread_id(text)?;
    Ok(match processor.threads.get(id) {
        Some(thread) => {
            Seen { id, status: thread.status(), ephemeral: thread.ephemeral, running: thread.running_turn() }
        }
        None => Seen { id, status: ThreadStatus::NotLoaded, ephemeral: false, running: None },
    })
}

fn not_loaded(id: ThreadId) -> RpcError {
    thread_not_found(format!("thread not loaded: {id}"))
}

/// A missing thread is told in the words of its method's family; anything else as the store says it.
pub(super) fn refusal(id: ThreadId) -> impl Fn(StoreError) -> RpcError {
    move |error| match error {
        StoreError::NotFound { what: "thread", .. } => not_loaded(id),
        other => store_refusal(&other),
    }
}

/// `thread/read`.
pub(in crate::server) fn read(
    processor: &mut Processor,
    params: ThreadReadParams,
) -> Result<Query<ThreadReadResponse>, RpcError> {
    let seen = see(processor, &params.thread_id)?;
    let store = store_of(processor, seen.id);
    let read = move |database: &crate::store::Database| {
        let (id, refusal) = (seen.id.to_string(), refusal(seen.id));
        let record = database.thread(&id).map_err(&refusal)?.ok_or_else(|| not_loaded(seen.id))?;
        let turns = if params.include_turns {
            let stored = database.all_turns(&id).map_err(&refusal)?;
            view::turns(&stored, TurnItemsView::Full, seen.running(database)?).map_err(&refusal)?
        } else {
            Vec::new()
        };
        let thread = view::thread(&record, seen.status, seen.ephemeral, turns);
        let state = ReadState { unread_turn: record.unread_turn, revision: record.read_revision };
        Ok(ThreadReadResponse { thread, read_state: Some(shown_read_state(&state)) })
    };
    Ok(Query { store, read: Box::new(read) })
}

/// `thread/turns/list`.
pub(in crate::server) fn turns(
    processor: &mut Processor,
    params: ThreadTurnsListParams,
) -> Result<Query<TurnsPage>, RpcError> {
    let seen = see(processor, &params.thread_id)?;
    let store = store_of(processor, seen.id);
    let (items, shown) = items_view(params.items_view);
    let query = TurnQuery {
        cursor: params.page.cursor,
        limit: page_limit(params.page.limit),
        direction: direction(params.sort_direction, Direction::Descending),
        items,
        ..TurnQuery::default()
    };
    let read = move |database: &crate::store::Database| {
        let refusal = refusal(seen.id);
        let page = database.turns_page(&seen.id.to_string(), &query).map_err(&refusal)?;
        Ok(TurnsPage {
            data: view::turns(&page.turns, shown, seen.running(database)?).map_err(&refusal)?,
            next_cursor: page.next_cursor,
            backwards_cursor: page.backwards_cursor,
        })
    };
    Ok(Query { store, read: Box::new(read) })
}

/// `thread/items/list`.
pub(in crate::server) fn items(
    processor: &mut Processor,
    params: ThreadItemsListParams,
) -> Result<Query<ThreadItemsListResponse>, RpcError> {
    let seen = see(processor, &params.thread_id)?;
    let store = store_of(processor, seen.id);
    let cursor = match params.cursor {
        None => None,
        Some(ThreadItemsListCursor::Cursor(cursor)) => Some(cursor),
        Some(ThreadItemsListCursor::Anchor(ThreadItemsListAnchor::Item { .. })) => {
            return Err(RpcError::invalid_request(
                "an item anchor is not supported by this server; use the cursor of a page",
            )
            .with(Reason::InvalidParams));
        }
    };
    let query = ItemQuery {
        turn_id: params.turn_id,
        cursor,
        limit: page_limit(params.limit),
        direction: direction(params.sort_direction, Direction::Ascending),
        ..ItemQuery::default()
    };
    let read = move |database: &crate::store::Database| {
        let refusal = refusal(seen.id);
        let page = database.items_page(&seen.id.to_string(), &query).map_err(&refusal)?;
        let data: Result<Vec<_>, _> = page.items.iter().map(view::item_entry).collect();
        Ok(ThreadItemsListResponse {
            data: data.map_err(&refusal)?,
            next_cursor: page.next_cursor,
            backwards_cursor: page.backwards_cursor,
        })
    };
    Ok(Query { store, read: Box::new(read) })
}

/// `thread/items/read`.
pub(in crate::server) fn items_by_id(
    processor: &mut Processor,
    params: ThreadItemsReadParams,
) -> Result<Query<ThreadItemsReadResponse>, RpcError> {
    let seen = see(processor, &params.thread_id)?;
    let store = store_of(processor, seen.id);
    if params.item_ids.is_empty() || params.item_ids.len() > ITEM_IDS_MAX {
        return Err(RpcError::invalid_request(format!("itemIds must contain 1 to {ITEM_IDS_MAX} IDs"))
            .with(Reason::InvalidParams));
    }
    let read = move |database: &crate::store::Database| {
        let refusal = refusal(seen.id);
        let ids: Vec<&str> = params.item_ids.iter().map(String::as_str).collect();
        let items = database.items_by_id(&seen.id.to_string(), &params.turn_id, &ids).map_err(&refusal)?;
        let data: Result<Vec<_>, _> = items.iter().map(view::item_entry).collect();
        Ok(ThreadItemsReadResponse { data: data.map_err(&refusal)? })
    };
    Ok(Query { store, read: Box::new(read) })
}

/// `thread/list`. The store finds the page; what the threads are doing is the processor's knowledge.
pub(in crate::server) fn threads(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadListParams,
    reply: Reply,
) {
    // This server has no sections, projects, sub-agents or attached threads: nothing can match.
    let nothing_matches = params.section_id.is_some()
        || params.project_id.is_some()
        || params.parent_thread_id.is_some()
        || params.ancestor_thread_id.is_some()
        || params.attached_to_thread_id.is_some();
    if nothing_matches {
        return reply.send(Ok(ThreadListResponse {
            data: Vec::new(),
            read_states: std::collections::BTreeMap::new(),
            next_cursor: None,
            backwards_cursor: None,
        }));
    }
    let query = thread_query(params);
    let store = processor.services.store.clone();
    processor.read_then(
        &store,
        reply,
        move |database| database.list_threads(&query),
        |processor, reply, page| reply.send(Ok(thread_page(processor, page))),
    );
}

fn thread_query(params: ThreadListParams) -> ThreadQuery {
    ThreadQuery {
        cursor: params.page.cursor,
        limit: page_limit(params.page.limit),
        sort_key: sort_key(params.sort_key),
        direction: direction(params.sort_direction, Direction::Descending),
        archived: params.archived.unwrap_or(false),
        with_turns_only: true,
        cwds: match params.cwd {
            None => Vec::new(),
            Some(OneOrMany::One(cwd)) => vec![cwd],
            Some(OneOrMany::Many(cwds)) => cwds,
        },
        model_providers: params.model_providers.unwrap_or_default(),
        sources: source_names(params.source_kinds),
        originators: params.originators.unwrap_or_default(),
        excluded_ids: params.excluded_thread_ids.unwrap_or_default(),
        search_term: params.search_term.filter(|term| !term.is_empty()),
    }
}

/// What the store sorts by for what a client asked.
pub(super) fn sort_key(asked: Option<ThreadSortKey>) -> SortKey {
    match asked {
        None | Some(ThreadSortKey::CreatedAt) => SortKey::CreatedAt,
        Some(ThreadSortKey::UpdatedAt) => SortKey::UpdatedAt,
        Some(ThreadSortKey::RecencyAt | ThreadSortKey::SectionPosition) => SortKey::RecencyAt,
    }
}

/// The sources' names in the store.
pub(super) fn source_names(kinds: Option<Vec<ThreadSourceKind>>) -> Vec<String> {
    let name = |kind| serde_json::to_value(kind).ok()?.as_str().map(ToOwned::to_owned);
    kinds.unwrap_or_default().into_iter().filter_map(name).collect()
}

/// A stored thread with what it is doing here.
pub(super) fn shown(processor: &Processor, record: &crate::store::ThreadRecord) -> Thread {
    let status = ThreadId::parse(&record.id)
        .ok()
        .and_then(|id| processor.threads.get(id))
        .map_or(ThreadStatus::NotLoaded, crate::server::threads::LoadedThread::status);
    view::thread(record, status, /*ephemeral*/ false, Vec::new())
}

fn thread_page(processor: &Processor, page: ThreadPage) -> ThreadListResponse {
    ThreadListResponse {
        data: page.records.iter().map(|record| shown(processor, record)).collect(),
        read_states: std::collections::BTreeMap::new(),
        next_cursor: page.next_cursor,
        backwards_cursor: page.backwards_cursor,
    }
}

/// `thread/loaded/list`; the cursor is the last id of the page before.
pub(in crate::server) fn loaded(
    processor: &mut Processor,
    _caller: Caller,
    params: ThreadLoadedListParams,
) -> Result<ThreadLoadedListResponse, RpcError> {
    let after = match params.page.cursor.as_deref() {
        None => None,
        Some(cursor) => Some(ThreadId::parse(cursor).map_err(|_| invalid_cursor(cursor))?),
    };
    let limit = page_limit(params.page.limit) as usize;
    let mut ids = processor.threads.ids_after(after);
    let data: Vec<String> = ids.by_ref().take(limit).map(|id| id.to_string()).collect();
    let next_cursor = ids.next().and_then(|_| data.last().cloned());
    Ok(ThreadLoadedListResponse { data, next_cursor })
}

pub(super) fn direction(asked: Option<SortDirection>, default: Direction) -> Direction {
    match asked {
        None => default,
        Some(SortDirection::Asc) => Direction::Ascending,
        Some(SortDirection::Desc) => Direction::Descending,
    }
}

/// How much the store reads, and what the answer says of it; a turn list shows summaries unless asked
/// otherwise.
pub(super) fn items_view(asked: Option<TurnItemsView>) -> (ItemsView, TurnItemsView) {
    match asked {
        None | Some(TurnItemsView::Summary) => (ItemsView::Summary, TurnItemsView::Summary),
        Some(TurnItemsView::NotLoaded) => (ItemsView::None, TurnItemsView::NotLoaded),
        Some(TurnItemsView::Full) => (ItemsView::Full, TurnItemsView::Full),
    }
}
