//! What goes into the store and what comes out. Times are Unix times in milliseconds; JSON is text.

use super::needle::Snippet;

/// One agent thread, without its turns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ThreadRecord {
    /// UUID text; unique.
    pub id: String,
    /// The session that the thread belongs to.
    pub session_id: String,
    /// The thread that this one was forked from.
    pub forked_from_id: Option<String>,
    /// The name that a user gave it.
    pub name: Option<String>,
    /// Usually the first user message; empty before it.
    pub preview: String,
    /// Id of the model provider.
    pub model_provider: String,
    /// Name of the model.
    pub model: String,
    /// Reasoning effort, if one is set.
    pub reasoning_effort: Option<String>,
    /// Working folder.
    pub cwd: String,
    /// Which kind of client started it, for example `vscode` or `exec`.
    pub source: String,
    /// What it was started for, if the client said so.
    pub thread_source: Option<String>,
    /// Name of the client that started it.
    pub originator: Option<String>,
    /// Version of the program that wrote it.
    pub cli_version: String,
    /// How its history is kept; a word of the protocol.
    pub history_mode: String,
    /// When it was started.
    pub created_at_ms: i64,
    /// When a turn last started or ended.
    pub updated_at_ms: i64,
    /// When a turn last started.
    pub recency_at_ms: i64,
    /// True when a user put it away.
    pub archived: bool,
    /// What is known of its repository, as JSON.
    pub git: Option<String>,
    /// Settings for its next turn, as JSON.
    pub settings: String,
    /// Tokens used so far, as JSON.
    pub token_usage: Option<String>,
    /// Number of its turns; kept by the store, ignored when a thread is inserted.
    pub turn_count: i64,
    /// The first turn that its user has not read; kept by the store.
    pub unread_turn: Option<String>,
    /// Changes with what is read; kept by the store.
    pub read_revision: i64,
    /// How often it was loaded from the store; kept by the store.
    pub epoch: i64,
}

/// What of a thread changes with its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingsUpdate<'a> {
    /// Id of the model provider.
    pub model_provider: &'a str,
    /// Name of the model.
    pub model: &'a str,
    /// Reasoning effort, if one is set.
    pub reasoning_effort: Option<&'a str>,
    /// Working folder.
    pub cwd: &'a str,
    /// All settings as JSON.
    pub settings: &'a str,
}

/// Where a turn stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnState {
    /// It runs, or its process died.
    InProgress,
    /// It ended by itself.
    Completed,
    /// It was stopped, or its process died.
    Interrupted,
    /// It ended with an error.
    Failed,
}

impl TurnState {
    /// The number in the database; never reuse one.
    pub(super) fn code(self) -> i64 {
        match self {
            Self::InProgress => 0,
            Self::Completed => 1,
            Self::Interrupted => 2,
            Self::Failed => 3,
        }
    }

    pub(super) fn from_code(code: i64) -> Option<Self> {
        [Self::InProgress, Self::Completed, Self::Interrupted, Self::Failed]
            .into_iter()
            .find(|state| state.code() == code)
    }
}

/// One turn, without its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnRecord {
    /// Unique in its thread.
    pub id: String,
    /// Where it stands.
    pub state: TurnState,
    /// Why it failed, as JSON.
    pub error: Option<String>,
    /// When it started.
    pub started_at_ms: Option<i64>,
    /// When it ended.
    pub completed_at_ms: Option<i64>,
    /// Its place in the thread, from 1 on.
    pub ordinal: i64,
}

/// A turn that starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewTurn<'a> {
    /// Unique in its thread.
    pub id: &'a str,
    /// When it starts.
    pub started_at_ms: i64,
    /// Becomes the thread's preview when it has none.
    pub preview_if_first: Option<&'a str>,
    /// The id under which the client submitted what begins it, if it gave one.
    pub client_id: Option<&'a str>,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnEnd<'a> {
    /// Anything but [`TurnState::InProgress`].
    pub state: TurnState,
    /// Why it failed, as JSON.
    pub error: Option<&'a str>,
    /// When it ended.
    pub completed_at_ms: i64,
    /// The thread's tokens after it, as JSON; none leaves what is there.
    pub token_usage: Option<&'a str>,
}

