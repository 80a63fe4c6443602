//! The command line. What stands before the first `--` is for the lint, what stands after it is meant as for
//! cargo. Knows nothing of the workspace: whether a package or target exists is found out in `select`.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use lexopt::prelude::*;

use crate::level::{Level, Levels};
use crate::select::{PackageFlags, TargetFlags};

#[cfg(test)]
mod tests;

pub const HELP: &str = "\
Checks that literal arguments say which parameter they fill: connect(/*retry*/ true)

Usage: argument-comment-lint [flags] [-- cargo flags]

Flags:
  -D, -W, -A LINT           deny, warn or allow a lint: argument-comment-mismatch,
                            uncommented-anonymous-literal-argument, or the group warnings
      --fix                 write the missing comments and correct the wrong ones
      --manifest-path PATH  the Cargo.toml to check [default: found from the current folder]
  -p, --package NAME        check only this package (repeatable)
      --workspace           check all packages of the workspace (the default without --manifest-path)
      --no-deps             do not check path dependencies outside of what was selected
      --message-format FMT  human (default), or json: one object per finding on stdout
      --verbose             list the calls that could not be resolved
      --std-source PATH     sources of the standard library [default: the toolchain's]
  -h, --help / -V, --version

Cargo flags, after `--`:
  --all-targets --lib --bins --bin NAME --tests --test NAME --benches --bench NAME --examples --example NAME
                            narrow the targets [default: all; with --fix: as cargo, lib and bins]
  --features LIST --all-features --no-default-features --target TRIPLE --locked --offline --frozen
  -p, --package, --workspace and --manifest-path are also understood here

Levels are read from ARGUMENT_COMMENT_LINT_FLAGS first, then from the command line.
Exit status: 0 nothing denied was found, 1 something denied was found, 2 bad usage or the workspace did not load.
";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageFormat {
    #[default]
    Human,
    Json,
}

/// Which features the packages are looked at with.
#[derive(Debug, Default)]
pub struct FeatureFlags {
    pub all: bool,
    pub no_default: bool,
    pub named: Vec<String>,
}

#[derive(Debug, Default)]
pub struct Cli {
    pub manifest_path: Option<PathBuf>,
    pub packages: PackageFlags,
    pub targets: TargetFlags,
    pub features: FeatureFlags,
    pub target_triple: Option<String>,
    /// `--locked`, `--offline`, `--frozen`: handed to `cargo metadata` as they are.
    pub lock_flags: Vec<String>,
    pub levels: Levels,
    pub fix: bool,
    pub format: MessageFormat,
    pub verbose: bool,
    pub std_source: Option<PathBuf>,
}

#[derive(Debug)]
pub enum Request {
    Check(Box<Cli>),
    Help,
    Version,
}

/// Reads the levels of the environment and the arguments without the program's name.
pub fn parse(environment_flags: &str, args: Vec<String>) -> Result<Request> {
    let mut cli = Cli::default();
    environment_levels(environment_flags, &mut cli.levels).context("in ARGUMENT_COMMENT_LINT_FLAGS")?;

    let separator = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    let (own, cargo) = args.split_at(separator);
    if let Some(request) = own_flags(own, &mut cli)? {
        return Ok(request);
    }
    cargo_flags(cargo.get(1..).unwrap_or_default(), &mut cli)?;
    Ok(Request::Check(Box::new(cli)))
}

fn environment_levels(flags: &str, levels: &mut Levels) -> Result<()> {
    let mut parser = lexopt::Parser::from_args(flags.split_whitespace());
    while let Some(arg) = parser.next()? {
        match level_of(&arg) {
            Some(level) => levels.set(level, &parser.value()?.string()?)?,
            None => bail!("{}: only -D, -W and -A can stand here", arg.unexpected()),
        }
    }
    Ok(())
}

fn level_of(arg: &lexopt::Arg<'_>) -> Option<Level> {
    match arg {
        Short('D') | Long("deny") => Some(Level::Deny),
        Short('W') | Long("warn") => Some(Level::Warn),
        Short('A') | Long("allow") => Some(Level::Allow),
        _ => None,
    }
}

fn own_flags(args: &[String], cli: &mut Cli) -> Result<Option<Request>> {
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        if let Some(level) = level_of(&arg) {
            cli.levels.set(level, &parser.value()?.string()?)?;
            continue;
        }
        if let Some(flag) = Selection::of(&arg) {
            flag.read(&mut parser, cli)?;
            continue;
        }
        match arg {
            Long("fix") => cli.fix = true,
            Long("verbose") => cli.verbose = true,
            Long("no-deps") => cli.packages.no_deps = true,
            Long("message-format") => {
                cli.format = match parser.value()?.string()?.as_str() {
                    "human" => MessageFormat::Human,
                    "json" => MessageFormat::Json,
                    other => bail!("unknown message format `{other}`: use human or json"),
                }
            }
            Long("std-source") => cli.std_source = Some(parser.value()?.into()),
            Short('h') | Long("help") => return Ok(Some(Request::Help)),
            Short('V') | Long("version") => return Ok(Some(Request::Version)),
            Long(flag) if TargetFlags::knows(flag) => {
                bail!("`--{flag}` is a flag of cargo: write it after `--`")
            }
            Value(value) => bail!("unexpected argument {value:?}"),
            arg => return Err(unknown(arg)),
        }
    }
    Ok(None)
}

fn cargo_flags(args: &[String], cli: &mut Cli) -> Result<()> {
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        if let Some(flag) = Selection::of(&arg) {
            flag.read(&mut parser, cli)?;
            continue;
        }
        match arg {
            Long(flag @ ("locked" | "offline" | "frozen")) => cli.lock_flags.push(format!("--{flag}")),
            Long("all-features") => cli.features.all = true,
            Long("no-default-features") => cli.features.no_default = true,
            Long("features") | Short('F') => {
                let list = parser.value()?.string()?;
                let names = list.split([',', ' ']).filter(|name| !name.is_empty());
                cli.features.named.extend(names.map(str::to_owned));
            }
            Long("target") => cli.target_triple = Some(parser.value()?.string()?),
            Long(flag) if TargetFlags::knows(flag) => {
                let flag = flag.to_owned();
                let name =
                    if TargetFlags::takes_name(&flag) { parser.value()?.string()? } else { String::new() };
                cli.targets.add(&flag, name);
            }
            Value(value) => bail!("unexpected argument {value:?} after `--`"),
            arg => return Err(unknown(arg)),
        }
    }
    Ok(())
}

/// Flags that select packages are understood on both sides of `--`, because cargo has them too.
enum Selection {
    Package,
    Workspace,
    Manifest,
}

impl Selection {
    fn of(arg: &lexopt::Arg<'_>) -> Option<Selection> {
        match arg {
            Short('p') | Long("package") => Some(Selection::Package),
            Long("workspace") => Some(Selection::Workspace),
            Long("manifest-path") => Some(Selection::Manifest),
            _ => None,
        }
    }

    fn read(self, parser: &mut lexopt::Parser, cli: &mut Cli) -> Result<()> {
        match self {
            Selection::Package => cli.packages.named.push(parser.value()?.string()?),
            Selection::Workspace => cli.packages.workspace = true,
            Selection::Manifest => cli.manifest_path = Some(parser.value()?.into()),
        }
        Ok(())
    }
}

fn unknown(arg: lexopt::Arg<'_>) -> anyhow::Error {
    anyhow!("{}: --help lists what is known", arg.unexpected())
}
