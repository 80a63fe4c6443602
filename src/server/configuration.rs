//! The configuration as it stands in its files: looked at whenever a thread begins, so that a change counts
//! without a restart, whoever made it.
//!
//! [`Configuration`] reads files and is for file workers; the processor works with the [`Current`] that it
//! was given last. Of threads it knows where they work, and nothing of what they do.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::dispatch::Caller;
use super::files::Looker;
use super::processor::Processor;
use super::{Event, Facts, facts};
use crate::agent::{Defaults, ThreadId, instruction_sources};
use crate::config::{Config, InUse};
use crate::error::StartError;
use crate::mcp::Mcp;
use crate::model::Providers;
use crate::rpc::{Reason, Reply, RpcError};
use crate::sync::lock;

/// A configuration and what was made of it.
pub struct Current {
    /// Without any project's part.
    pub config: Arc<Config>,
    /// The models.
    pub models: Providers,
    /// Of two the higher is the newer.
    generation: u64,
}

impl std::fmt::Debug for Current {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Current").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl Current {
    /// What the server starts with.
    #[must_use]
    pub fn new(config: Config) -> Arc<Self> {
        let models = Providers::new(&config, &environment);
        Arc::new(Self { config: Arc::new(config), models, generation: 0 })
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Who reads the file, one after the other.
pub struct Configuration {
    state: Mutex<State>,
    /// With a project's part.
    in_use: InUse,
    mcp: Mcp,
}

struct State {
    current: Arc<Current>,
    /// What the file was when it was read; none if there was none.
    stamp: Option<Stamp>,
    /// False as long as it is not known what the file was then.
    is_stamped: bool,
}

/// What tells one state of a file from another: device, inode, length, and both times in nanoseconds.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    let changed = (found.ctime(), found.ctime_nsec());
    Some((found.dev(), found.ino(), found.size(), (found.mtime(), found.mtime_nsec()), changed))
}

impl State {
    /// Reads the file anew.
    fn reload(&mut self, mcp: &Mcp) -> Result<(), StartError> {
        // The stamp first: what changes in between is seen the next time.
        let stamp = stamp(&self.current.config.file());
        let config = self.current.config.reloaded()?;
        if config != *self.current.config {
            tracing::info!(generation = self.current.generation + 1, "the configuration has changed");
            if config.mcp_servers != self.current.config.mcp_servers {
                mcp.replace(config.mcp_servers.clone());
            }
            self.current = Arc::new(Current {
                models: self.current.models.renewed(&config, &environment),
                config: Arc::new(config),
                generation: self.current.generation + 1,
            });
        }
        self.stamp = stamp;
        self.is_stamped = true;
        Ok(())
    }
}

impl Configuration {
    /// Begins with what the server was started with.
    #[must_use]
    pub fn new(current: Arc<Current>, mcp: Mcp) -> Self {
        let state = Mutex::new(State { current, stamp: None, is_stamped: false });
        Self { state, in_use: InUse::default(), mcp }
    }

    /// The configuration as it is now.
    ///
    /// # Errors
    /// What is wrong with the file; then the last that was right goes on for what needs none.
    pub fn now(&self) -> Result<Arc<Current>, StartError> {
        let mut state = lock(&self.state);
        let stamp = stamp(&state.current.config.file());
        if !state.is_stamped || stamp != state.stamp {
            state.reload(&self.mcp)?;
        }
        Ok(Arc::clone(&state.current))
    }

    /// The configuration as it is now, whether the file looks changed or not.
    ///
    /// # Errors
    /// See [`Self::now`].
    pub fn anew(&self) -> Result<Arc<Current>, StartError> {
        let mut state = lock(&self.state);
        state.reload(&self.mcp)?;
        Ok(Arc::clone(&state.current))
    }

    /// A configuration with the part of the project around `cwd`, which is absolute.
    ///
    /// # Errors
    /// What is wrong with a file of the project.
    pub fn seen_from(&self, current: &Current, cwd: &str) -> Result<Arc<Config>, StartError> {
        current.config.seen_from(cwd.as_ref(), &self.in_use)
    }

    /// Lets `change` change the file, alone, and reads it again.
    ///
    /// # Errors
    /// Those of `change`, which is given the configuration as it is now, or what is wrong with that.
    pub fn change<R>(
        &self,
        wrong: impl Fn(StartError) -> RpcError,
        change: impl FnOnce(&Config) -> Result<R, RpcError>,
    ) -> Result<(Arc<Current>, R), RpcError> {
        let mut state = lock(&self.state);
        state.reload(&self.mcp).map_err(&wrong)?;
        let changed = change(&state.current.config)?;
        state.reload(&self.mcp).map_err(wrong)?;
        Ok((Arc::clone(&state.current), changed))
    }
}

/// What a thread that begins finds of the configuration, and keeps.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    /// Without any project's part.
    pub(super) current: Arc<Current>,
    /// With that of the project where the thread works.
    pub(super) config: Arc<Config>,
    /// What the thread uses where its client asks for nothing else.
    pub(super) defaults: Defaults,
    /// Files with instructions for who works there.
    pub(super) instructions: Vec<String>,
}

impl Ground {
    /// What is known without a look, for no project.
    pub(super) fn usual(facts: &Facts) -> Self {
        let current = Arc::clone(&facts.current);
        let (config, defaults) = (Arc::clone(&current.config), facts.defaults.clone());
        Self { config, current, defaults, instructions: Vec::new() }
    }