/// One item of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRecord {
    /// Unique in its turn.
    pub id: String,
    /// The turn it belongs to.
    pub turn_id: String,
    /// The item's type on the wire, for example `agentMessage`.
    pub kind: String,
    /// The item on the wire, as JSON.
    pub body: String,
    /// When it started.
    pub started_at_ms: Option<i64>,
    /// When it was complete.
    pub completed_at_ms: Option<i64>,
    /// Its place in the thread, from 1 on.
    pub ordinal: i64,
}

impl ItemRecord {
    /// The same item, to be written to another thread.
    pub(super) fn to_new(&self) -> NewItem {
        NewItem {
            id: self.id.clone(),
            turn_id: self.turn_id.clone(),
            kind: self.kind.clone(),
            body: self.body.clone(),
            started_at_ms: self.started_at_ms,
            completed_at_ms: self.completed_at_ms,
        }
    }
}

/// An item to be put into a turn.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewItem {
    /// Unique in its turn.
    pub id: String,
    /// The turn it belongs to.
    pub turn_id: String,
    /// The item's type on the wire.
    pub kind: String,
    /// The item on the wire, as JSON.
    pub body: String,
    /// When it started.
    pub started_at_ms: Option<i64>,
    /// When it was complete.
    pub completed_at_ms: Option<i64>,
}

/// One piece of a thread's history: what the model is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryItem {
    /// The item's type on the wire.
    pub kind: String,
    /// The item on the wire, as JSON.
    pub body: String,
}

/// One entry of the conversation as the model sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationEntry {
    /// The turn that it belongs to; none if it was put in between two turns.
    pub turn_id: Option<String>,
    /// Nothing before it is told to the model any more.
    pub starts_over: bool,
    /// The entry as JSON.
    pub body: String,
}

/// What the model has been told and has said in a thread.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conversation {
    /// Items of turns that are older than the table of entries; they come first.
    pub items: Vec<HistoryItem>,
    /// The entries, oldest first, from the last one that starts over.
    pub entries: Vec<String>,
}

/// Order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// What threads are sorted by; equal times are sorted by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortKey {
    /// [`ThreadRecord::created_at_ms`].
    #[default]
    CreatedAt,
    /// [`ThreadRecord::updated_at_ms`].
    UpdatedAt,
    /// [`ThreadRecord::recency_at_ms`].
    RecencyAt,
}

/// Which threads, in which order. An empty list or a missing term filters nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadQuery {
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Threads on the page at most; zero is taken as one.
    pub limit: u32,
    /// What to sort by.
    pub sort_key: SortKey,
    /// In which order.
    pub direction: Direction,
    /// Archived threads, or those that are not.
    pub archived: bool,
    /// Only threads with at least one turn.
    pub with_turns_only: bool,
    /// Only threads of these working folders.
    pub cwds: Vec<String>,
    /// Only threads of these model providers.
    pub model_providers: Vec<String>,
    /// Only threads of these sources.
    pub sources: Vec<String>,
    /// Only threads of these originators.
    pub originators: Vec<String>,
    /// Without these threads.
    pub excluded_ids: Vec<String>,
    /// Only threads with turns that have this text in name or preview; the case of letters does not matter.
    pub search_term: Option<String>,
}

impl Default for ThreadQuery {
    /// The newest threads that have turns and are not archived.
    fn default() -> Self {
        Self {
            cursor: None,
            limit: crate::limits::PAGE_SIZE_DEFAULT,
            sort_key: SortKey::default(),
            direction: Direction::Descending,
            archived: false,
            with_turns_only: true,
            cwds: Vec::new(),
            model_providers: Vec::new(),
            sources: Vec::new(),
            originators: Vec::new(),
            excluded_ids: Vec::new(),
            search_term: None,
        }
    }
}

