//! `GET /metrics`: the process's numbers as Prometheus text, and what the connections of this listener add.
//!
//! It runs on the reader of the connection that asks. What it reads are atomics; the one lock is that of the
//! list of connections, which nobody holds across I/O.

use std::fmt;
use std::sync::Arc;

use super::door::Door;
use super::head::Head;
use super::http::Answer;
use crate::obs::metrics::Page;
use crate::obs::metrics::values::{OUTBOX_BYTES, OUTBOX_BYTES_HELP};

/// Adds what the parts above know to a page.
#[derive(Clone)]
pub struct Scrape(Arc<dyn Fn(&mut Page) + Send + Sync>);

impl Scrape {
    /// Asks `add` each time.
    pub fn new(add: impl Fn(&mut Page) + Send + Sync + 'static) -> Self {
        Self(Arc::new(add))
    }

    /// A page with everything that is known now.
    #[must_use]
    pub fn page(&self) -> Page {
        let mut page = Page::default();
        (self.0)(&mut page);
        page
    }
}

impl fmt::Debug for Scrape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Scrape")
    }
}

/// The answer to a request for the numbers.
pub(super) fn answer(door: &Door, head: &Head) -> Answer {
    if !matches!(&*head.method, "GET" | "HEAD") {
        return Answer::new(/*status*/ 405, "").with("Allow", "GET,HEAD");
    }
    let mut page = door.scrape.page();
    let (open, queued) = door.queued();
    page.gauge("app_server_listener_connections", "Sockets, those in the handshake too.", open as f64);
    page.gauge(OUTBOX_BYTES, OUTBOX_BYTES_HELP, queued as f64);
    Answer::new(/*status*/ 200, page.text()).of_type("text/plain; version=0.0.4; charset=utf-8")
}