    /// For a thread that works in `cwd`.
    fn look(configuration: &Configuration, cwd: &str) -> Result<Self, RpcError> {
        let look = || {
            let current = configuration.now()?;
            let config = configuration.seen_from(&current, cwd)?;
            let defaults = facts::defaults(&config, cwd);
            let instructions = instruction_sources(&config.home, cwd.as_ref());
            let instructions =
                instructions.into_iter().map(|path| path.to_string_lossy().into_owned()).collect();
            Ok(Self { current, config, defaults, instructions })
        };
        look().map_err(|error: StartError| {
            let text = format!("failed to load configuration: {error}");
            RpcError::invalid_request(text).with(Reason::InvalidParams)
        })
    }
}

impl Processor {
    /// Looks at the files on a worker, with those of the project around `cwd` (absolute), and does the rest
    /// in the processor. What one client asks for is looked at in its order.
    pub(super) fn with_ground(
        &mut self,
        caller: Caller,
        reply: Reply,
        cwd: String,
        rest: impl FnOnce(&mut Self, Reply, Ground) + Send + 'static,
    ) {
        let look = move |configuration: &Configuration| Ground::look(configuration, &cwd);
        self.on_configuration(caller, reply, look, |processor, reply, ground| match ground {
            Ok(ground) => {
                processor.adopt(&ground.current);
                rest(processor, reply, ground);
            }
            Err(error) => reply.refuse(error),
        });
    }

    /// Answers with what `work` says, on a worker.
    pub(super) fn look_into_configuration<R: serde::Serialize + Send + 'static>(
        &mut self,
        caller: Caller,
        reply: Reply,
        work: impl FnOnce(&Configuration) -> Result<R, RpcError> + Send + 'static,
    ) {
        self.on_configuration(caller, reply, work, |_, reply, outcome| reply.send(outcome));
    }

    /// Like [`Self::change_configuration`], and loaded threads follow, as far as they do not have settings of
    /// their own: they ask the providers and have the features of the new configuration.
    pub(super) fn change_configuration_of_all<R: serde::Serialize + Send + 'static>(
        &mut self,
        caller: Caller,
        reply: Reply,
        change: impl FnOnce(&Configuration) -> Result<(Arc<Current>, R), RpcError> + Send + 'static,
    ) {
        let places = self.threads.iter().map(|thread| (thread.id, thread.settings.cwd.clone()));
        let places: Vec<(ThreadId, String)> = places.collect();
        let work = move |configuration: &Configuration| {
            let (current, answer) = change(configuration)?;
            // Once for all who work in one place.
            let mut looked = HashMap::new();
            let ground = |(id, cwd): (ThreadId, String)| {
                let look = |cwd: &String| Ground::look(configuration, cwd).ok();
                Some((id, looked.entry(cwd).or_insert_with_key(look).clone()?))
            };
            let grounds: Vec<(ThreadId, Ground)> = places.into_iter().filter_map(ground).collect();
            Ok((current, answer, grounds))
        };
        self.on_configuration(caller, reply, work, |processor, reply, changed| match changed {
            Ok((current, answer, grounds)) => {
                reply.send(Ok(answer));
                processor.adopt(&current);
                for (id, ground) in grounds {
                    // A change that is older than another may have taken longer.
                    if let Some(thread) = processor.threads.get_mut(id)
                        && thread.ground.current.generation <= ground.current.generation
                    {
                        thread.ground = ground;
                    }
                }
            }
            Err(error) => reply.refuse(error),
        });
    }

    /// Changes the file by `change` on a worker, and answers with what that says.
    pub(super) fn change_configuration<R: serde::Serialize + Send + 'static>(
        &mut self,
        caller: Caller,
        reply: Reply,
        change: impl FnOnce(&Configuration) -> Result<(Arc<Current>, R), RpcError> + Send + 'static,
    ) {
        self.on_configuration(caller, reply, change, |processor, reply, changed| match changed {
            Ok((current, answer)) => {
                // What is told of the change comes behind the answer.
                reply.send(Ok(answer));
                processor.adopt(&current);
            }
            Err(error) => reply.refuse(error),
        });
    }

    /// Lets a worker look, and does the rest in the processor.
    pub(super) fn on_configuration<R: Send + 'static>(
        &mut self,
        caller: Caller,
        reply: Reply,
        work: impl FnOnce(&Configuration) -> R + Send + 'static,
        rest: impl FnOnce(&mut Self, Reply, R) + Send + 'static,
    ) {
        let (events, configuration) =
            (self.services.events.clone(), Arc::clone(&self.services.configuration));
        let reply = reply.queueing();
        // A queue without room drops the work and the reply in it, which then answers by itself.
        let _ = self.files.look(Looker::Connection(caller.connection), move || {
            let reply = reply.arrived();
            let outcome = work(&configuration);
            events.tell(Event::Then(Box::new(move |processor| rest(processor, reply, outcome))));
        });
    }

    /// Takes a configuration, unless a newer one is here already.
    pub(super) fn adopt(&mut self, current: &Arc<Current>) {
        if current.generation <= self.facts.current.generation {
            return;
        }
        let skills_changed = current.config.skills != self.facts.current.config.skills;
        self.facts.adopt(Arc::clone(current));
        if skills_changed {
            self.tell_skills_changed();
        }
    }
}