/// A page of threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadPage {
    /// The threads in the order that was asked for.
    pub records: Vec<ThreadRecord>,
    /// Continues after the last thread; none at the end.
    pub next_cursor: Option<String>,
    /// With the opposite direction: from the first thread of this page, that one included, the other way.
    /// None when the page is empty.
    pub backwards_cursor: Option<String>,
}

/// A thread that a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadHit {
    /// The thread.
    pub record: ThreadRecord,
    /// What stands around the first hit.
    pub snippet: String,
}

/// A page of what a search found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchPage {
    /// The threads in the order that was asked for; maybe fewer than asked for although there are more.
    pub hits: Vec<ThreadHit>,
    /// Goes on from here; none at the end.
    pub next_cursor: Option<String>,
    /// As [`ThreadPage::backwards_cursor`].
    pub backwards_cursor: Option<String>,
}

/// Which text to find in a thread's messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OccurrenceQuery {
    /// The text; the case of letters does not matter.
    pub term: String,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Occurrences on the page at most; zero is taken as one.
    pub limit: u32,
}

/// One place where a text was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// The message's turn.
    pub turn_id: String,
    /// The message.
    pub item_id: String,
    /// Begins a page of turns with that turn.
    pub turn_cursor: String,
    /// What stands around it.
    pub snippet: Snippet,
}

/// A page of such places, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OccurrencePage {
    /// The places.
    pub occurrences: Vec<Occurrence>,
    /// Goes on after the last one; none at the end.
    pub next_cursor: Option<String>,
}

/// How much of a turn's items a page of turns carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemsView {
    /// No item.
    None,
    /// The first user message and the last agent message.
    Summary,
    /// Every item.
    Full,
}

/// Which turns of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnQuery {
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Turns on the page at most; zero is taken as one.
    pub limit: u32,
    /// In which order.
    pub direction: Direction,
    /// How much of their items.
    pub items: ItemsView,
    /// Bytes of item bodies at which the page ends early; it has at least one turn all the same.
    pub bytes_max: usize,
}

impl Default for TurnQuery {
    /// The newest turns with their summaries.
    fn default() -> Self {
        Self {
            cursor: None,
            limit: crate::limits::PAGE_SIZE_DEFAULT,
            direction: Direction::Descending,
            items: ItemsView::Summary,
            bytes_max: crate::limits::PAGE_BYTES_MAX,
        }
    }
}

/// A page of turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnPage {
    /// The turns in the order that was asked for; the items of each are oldest first.
    pub turns: Vec<(TurnRecord, Vec<ItemRecord>)>,
    /// Continues after the last turn; none at the end.
    pub next_cursor: Option<String>,
    /// With the opposite direction: from the first turn of this page, that one included. None when the page
    /// is empty.
    pub backwards_cursor: Option<String>,
}

/// Which items of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemQuery {
    /// Only those of this turn.
    pub turn_id: Option<String>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Items on the page at most; zero is taken as one.
    pub limit: u32,
    /// In which order.
    pub direction: Direction,
    /// Bytes of bodies at which the page ends early; it has at least one item all the same.
    pub bytes_max: usize,
}

impl Default for ItemQuery {
    /// The oldest items of the whole thread.
    fn default() -> Self {
        Self {
            turn_id: None,
            cursor: None,
            limit: crate::limits::PAGE_SIZE_DEFAULT,
            direction: Direction::Ascending,
            bytes_max: crate::limits::PAGE_BYTES_MAX,
        }
    }
}

/// A page of items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemPage {
    /// The items in the order that was asked for.
    pub items: Vec<ItemRecord>,
    /// Continues after the last item; none at the end.
    pub next_cursor: Option<String>,
    /// With the opposite direction: from the first item of this page, that one included. None when the page
    /// is empty.
    pub backwards_cursor: Option<String>,
}

/// Where a thread's history ends now. Paged newest first, each cursor's first page begins with that turn or
/// item itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LatestCursors {
    /// The newest turn; none when there is no turn.
    pub turns: Option<String>,
    /// The newest item; none when there is no item.
    pub items: Option<String>,
}
