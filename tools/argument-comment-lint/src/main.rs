//! `argument-comment-lint`: literal arguments say which parameter they fill.
//!
//! ```text
//! cli ──> load (select, std_source) ──> check (callee, comment, literal, names) ──> report, fix
//! ```
//!
//! Calls are resolved by rust-analyzer, used as a library: it knows the type of a receiver, the trait of a
//! method and the crate of a function, and it is built by a stable toolchain. What it cannot resolve is
//! counted and said. One OS thread; nothing of the server is used here, and the server knows nothing of this.

mod callee;
mod check;
mod cli;
mod comment;
mod fix;
mod level;
mod literal;
mod load;
mod names;
mod report;
mod select;
mod source;
mod std_source;

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use ra_ap_hir::Crate;
use ra_ap_ide_db::FileId;

use check::Outcome;
use cli::{Cli, MessageFormat, Request};
use fix::Fixes;
use level::Level;
use load::Loaded;
use report::{Edit, Message};
use source::Source;

const FOUND: u8 = 1;
const FAILED: u8 = 2;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            // A closed stderr leaves nobody to tell.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn run() -> Result<ExitCode> {
    let environment = std::env::var("ARGUMENT_COMMENT_LINT_FLAGS").unwrap_or_default();
    let args = std::env::args_os().skip(1);
    let args = args.map(|arg| arg.into_string()).collect::<Result<Vec<_>, _>>();
    let args = args.map_err(|arg| anyhow::anyhow!("argument {arg:?} is not UTF-8"))?;
    let mut cli = match cli::parse(&environment, args)? {
        Request::Check(cli) => cli,
        Request::Help => return print(cli::HELP),
        Request::Version => return print(concat!("argument-comment-lint ", env!("CARGO_PKG_VERSION"), "\n")),
    };
    cli.targets = std::mem::take(&mut cli.targets).with_default(cli.fix);

    let loaded = load::load(&cli)?;
    let first_party: Vec<Crate> =
        Crate::all(&loaded.db).into_iter().filter(|krate| krate.origin(&loaded.db).is_local()).collect();
    let targets: Vec<Crate> =
        first_party.iter().copied().filter(|&krate| is_target(&loaded, krate)).collect();
    let mut outcome = ra_ap_hir::attach_db(&loaded.db, || check::check(&loaded.db, &targets, &first_party));
    conclude(&cli, &loaded, &mut outcome)
}

fn print(text: &str) -> Result<ExitCode> {
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn is_target(loaded: &Loaded, krate: Crate) -> bool {
    let root = loaded.vfs.file_path(krate.root_file(&loaded.db));
    root.as_path().is_some_and(|root| loaded.roots.contains(root))
}

/// Tells what was found, or mends it, and says how it ended.
fn conclude(cli: &Cli, loaded: &Loaded, outcome: &mut Outcome) -> Result<ExitCode> {
    let folder = shown_folder()?;
    let places = outcome.unresolved.iter().chain(&outcome.unexpanded).map(|place| place.file);
    let files = outcome.findings.iter().map(|finding| finding.file).chain(places);
    let mut sources = HashMap::<FileId, Source<'_>>::new();
    for file in files {
        sources.insert(file, Source::of(&loaded.db, &loaded.vfs, file)?);
    }
    outcome.findings.sort_by_key(|finding| (&sources[&finding.file].path, finding.range.start()));

    let heard = outcome.findings.iter().filter(|finding| cli.levels.of(finding.lint) != Level::Allow);
    let mut counts = Counts::default();
    if cli.fix {
        let mut fixes = Fixes::default();
        for finding in heard {
            let source = &sources[&finding.file];
            fixes.add(&source.path, source.text, Edit::of(finding));
            counts.fixed += 1;
        }
        fixes.write()?;
    } else {
        for finding in heard {
            let level = cli.levels.of(finding.lint);
            let Some(message) = Message::new(finding, &sources[&finding.file], level, &folder) else {
                continue;
            };
            counts.add(level);
            match cli.format {
                MessageFormat::Human => writeln!(io::stderr(), "{}", message.human())?,
                MessageFormat::Json => writeln!(io::stdout(), "{}", message.json())?,
            }
        }
    }

    if cli.verbose {
        for place in &outcome.unresolved {
            write!(
                io::stderr(),
                "{}",
                report::place(place, &sources[&place.file], "cannot resolve", &folder)
            )?;
        }
        for place in &outcome.unexpanded {
            write!(
                io::stderr(),
                "{}",
                report::place(place, &sources[&place.file], "cannot expand", &folder)
            )?;
        }
    }
    write!(io::stderr(), "{}", counts.summary(outcome, loaded.has_std))?;
    Ok(if counts.errors > 0 { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

/// Cargo speaks of real paths; so must the folder that they are shown relative to.
fn shown_folder() -> Result<PathBuf> {
    let folder = std::env::current_dir().context("no current folder")?;
    Ok(Path::canonicalize(&folder).unwrap_or(folder))
}

#[derive(Default)]
struct Counts {
    errors: usize,
    warnings: usize,
    fixed: usize,
}

impl Counts {
    fn add(&mut self, level: Level) {
        match level {
            Level::Deny => self.errors += 1,
            Level::Warn => self.warnings += 1,
            Level::Allow => {}
        }
    }

    fn summary(&self, outcome: &Outcome, has_std: bool) -> String {
        let Counts { errors, warnings, fixed } = self;
        let Outcome { files, compared, unresolved, unexpanded, .. } = outcome;
        let mut text = format!(
            "argument-comment-lint: {}, {} compared: {}, {}, {fixed} fixed\n\
             argument-comment-lint: {} could not be resolved, {} could not be expanded\n",
            count(*files, "file"),
            count(*compared, "call"),
            count(*errors, "error"),
            count(*warnings, "warning"),
            count(unresolved.len(), "call"),
            count(unexpanded.len(), "macro call"),
        );
        if !has_std {
            text.push_str(
                "argument-comment-lint: this toolchain has no sources of the standard library: calls through its \
                 types stay unresolved; `rustup component add rust-src` adds them\n",
            );
        }
        text
    }
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
