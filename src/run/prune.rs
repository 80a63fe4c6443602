//! `app-server prune`: removes old threads from the store, and says which. It works beside running servers:
//! what one of them has open stays. Runs on the main worker alone.

use std::io::{self, Write};

use crate::cli::PruneArgs;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Exit, StartError};
use crate::limits;
use crate::store::{Database, OldThread, Pruned, StoreError};

/// What was done, or would be.
#[derive(Debug, Default)]
struct Tally {
    removed: u64,
    bytes: u64,
    in_use: u64,
}

/// Carries out `app-server prune`.
///
/// # Errors
/// What kept it from being carried out.
pub(super) fn prune(args: &PruneArgs) -> Result<Exit, StartError> {
    if args.older_than.is_none() && args.max_bytes.is_none() {
        let text = "prune: what to remove is missing: --older-than AGE, --max-bytes SIZE, or both";
        return Err(StartError::Usage(text.to_owned()));
    }
    let dir = Config::from_process_env(&args.config)?.data_dir;
    if !dir.join(crate::store::FILE_NAME).exists() {
        return super::print("there is no store yet: nothing to prune\n");
    }
    let mut database = Database::open(&dir).map_err(failed)?;
    let mut out = io::stdout().lock();
    match prune_in(&mut database, args, Clock::real().wall_ms(), &mut out) {
        // A reader that has had enough is no failure.
        Err(Failure::Told(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(Failure::Told(error)) => Err(StartError::io("cannot write to stdout", error)),
        Err(Failure::Store(error)) => Err(failed(error)),
        Ok(()) => Ok(Exit::Done),
    }
}

fn failed(error: StoreError) -> StartError {
    StartError::Other(format!("cannot prune: {error}"))
}

enum Failure {
    Store(StoreError),
    Told(io::Error),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Told(error)
    }
}

fn prune_in(
    database: &mut Database,
    args: &PruneArgs,
    now_ms: i64,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let before = database.room()?;
    let oldest_kept_ms =
        args.older_than.map(|age| now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)));
    let mut tally = Tally::default();
    let by_age = database.threads_by_age()?;
    let mut rest = by_age.as_slice();
    while !rest.is_empty() {
        let aged = &rest[..rest.len().min(limits::PRUNE_THREADS)];
        let mut batch = database.old_threads(aged)?;
        let all_gone = batch.is_empty();
        // A dry run frees nothing, so there the estimate has to do.
        let used = database.room()?.used.saturating_sub(if args.dry_run { tally.bytes } else { 0 });
        let mut over = args.max_bytes.map_or(0, |max| used.saturating_sub(max));
        let wanted = batch.iter().take_while(|thread| {
            let is_old = oldest_kept_ms.is_some_and(|kept| thread.updated_at_ms < kept);
            let is_too_much = over > 0;
            over = over.saturating_sub(thread.bytes);
            is_old || is_too_much
        });
        batch.truncate(wanted.count());
        for (thread, outcome) in batch.iter().zip(database.prune(&batch, args.dry_run)?) {
            tell(thread, &outcome, args.dry_run, now_ms, &mut tally, out)?;
        }
        // What was removed is gone when it is looked at again.
        rest = if all_gone { &rest[aged.len()..] } else { &rest[batch.len()..] };
        if batch.is_empty() && !all_gone {
            break;
        }
    }
    let word = if args.dry_run { "would remove" } else { "removed" };
    writeln!(out, "{word} {} threads, about {}", tally.removed, shown(tally.bytes))?;
    if tally.in_use > 0 {
        writeln!(out, "left {} threads that running servers have open", tally.in_use)?;
    }
    if !args.dry_run {
        give_back(database, out)?;
        let after = database.room()?;
        writeln!(out, "the store had {}, it has {}", shown(before.file), shown(after.file))?;
    }
    Ok(())
}

fn tell(
    thread: &OldThread,
    outcome: &Pruned,
    dry_run: bool,
    now_ms: i64,
    tally: &mut Tally,
    out: &mut impl Write,
) -> io::Result<()> {
    let what = match outcome {
        Pruned::Removed if dry_run => "would remove".to_owned(),
        Pruned::Removed => "removed".to_owned(),
        Pruned::InUse(holder) => format!("left, open in {holder}:"),
        Pruned::Changed => return Ok(()),
    };
    match outcome {
        Pruned::Removed => {
            tally.removed += 1;
            tally.bytes += thread.bytes;
        }
        _ => tally.in_use += 1,
    }
    let days = now_ms.saturating_sub(thread.updated_at_ms) / (24 * 3600 * 1000);
    // A title is a client's text: on a terminal it must not be more than a text.
    let title: String = thread.title.chars().map(|c| if c.is_control() { ' ' } else { c }).take(60).collect();
    writeln!(out, "{what} {}  {days} days old, {}  {}", thread.id, shown(thread.bytes), title.trim_end())
}

/// Gives the free room back. An older version's database is written anew for that, if nobody else is there.
fn give_back(database: &mut Database, out: &mut impl Write) -> Result<(), Failure> {
    if database.give_room_back()? {
        return Ok(());
    }
    let rebuilt = if database.has_other_writers()? { Err(StoreError::Busy) } else { database.rebuild() };
    match rebuilt {
        Err(StoreError::Busy) => {
            let text = "the room is used again by new threads; to give it back to the file system, run this \
                        once while no server runs: an older version made this store";
            Ok(writeln!(out, "{text}")?)
        }
        other => Ok(other?),
    }
}

/// Bytes for people.
fn shown(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_their_unit() {
        assert_eq!(shown(/*bytes*/ 0), "0.0 KiB");
        assert_eq!(shown(/*bytes*/ 1536), "1.5 KiB");
        assert_eq!(shown(3 * 1024 * 1024), "3.0 MiB");
        assert_eq!(shown(u64::MAX), "16777216.0 TiB");
    }
}
