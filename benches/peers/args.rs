//! The command line of the bench.

use std::path::PathBuf;

use super::peer::Peer;
use super::stats::say;
use super::workloads;

const HELP: &str = "\
cargo bench --bench peers -- [OPTIONS]

  --peer NAME=COMMAND   another server; COMMAND is split at spaces. Repeatable. Ours is always first.
  --only PART           workloads whose name contains PART. Repeatable.
  --rounds N            rounds of each workload (5)
  --stored N            threads in the store for the workload `stored` (1000)
  --connections N       most idle connections opened (8000)
  --soak SECONDS        no workload, but mixed load for so long; fails if memory, descriptors or OS threads grow
  --quick               less of everything: tries the bench, measures little
  --json FILE           all figures as JSON
  --list                the workloads";

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Args {
    /// Ours first.
    pub(crate) peers: Vec<Peer>,
    /// Rounds of each workload.
    pub(crate) rounds: usize,
    /// Threads in the store.
    pub(crate) stored: usize,
    /// Most idle connections.
    pub(crate) connections: usize,
    /// Less of everything.
    pub(crate) quick: bool,
    /// Seconds of mixed load in place of the workloads.
    pub(crate) soak: Option<usize>,
    /// Where the JSON goes.
    pub(crate) json: Option<PathBuf>,
    only: Vec<String>,
}

impl Args {
    /// None if the line only asked for help or the list.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let ours = Peer::new("app-server", vec![env!("CARGO_BIN_EXE_app-server").to_owned()]);
        let mut args = Self {
            peers: vec![ours],
            rounds: 5,
            stored: 1000,
            connections: 8000,
            quick: false,
            soak: None,
            json: None,
            only: Vec::new(),
        };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} wants a value"));
            match word.as_str() {
                // What cargo adds.
                "--bench" => {}
                "--peer" => args.peers.push(peer(&value()?)?),
                "--only" => args.only.push(value()?),
                "--rounds" => args.rounds = number(&value()?)?.max(1),
                "--stored" => args.stored = number(&value()?)?,
                "--connections" => args.connections = number(&value()?)?,
                "--json" => args.json = Some(PathBuf::from(value()?)),
                "--soak" => args.soak = Some(number(&value()?)?),
                "--quick" => args.quick = true,
                "--list" => {
                    for workload in workloads::ALL {
                        say(&format!("{:<12} {}", workload.name, workload.what));
                    }
                    return Ok(None);
                }
                "--help" | "-h" => {
                    say(HELP);
                    return Ok(None);
                }
                _ => return Err(format!("unknown argument {word}\n{HELP}")),
            }
        }
        if args.quick {
            args.rounds = 1;
            args.stored = args.stored.min(50);
            args.connections = args.connections.min(200);
        }
        Ok(Some(args))
    }

    /// True if the workload was not deselected.
    pub(crate) fn wants(&self, workload: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| workload.contains(part))
    }

    /// `many`, or a twentieth of it in a quick run.
    pub(crate) fn scaled(&self, many: usize) -> usize {
        if self.quick { (many / 20).max(2) } else { many }
    }
}

fn peer(text: &str) -> Result<Peer, String> {
    let (name, command) = text.split_once('=').ok_or(format!("--peer {text}: want NAME=COMMAND"))?;
    let argv: Vec<String> = command.split_whitespace().map(ToOwned::to_owned).collect();
    if name.is_empty() || argv.is_empty() {
        return Err(format!("--peer {text}: want NAME=COMMAND"));
    }
    Ok(Peer::new(name, argv))
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}
