//! What the rules say of one thread and its clients, for random schedules: a model without a server.

/// A thread that nobody needs is unloaded after this.
const UNLOAD_AFTER_S: u64 = 30 * 60;
/// A request that nobody is there to decide counts as declined after this.
const DECLINE_AFTER_S: u64 = 30 * 60;

/// What a client is told of requests, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is asked.
    Asked(i64),
    /// That is settled.
    Resolved(i64),
}

/// A client as far as the rules care.
#[derive(Debug, Default)]
pub(crate) struct ClientModel {
    pub(crate) subscribed: bool,
    /// What it is to be told of requests.
    pub(crate) told: Vec<Told>,
}

/// What the rules say of the thread.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) now_s: u64,
    pub(crate) loaded: bool,
    pub(crate) turn: Option<String>,
    pub(crate) turns_begun: usize,
    /// The request that is open.
    pub(crate) asked: Option<i64>,
    pub(crate) clients: Vec<ClientModel>,
    unsubscribed_since_s: Option<u64>,
    idle_since_s: Option<u64>,
    undecided_since_s: Option<u64>,
}

impl Model {
    /// A thread that is loaded, and to which nobody listens.
    pub(crate) fn new() -> Self {
        let mut model = Self { loaded: true, ..Self::default() };
        model.settle();
        model
    }

    /// Notes what holds now; the clocks start when their condition begins.
    pub(crate) fn settle(&mut self) {
        let now = self.now_s;
        let alone = self.loaded && !self.clients.iter().any(|client| client.subscribed);
        let since = |since: Option<u64>, holds: bool| if holds { since.or(Some(now)) } else { None };
        self.unsubscribed_since_s = since(self.unsubscribed_since_s, alone);
        self.idle_since_s = since(self.idle_since_s, self.loaded && self.turn.is_none());
        self.undecided_since_s = since(self.undecided_since_s, alone && self.asked.is_some());
    }

    /// The thread is to be unloaded by now.
    pub(crate) fn is_due(&self) -> bool {
        let both = self.unsubscribed_since_s.zip(self.idle_since_s);
        both.is_some_and(|(left, idle)| self.now_s >= left.max(idle) + UNLOAD_AFTER_S)
    }

    /// What is asked counts as declined by now.
    pub(crate) fn is_undecided_for_too_long(&self) -> bool {
        self.undecided_since_s.is_some_and(|since| self.now_s >= since + DECLINE_AFTER_S)
    }

    /// The running turn asks: all who listen are asked.
    pub(crate) fn asks(&mut self, request: i64) {
        self.asked = Some(request);
        self.tell(&Told::Asked(request));
    }

    /// What was asked is settled, however.
    pub(crate) fn resolve(&mut self) {
        if let Some(request) = self.asked.take() {
            self.tell(&Told::Resolved(request));
        }
    }

    /// The turn has ended.
    pub(crate) fn ends(&mut self) {
        self.turn = None;
        self.resolve();
    }

    /// A client comes to the thread: it hears what is open.
    pub(crate) fn resumes(&mut self, client: usize) {
        self.loaded = true;
        self.clients[client].subscribed = true;
        self.clients[client].told.extend(self.asked.map(Told::Asked));
    }

    /// True if an answer of this client to this request counts.
    pub(crate) fn counts(&self, client: usize, request: i64) -> bool {
        self.asked == Some(request) && self.clients[client].subscribed
    }

    /// What the thread is said to do.
    pub(crate) fn status(&self) -> (&'static str, usize) {
        match (self.loaded, &self.turn) {
            (false, _) => ("notLoaded", 0),
            (true, Some(_)) => ("active", usize::from(self.asked.is_some())),
            (true, None) => ("idle", 0),
        }
    }

    fn tell(&mut self, told: &Told) {
        for client in self.clients.iter_mut().filter(|client| client.subscribed) {
            client.told.push(told.clone());
        }
    }
}
