//! An event as one line of text: `TIME LEVEL [WORKER] SPANS TARGET: MESSAGE KEY=VALUE …`.
//!
//! Whatever a client's text holds, it stays one line: control characters are written as escapes, and what is
//! too long is cut.

use std::fmt::{self, Debug, Write};
use std::thread;

use tracing::Level;
use tracing::field::{Field, Visit};

use super::spans::{OpenSpan, Value};
use crate::limits::LOG_LINE_BYTES_MAX;

/// A line in the making. Writing to it never fails.
pub(super) struct Line {
    text: String,
    /// Bytes that did not fit.
    cut: usize,
}

impl Line {
    /// A line with its time (Unix, milliseconds), level, worker, spans (outermost first) and target.
    pub(super) fn begin(wall_ms: i64, level: &Level, spans: &[&OpenSpan], target: &str) -> Self {
        let mut line = Self { text: String::with_capacity(128), cut: 0 };
        // A line takes what it is given.
        let _ = write!(line, "{} {level:>5} [{}] ", Rfc3339(wall_ms), worker_name());
        for span in spans {
            line.span(span);
        }
        let _ = write!(line, "{target}: ");
        line
    }

    fn span(&mut self, span: &OpenSpan) {
        let _ = write!(self, "{}", span.name);
        for (at, (name, value)) in span.fields.iter().enumerate() {
            let gap = if at == 0 { "{" } else { " " };
            let _ = match value {
                Value::Bare(text) => write!(self, "{gap}{name}={text}"),
                Value::Text(text) => write!(self, "{gap}{name}={text:?}"),
            };
        }
        let _ = write!(self, "{}: ", if span.fields.is_empty() { "" } else { "}" });
    }

    /// Takes an event's fields: the message as it is, the others as `key=value`.
    pub(super) fn fields(&mut self) -> Fields<'_> {
        Fields { line: self, first: true }
    }

    /// The finished line, with its newline.
    pub(super) fn end(mut self) -> String {
        if self.cut > 0 {
            let _ = write!(self.text, "… ({} more bytes)", self.cut);
        }
        self.text.push('\n');
        self.text
    }

    /// As much of a text without control characters as there is room for; the rest counts as cut.
    fn push(&mut self, text: &str) {
        let room = LOG_LINE_BYTES_MAX.saturating_sub(self.text.len());
        let fits = (0..=room.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        self.text.push_str(&text[..fits]);
        self.cut += text.len() - fits;
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        // Once something is cut the rest is counted and not looked at: it may be as long as a message.
        while !rest.is_empty() && self.cut == 0 {
            let plain = rest.find(breaks_the_line).unwrap_or(rest.len());
            let (clean, tail) = rest.split_at(plain);
            self.push(clean);
            let mut chars = tail.chars();
            if let Some(control) = chars.next() {
                for part in control.escape_default() {
                    self.push(part.encode_utf8(&mut [0; 4]));
                }
            }
            rest = chars.as_str();
        }
        self.cut += rest.len();
        Ok(())
    }
}

/// The name of the worker that logs.
pub(super) fn worker_name() -> String {
    thread::current().name().unwrap_or("?").to_owned()
}

/// Control characters can end a line or steer a terminal, and so can the two separators of Unicode.
fn breaks_the_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Writes an event's fields into a line.
pub(super) struct Fields<'a> {
    line: &'a mut Line,
    first: bool,
}

impl Fields<'_> {
    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let gap = if self.first { "" } else { " " };
        self.first = false;
        let _ = match field.name() {
            "message" => write!(self.line, "{gap}{value}"),
            name => write!(self.line, "{gap}{name}={value}"),
        };
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.add(field, format_args!("{value}")),
            // Quoted, so that a client's text cannot look like further fields.
            _ => self.add(field, format_args!("{value:?}")),
        }
    }
}

/// Unix milliseconds as RFC 3339 in UTC, with milliseconds (RFC 3339, section 5.6).
pub(super) struct Rfc3339(pub(super) i64);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY_MS: i64 = 86_400_000;
        let (days, ms) = (self.0.div_euclid(DAY_MS), self.0.rem_euclid(DAY_MS));
        let (year, month, day) = civil_date(days);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(formatter, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
    }
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar.
///
/// The year is taken to begin in March, so that the leap day is its last; then the months' lengths follow a
/// straight line of 153 days every five months, and 400 years always have 146,097 days.
fn civil_date(days_since_1970: i64) -> (i64, i64, i64) {
    const DAYS_400_YEARS: i64 = 146_097;
    // 719,468 days from 0000-03-01 to 1970-01-01.
    let days = days_since_1970 + 719_468;
    let (cycle, day_of_cycle) = (days.div_euclid(DAYS_400_YEARS), days.rem_euclid(DAYS_400_YEARS));
    let leap_days = day_of_cycle / 1_460 - day_of_cycle / 36_524 + day_of_cycle / 146_096;
    let year_of_cycle = (day_of_cycle - leap_days) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next_year) =
        if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    (cycle * 400 + year_of_cycle + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (1_735_689_599_001, "2024-12-31T23:59:59.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Rfc3339(ms).to_string(), text);
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut before = civil_date(/*days_since_1970*/ -1);
        for day in 0..146_097 {
            let (year, month, day) = civil_date(day);
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = |month| match month {
                2 => 28 + i64::from(is_leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let (last_year, last_month, last_day) = before;
            let wanted = match (last_month, last_day) {
                (12, 31) => (last_year + 1, 1, 1),
                // A year's February is asked for while that year is at hand.
                (month, last) if last == length(month) => (last_year, month + 1, 1),
                (month, last) => (last_year, month, last + 1),
            };
            before = (year, month, day);
            assert_eq!(before, wanted);
        }
    }

    #[test]
    fn a_long_text_is_cut_at_a_character_and_counted() {
        let mut line = Line::begin(/*wall_ms*/ 0, &Level::WARN, &[], "t");
        write!(line, "{}\nmore", "ä".repeat(LOG_LINE_BYTES_MAX)).unwrap();
        let text = line.end();
        assert!(text.len() < LOG_LINE_BYTES_MAX + 40, "{}", text.len());
        assert_eq!(text.matches('\n').count(), 1);
        let kept = text.matches('ä').count();
        let cut = LOG_LINE_BYTES_MAX * 2 - kept * 2 + "\nmore".len();
        assert!(text.ends_with(&format!("ä… ({cut} more bytes)\n")), "{}", &text[text.len() - 60..]);
    }
}
