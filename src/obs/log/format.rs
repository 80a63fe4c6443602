//! `LOG_FORMAT`: lines for people, or JSON objects for programs.

use std::fmt::{self, Write as _};

use tracing::{Event, Level};

use super::json;
use super::line::Line;
use super::spans::OpenSpan;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Format {
    /// `TIME LEVEL [WORKER] SPANS TARGET: MESSAGE KEY=VALUE …`
    #[default]
    Text,
    /// One JSON object.
    Json,
}

impl Format {
    /// What `LOG_FORMAT` says: `json` in any case, or anything else for text.
    pub(super) fn parse(text: Option<&str>) -> Self {
        let is_json = text.is_some_and(|text| text.trim().eq_ignore_ascii_case("json"));
        if is_json { Self::Json } else { Self::Text }
    }

    /// A line with nothing but a message.
    pub(super) fn say(self, wall_ms: i64, level: Level, target: &str, message: &dyn fmt::Display) -> String {
        match self {
            Self::Json => json::say(wall_ms, &level, target, message),
            Self::Text => {
                let mut line = Line::begin(wall_ms, &level, &[], target);
                // A line takes what it is given.
                let _ = write!(line, "{message}");
                line.end()
            }
        }
    }

    /// An event within its spans, outermost first.
    pub(super) fn event(self, wall_ms: i64, event: &Event<'_>, spans: &[&OpenSpan]) -> String {
        match self {
            Self::Json => json::event(wall_ms, event, spans),
            Self::Text => {
                let metadata = event.metadata();
                let mut line = Line::begin(wall_ms, metadata.level(), spans, metadata.target());
                event.record(&mut line.fields());
                line.end()
            }
        }
    }

    /// The beginning (`new`) or end (`close`) of the last of `spans`.
    pub(super) fn span(
        self,
        wall_ms: i64,
        level: &Level,
        target: &str,
        spans: &[&OpenSpan],
        what: &'static str,
    ) -> String {
        match self {
            Self::Json => json::span(wall_ms, level, target, spans, what),
            Self::Text => {
                let mut line = Line::begin(wall_ms, level, spans, target);
                let _ = write!(line, "{what}");
                if let (Some(span), "close") = (spans.last(), what) {
                    let _ = write!(line, " time.busy={:?} time.idle={:?}", span.busy, span.idle);
                }
                line.end()
            }
        }
    }
}
