//! The worker `exec-io`: waits for whatever any running command does next, and deals with it.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::command::{CommandId, CommandRef};
use super::live::{Live, Part};
use super::spawner::Hub;
use crate::limits;
use crate::sys::orphans::DeathWatch;
use crate::sys::poller::{Interest, Poller};

/// What others want of the io worker.
#[derive(Debug)]
pub(super) enum Post {
    /// Serve this command.
    Adopt(Box<Live>),
    /// Something about this command has changed: input, room for output, a deadline.
    Look(CommandRef),
    /// Look for what ended commands have left behind; the next time after this pause.
    Sweep(Duration),
    /// End as soon as no command is left.
    Stop,
}

/// What the watch for deaths is known as; no part of a command is.
const DEATHS: u64 = u64::MAX - 1;

/// Watches for deaths of what commands have left behind. Without, they are found when a command ends.
fn watch_deaths(poller: &Poller) -> Option<DeathWatch> {
    let watch = || -> io::Result<Option<DeathWatch>> {
        let deaths = DeathWatch::new()?;
        if let Some(deaths) = &deaths {
            poller.add(deaths, DEATHS, Interest::Read)?;
        }
        Ok(deaths)
    };
    let watched = watch();
    if let Err(error) = &watched {
        tracing::warn!(%error, "what a running command leaves behind stays a zombie until a command ends");
    }
    watched.ok().flatten()
}

/// Runs until it is told to stop and every command is reaped.
pub(super) fn run(mut poller: Poller, hub: &Arc<Hub>) {
    let deaths = watch_deaths(&poller);
    let mut commands: HashMap<CommandId, Live> = HashMap::new();
    let mut buffer = vec![0; limits::COMMAND_READ_BYTES];
    let (mut ready, mut posts) = (Vec::new(), Vec::new());
    let mut is_stopping = false;
    while !(is_stopping && commands.is_empty()) {
        if let Err(error) = poller.wait(&mut ready) {
            // Only a programming error of ours gets here; the process's end reaps and kills what is left.
            tracing::error!(%error, "running commands cannot be watched any more");
            return;
        }
        hub.take_posts(&mut posts);
        for post in posts.drain(..) {
            match post {
                Post::Adopt(live) => {
                    let id = live.id();
                    commands.insert(id, *live);
                    serve(hub, &mut commands, id, &poller, |live, poller| live.watch(poller));
                }
                Post::Look(command) => {
                    command.looking();
                    serve(hub, &mut commands, command.id, &poller, |live, poller| {
                        live.look(poller, &mut buffer)
                    });
                }
                Post::Sweep(pause) => hub.sweep(/*over*/ None, pause),
                Post::Stop => is_stopping = true,
            }
        }
        for token in ready.drain(..) {
            if let (DEATHS, Some(deaths)) = (token, &deaths) {
                deaths.clear();
                hub.reap_orphans();
                continue;
            }
            let (id, part) = Part::of(token);
            serve(hub, &mut commands, id, &poller, |live, poller| live.on_ready(part, poller, &mut buffer));
        }
    }
}

/// Does something with a command and takes leave of it if that was the last. A panic in its sink costs this
/// command and no other.
fn serve(
    hub: &Arc<Hub>,
    commands: &mut HashMap<CommandId, Live>,
    id: CommandId,
    poller: &Poller,
    work: impl FnOnce(&mut Live, &Poller),
) {
    // One that is gone may still be ready for something in this round.
    let Some(live) = commands.get_mut(&id) else { return };
    let is_well = catch_unwind(AssertUnwindSafe(|| work(live, poller))).is_ok();
    if is_well && !live.is_over() {
        return;
    }
    if let Some(live) = commands.remove(&id) {
        let group = live.group();
        let outcome = catch_unwind(AssertUnwindSafe(|| live.finish(poller, is_well)));
        if !is_well || outcome.is_err() {
            tracing::error!(command = id, "a taker of a command's output panicked; the command was killed");
        }
        // What has left the group: a daemon, or on a terminal the jobs of a shell. Nobody waits for that.
        hub.sweep_after(group);
    }
}
