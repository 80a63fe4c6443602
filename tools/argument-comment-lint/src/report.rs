//! Findings as text, in the shape of rustc's messages, and as JSON in the shape of rustc's diagnostics, so that
//! editors which read those read these. Knows neither the database nor how a finding came to be.

use std::path::Path;

use serde_json::{Value, json};

use crate::check::{Finding, Place};
use crate::level::{Level, Lint};
use crate::source::Source;

/// What is said about one finding.
pub struct Message<'a> {
    finding: &'a Finding,
    source: &'a Source<'a>,
    path: String,
    severity: &'static str,
}

/// A replacement of `range`; an empty range is an insertion.
#[derive(Debug, PartialEq, Eq)]
pub struct Edit {
    pub start: usize,
    pub end: usize,
    pub text: String,
}

impl Edit {
    pub fn of(finding: &Finding) -> Edit {
        let (start, end) = (usize::from(finding.range.start()), usize::from(finding.range.end()));
        let name = &finding.parameter;
        match finding.lint {
            Lint::Mismatch => Edit { start, end, text: format!("/*{name}*/") },
            Lint::Uncommented => Edit { start, end: start, text: format!("/*{name}*/ ") },
        }
    }
}

impl<'a> Message<'a> {
    /// `None` if the level says that nobody wants to hear of it.
    pub fn new(
        finding: &'a Finding,
        source: &'a Source<'a>,
        level: Level,
        folder: &Path,
    ) -> Option<Message<'a>> {
        let severity = match level {
            Level::Allow => return None,
            Level::Warn => "warning",
            Level::Deny => "error",
        };
        Some(Message { finding, source, path: source.shown_path(folder), severity })
    }

    fn headline(&self) -> String {
        let Finding { function, parameter, .. } = self.finding;
        match &self.finding.found {
            Some(found) => {
                format!("the comment says `{found}`, but the parameter of `{function}` is `{parameter}`")
            }
            None => format!("this literal does not say that it is the `{parameter}` of `{function}`"),
        }
    }

    fn help(&self) -> String {
        let Edit { text, .. } = Edit::of(self.finding);
        match self.finding.lint {
            Lint::Mismatch => format!("if the argument is right, write `{text}`"),
            Lint::Uncommented => {
                // A literal within a block may go over several lines; its first line is enough here.
                let literal = self.source.slice(self.finding.range).lines().next().unwrap_or_default();
                format!("write `{text}{literal}`, or let the type say it")
            }
        }
    }

    pub fn human(&self) -> String {
        let Message { path, severity, finding, .. } = self;
        let spot = self.source.spot(finding.range.start());
        let gutter = " ".repeat(spot.line.to_string().len());
        // Tabs are kept, so that the caret stands under the argument whatever the terminal makes of them.
        let before = spot.text.chars().take(spot.column - 1);
        let pad: String = before.map(|letter| if letter == '\t' { '\t' } else { ' ' }).collect();
        let marked = self.source.slice(finding.range).lines().next().unwrap_or_default().chars().count();
        let carets = "^".repeat(marked.max(1));
        format!(
            "{severity}: {headline}\n\
             {gutter}--> {path}:{line}:{column}\n\
             {gutter} |\n\
             {line} | {text}\n\
             {gutter} | {pad}{carets}\n\
             {gutter} |\n\
             {gutter} = help: {help}\n\
             {gutter} = note: {lint}\n",
            headline = self.headline(),
            line = spot.line,
            column = spot.column,
            text = spot.text,
            help = self.help(),
            lint = finding.lint.name(),
        )
    }

    pub fn json(&self) -> Value {
        let Edit { start, end, text } = Edit::of(self.finding);
        let range = self.finding.range;
        let marked = self.span(range.start().into(), range.end().into(), None);
        let edited = self.span(start, end, Some(&text));
        let child = json!({
            "message": self.help(), "code": null, "level": "help",
            "spans": [edited], "children": [], "rendered": null,
        });
        json!({
            "$message_type": "diagnostic",
            "message": self.headline(),
            "code": { "code": self.finding.lint.name(), "explanation": null },
            "level": self.severity,
            "spans": [marked],
            "children": [child],
            "rendered": self.human(),
        })
    }

    fn span(&self, start: usize, end: usize, replacement: Option<&str>) -> Value {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX).into();
        let (from, to) = (self.source.spot(offset(start)), self.source.spot(offset(end)));
        let last_column = if to.line == from.line { to.column } else { from.text.chars().count() + 1 };
        json!({
            "file_name": self.path,
            "byte_start": start, "byte_end": end,
            "line_start": from.line, "line_end": to.line,
            "column_start": from.column, "column_end": to.column,
            "is_primary": true,
            "text": [{
                "text": from.text, "highlight_start": from.column, "highlight_end": last_column,
            }],
            "label": null,
            "suggested_replacement": replacement,
            "suggestion_applicability": replacement.map(|_| self.applicability()),
            "expansion": null,
        })
    }

    /// A missing name can only be this one. A wrong one may also mean that the arguments are swapped.
    fn applicability(&self) -> &'static str {
        match self.finding.lint {
            Lint::Uncommented => "MachineApplicable",
            Lint::Mismatch => "MaybeIncorrect",
        }
    }
}

/// One line of `--verbose`.
pub fn place(place: &Place, source: &Source<'_>, what: &str, folder: &Path) -> String {
    let spot = source.spot(place.offset);
    format!("note: {}:{}:{}: {what} `{}`\n", source.shown_path(folder), spot.line, spot.column, place.name)
}
