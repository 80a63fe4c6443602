//! The commands of a thread's agent, as far as they outlive a single call: each is a session that the model
//! can look at and type into, and one that outlives its turn is a background terminal.
//!
//! A command belongs to the turn that started it: its events and its item carry that turn's id whenever they
//! come. An interrupted turn takes its commands along; a thread that is let go takes all of them.

mod output;
mod pump;
mod session;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

#[cfg(test)]
pub(crate) use session::Exit;
pub(crate) use session::{Heard, Session, StartFailure};

use super::teller::Teller;
use crate::exec::{CommandSpec, Spawner};
use crate::limits;
use crate::proto::CommandExecutionItem;
use crate::sync::lock;
use crate::sys::worker::Worker;

/// The command sessions of one thread.
#[derive(Debug, Default)]
pub struct Terminals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last_id: i64,
    sessions: BTreeMap<i64, Arc<Session>>,
}

/// A command that runs although no call waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackgroundTerminal {
    /// The item that shows it.
    pub item_id: String,
    /// By which it is stopped.
    pub process_id: String,
    /// The command line.
    pub command: String,
    /// Where it runs.
    pub cwd: String,
}

/// A command to be started.
pub(crate) struct NewCommand {
    pub(crate) spec: CommandSpec,
    /// The item; its process id is set here.
    pub(crate) item: CommandExecutionItem,
    /// When the item began, if it is shown already.
    pub(crate) shown_since_ms: Option<i64>,
    pub(crate) teller: Arc<Teller>,
}

impl Terminals {
    /// Starts a command.
    ///
    /// # Errors
    /// Why it was not taken, for the model; nothing was told of it.
    pub(crate) fn start(&self, spawner: &Spawner, new: NewCommand) -> Result<Arc<Session>, StartFailure> {
        let id = {
            let mut state = lock(&self.0);
            if state.sessions.len() >= limits::TERMINALS_PER_THREAD {
                // One that has ended, and that nobody has asked about since, makes room.
                let ended = state.sessions.values().find(|session| session.has_ended()).map(|one| one.id());
                match ended {
                    Some(id) => drop(state.sessions.remove(&id)),
                    None => return Err(StartFailure::TooMany(limits::TERMINALS_PER_THREAD)),
                }
            }
            state.last_id += 1;
            state.last_id
        };
        let session = Session::start(id, spawner, new)?;
        lock(&self.0).sessions.insert(id, Arc::clone(&session));
        Ok(session)
    }

    /// The session with this id.
    pub(crate) fn get(&self, id: i64) -> Option<Arc<Session>> {
        lock(&self.0).sessions.get(&id).cloned()
    }

    /// Forgets a session that has ended and whose end was told to the model.
    pub(crate) fn forget(&self, id: i64) {
        let gone = lock(&self.0).sessions.remove(&id);
        drop(gone);
    }

    /// The commands that run although no call waits for them, the oldest first.
    #[must_use]
    pub fn background(&self) -> Vec<BackgroundTerminal> {
        lock(&self.0).sessions.values().filter_map(|session| session.as_background()).collect()
    }

    /// Ends a background command. False if there is none with this id.
    pub fn terminate(&self, process_id: &str) -> bool {
        let session = process_id.parse().ok().and_then(|id| self.get(id));
        let running = session.filter(|session| session.as_background().is_some());
        running.as_ref().inspect(|session| session.kill()).is_some()
    }

    /// Ends all background commands.
    pub fn clean(&self) {
        let sessions: Vec<Arc<Session>> = lock(&self.0).sessions.values().cloned().collect();
        for session in sessions.iter().filter(|session| session.as_background().is_some()) {
            session.kill();
        }
    }

    /// Kills all commands without waiting. The workers end soon; who owns the thread keeps them until then.
    #[must_use]
    pub fn let_go(&self) -> Vec<Worker> {
        let sessions = std::mem::take(&mut lock(&self.0).sessions);
        sessions.values().filter_map(|session| session.let_go()).collect()
    }

    /// Kills what a turn has started, and waits until it is dead and told. For workers of turns.
    pub(crate) fn kill_turn(&self, turn_id: &str) {
        let theirs: Vec<Arc<Session>> = {
            let mut state = lock(&self.0);
            let ids: Vec<i64> =
                state.sessions.values().filter(|one| one.turn_id() == turn_id).map(|one| one.id()).collect();
            ids.iter().filter_map(|id| state.sessions.remove(id)).collect()
        };
        for session in &theirs {
            session.kill_now();
        }
        // Their drop waits for each.
        drop(theirs);
    }
}

/// The shell that runs the agent's commands, and how it is called.
pub(crate) fn shell(asked: Option<&str>) -> PathBuf {
    let known = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        ["bash", "zsh", "sh", "dash", "ksh"].contains(&name)
    };
    if let Some(asked) = asked {
        return PathBuf::from(asked);
    }
    let own = std::env::var("SHELL").ok().filter(|path| path.starts_with('/') && known(path));
    let candidates = own.into_iter().chain(["/bin/bash".to_owned()]).map(PathBuf::from);
    candidates.into_iter().find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("/bin/sh"))
}
