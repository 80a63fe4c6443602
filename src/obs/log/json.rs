//! A line as one JSON object: `timestamp`, `level`, `target`, `worker`, `fields`, the trace's ids, and the
//! spans.
//!
//! The names are those of the reference's JSON log, so that one pipeline reads both.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::line::{Rfc3339, worker_name};
use super::spans::{OpenSpan, Value};
use crate::limits::LOG_LINE_BYTES_MAX;

/// The fields of a span that stand at the top of a line, too.
const IDS: [&str; 3] = ["trace_id", "span_id", "parent_span_id"];

/// A line with nothing but a message.
pub(super) fn say(wall_ms: i64, level: &Level, target: &str, message: &dyn fmt::Display) -> String {
    line(wall_ms, level, target, &[], |fields| fields.text("message", message))
}

/// An event within its spans, outermost first.
pub(super) fn event(wall_ms: i64, event: &Event<'_>, spans: &[&OpenSpan]) -> String {
    let metadata = event.metadata();
    line(wall_ms, metadata.level(), metadata.target(), spans, |fields| event.record(fields))
}

/// The beginning or end of the last of `spans`.
pub(super) fn span(wall_ms: i64, level: &Level, target: &str, spans: &[&OpenSpan], what: &str) -> String {
    line(wall_ms, level, target, spans, |fields| {
        fields.text("message", &what);
        if let (Some(span), "close") = (spans.last(), what) {
            fields.text("time.busy", &format_args!("{:?}", span.busy));
            fields.text("time.idle", &format_args!("{:?}", span.idle));
        }
    })
}

fn line(
    wall_ms: i64,
    level: &Level,
    target: &str,
    spans: &[&OpenSpan],
    fill: impl FnOnce(&mut Fields<'_>),
) -> String {
    let mut out = String::with_capacity(256);
    // Writing to memory does not fail.
    let _ = write!(out, "{{\"timestamp\":\"{}\",\"level\":\"{level}\",\"target\":", Rfc3339(wall_ms));
    quoted(&mut out, target);
    out.push_str(",\"worker\":");
    quoted(&mut out, &worker_name());
    for id in IDS {
        if let Some(value) = spans.last().and_then(|span| span.text(id)) {
            let _ = write!(out, ",\"{id}\":");
            quoted(&mut out, value);
        }
    }
    out.push_str(",\"fields\":{");
    fill(&mut Fields { out: &mut out, first: true });
    out.push('}');
    if let [outer @ .., inner] = spans {
        out.push_str(",\"span\":");
        object(&mut out, inner);
        out.push_str(",\"spans\":[");
        for (at, span) in outer.iter().enumerate() {
            out.push_str(if at == 0 { "" } else { "," });
            object(&mut out, span);
        }
        out.push(']');
    }
    out.push_str("}\n");
    out
}

fn object(out: &mut String, span: &OpenSpan) {
    out.push('{');
    for (name, value) in &span.fields {
        quoted(out, name);
        out.push(':');
        match value {
            Value::Bare(text) => out.push_str(text),
            Value::Text(text) => quoted(out, text),
        }
        out.push(',');
    }
    out.push_str("\"name\":");
    quoted(out, span.name);
    out.push('}');
}

/// A JSON string.
fn quoted(out: &mut String, text: &str) {
    out.push('"');
    escape(out, text);
    out.push('"');
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Control characters must be escaped (RFC 8259, section 7); the two separators end a
            // line for some.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
}

/// Writes an event's fields as the members of an object.
struct Fields<'a> {
    out: &'a mut String,
    first: bool,
}

impl Fields<'_> {
    fn name(&mut self, name: &str) {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(',');
        }
        quoted(self.out, name);
        self.out.push(':');
    }

    fn bare(&mut self, name: &str, value: &dyn fmt::Display) {
        self.name(name);
        let _ = write!(self.out, "{value}");
    }

    /// A text; what does not fit into the line is cut and counted.
    fn text(&mut self, name: &str, value: &dyn fmt::Display) {
        self.name(name);
        self.out.push('"');
        let mut value_out = Cutting { out: self.out, cut: 0 };
        let _ = write!(value_out, "{value}");
        let cut = value_out.cut;
        if cut > 0 {
            let _ = write!(self.out, "… ({cut} more bytes)");
        }
        self.out.push('"');
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field.name(), &format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field.name(), &value);
    }
}

/// Escapes what fits into the line.
struct Cutting<'a> {
    out: &'a mut String,
    cut: usize,
}

impl Write for Cutting<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = if self.cut > 0 { 0 } else { LOG_LINE_BYTES_MAX.saturating_sub(self.out.len()) };
        let end = (0..=room.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        escape(self.out, &text[..end]);
        self.cut += text.len() - end;
        Ok(())
    }
}
