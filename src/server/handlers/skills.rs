//! `skills/list`, `skills/config/write`, `skills/extraRoots/set`, and `skills/changed` to everybody.
//!
//! The folders of skills are watched from the first `skills/list` on: who has not asked cannot have anything
//! that is out of date. All files are touched on file workers, the watch is that of `fs/watch`.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use super::super::dispatch::Caller;
use super::super::files::Looker;
use super::super::processor::Processor;
use super::super::{Configuration, Event, EventSender};
use super::catalog::folders;
use crate::agent::{Found, Skill, find_skills};
use crate::config::{SkillSelector, switch_skill};
use crate::limits::{SKILL_FOLDERS_WATCHED, SKILL_PROJECTS_WATCHED, SKILL_ROOTS_MAX};
use crate::proto::{
    EmptyResponse, PathError, SkillMetadata, SkillScope, SkillsChanged, SkillsConfigWriteParams,
    SkillsConfigWriteResponse, SkillsExtraRootsSetParams, SkillsListEntry, SkillsListParams,
    SkillsListResponse,
};
use crate::rpc::{Reason, Reply, RpcError, code};

/// What is watched because clients were told of skills.
#[derive(Debug, Default)]
pub(in crate::server) struct SkillWatch {
    /// What was found last, as a hash, for each working directory that clients have asked about; none while a
    /// change was told and not looked at yet.
    seen: BTreeMap<String, Option<u64>>,
    /// The number of each folder's watch.
    watches: BTreeMap<PathBuf, u64>,
}

impl SkillWatch {
    /// Notes what was found, and whether something else was found before.
    fn note(&mut self, cwd: &str, found: u64) -> bool {
        let before = self.seen.get_mut(cwd).and_then(|seen| seen.replace(found));
        before.is_some_and(|before| before != found)
    }
}

/// `skills/list`: what is found under the home and around each folder now.
pub(in crate::server) fn list(
    processor: &mut Processor,
    caller: Caller,
    params: SkillsListParams,
    reply: Reply,
) {
    let cwds: Vec<String> = folders(processor, params.cwds).collect();
    let (home, mut rules) = (PathBuf::from(&processor.facts.home), processor.facts.skills());
    let look = move |configuration: &Configuration| {
        // A file that is wrong is left to those who need it.
        let current = configuration.now().ok();
        if let Some(current) = &current {
            rules.settings.clone_from(&current.config.skills);
        }
        let look = |cwd: String| (find_skills(&home, cwd.as_ref(), &rules), cwd);
        (current, cwds.into_iter().map(look).collect::<Vec<_>>())
    };
    processor.on_configuration(caller, reply, look, |processor, reply, (current, found)| {
        if let Some(current) = current {
            processor.adopt(&current);
        }
        let watch = &mut processor.files.skills;
        let mut is_known = true;
        let mut is_other = false;
        for (found, cwd) in &found {
            let room = watch.seen.len() < SKILL_PROJECTS_WATCHED;
            if room && !watch.seen.contains_key(cwd) {
                watch.seen.insert(cwd.clone(), None);
                is_known = false;
            }
            is_other |= watch.note(cwd, fingerprint(found));
        }
        reply.send(Ok(SkillsListResponse { data: found.into_iter().map(entry).collect() }));
        if is_other {
            processor.tell_skills_changed();
        }
        if is_other || !is_known {
            processor.look_at_skills();
        }
    });
}

fn fingerprint(found: &Found) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&found.skills, &found.errors).hash(&mut hasher);
    hasher.finish()
}

fn entry((found, cwd): (Found, String)) -> SkillsListEntry {
    SkillsListEntry {
        cwd,
        skills: found.skills.into_iter().map(skill).collect(),
        errors: found.errors.into_iter().map(path_error).collect(),
    }
}

fn skill(skill: Skill) -> SkillMetadata {
    SkillMetadata {
        name: skill.name,
        description: skill.description,
        short_description: None,
        interface: None,
        dependencies: None,
        path: skill.path.display().to_string(),
        scope: if skill.in_project { SkillScope::Repo } else { SkillScope::User },
        enabled: skill.enabled,
        plugin_id: None,
    }
}

fn path_error((path, message): (PathBuf, String)) -> PathError {
    PathError { path: path.display().to_string(), message }
}

/// `skills/config/write`: switches a skill in the user's `config.toml`.
pub(in crate::server) fn write(
    processor: &mut Processor,
    caller: Caller,
    params: SkillsConfigWriteParams,
    reply: Reply,
) {
    let enabled = params.enabled;
    let skill = match (params.path, params.name) {
        (Some(path), None) => SkillSelector::Path(path.into_path()),
        (None, Some(name)) if !name.trim().is_empty() => SkillSelector::Name(name),
        _ => {
            let text = "skills/config/write requires exactly one of path or name";
            return reply.refuse(RpcError::new(code::INVALID_PARAMS, text).with(Reason::InvalidParams));
        }
    };
    let change = move |configuration: &Configuration| {
        let edited = |text: &str| switch_skill(text, &skill, enabled);
        let (current, ()) = super::config_file::rewrite(configuration, edited)?;
        let settings = &current.config.skills;
        let effective_enabled = match &skill {
            SkillSelector::Path(path) => settings.allow(Some(path), /*name*/ None),
            SkillSelector::Name(name) => settings.allow(/*path*/ None, Some(name)),
        };
        Ok((current, SkillsConfigWriteResponse { effective_enabled }))
    };
    processor.change_configuration(caller, reply, change);
}

/// `skills/extraRoots/set`: more folders with skills, as long as the server runs.
pub(in crate::server) fn set_extra_roots(
    processor: &mut Processor,
    _: Caller,
    params: SkillsExtraRootsSetParams,
) -> Result<EmptyResponse, RpcError> {
    if params.extra_roots.len() > SKILL_ROOTS_MAX {
        let text = format!("extraRoots: the most are {SKILL_ROOTS_MAX}");
        return Err(RpcError::invalid_request(text).with(Reason::LimitReached));
    }
    processor.facts.extra_skill_roots =
        params.extra_roots.into_iter().map(crate::proto::AbsolutePath::into_path).collect();
    processor.look_at_skills();
    Ok(EmptyResponse {})
}

impl Processor {
    /// Tells everybody that skills are others now, if anybody was told of them.
    pub(in crate::server) fn tell_skills_changed(&mut self) {
        if self.files.skills.seen.is_empty() {
            return;
        }
        if let Some(encoded) = self.encode(&SkillsChanged {}) {
            self.sessions.broadcast(&encoded);
        }
    }

    /// Looks at the folders of skills on a worker, and watches what is there from then on.
    pub(in crate::server) fn look_at_skills(&mut self) {
        let cwds: Vec<String> = self.files.skills.seen.keys().cloned().collect();
        if cwds.is_empty() {
            return;
        }
        let (home, rules) = (PathBuf::from(&self.facts.home), self.facts.skills());
        let events = self.services.events.clone();
        let looked = self.files.look(Looker::Own, move || {
            let look = |cwd: String| (find_skills(&home, cwd.as_ref(), &rules), cwd);
            let found: Vec<(Found, String)> = cwds.into_iter().map(look).collect();
            events.tell(Event::Then(Box::new(move |processor| processor.on_skills_seen(found))));
        });
        if looked.is_err() {
            tracing::debug!("the folders of skills are looked at later: too much waits for file workers");
        }
    }

    fn on_skills_seen(&mut self, found: Vec<(Found, String)>) {
        let mut folders = BTreeSet::new();
        let mut is_other = false;
        for (found, cwd) in found {
            is_other |= self.files.skills.note(&cwd, fingerprint(&found));
            folders.extend(found.folders);
        }
        if is_other {
            self.tell_skills_changed();
        }
        let gone: Vec<PathBuf> =
            self.files.skills.watches.keys().filter(|folder| !folders.contains(*folder)).cloned().collect();
        for folder in gone {
            if let (Some(number), Ok(watcher)) = (self.files.skills.watches.remove(&folder), self.watcher()) {
                watcher.unwatch(number);
            }
        }
        let room = SKILL_FOLDERS_WATCHED.saturating_sub(self.files.skills.watches.len());
        let new: Vec<PathBuf> = folders
            .into_iter()
            .filter(|folder| !self.files.skills.watches.contains_key(folder))
            .take(room)
            .collect();
        let last = new.len();
        for (at, folder) in new.into_iter().enumerate() {
            self.watch_skills(folder, at + 1 == last);
        }
    }

    /// Watches one folder. Once the last one stands there is another look: what has changed before would be
    /// missed.
    fn watch_skills(&mut self, folder: PathBuf, is_last: bool) {
        let number = self.files.next_number();
        let events = self.services.events.clone();
        let look_again = move |events: &EventSender| {
            events.tell(Event::Then(Box::new(Processor::look_at_skills)));
        };
        let (standing, path) = (events.clone(), folder.clone());
        let stands = move |outcome: Result<(), crate::files::FileError>| {
            if let Err(error) = outcome {
                tracing::debug!(folder = %path.display(), %error, "a folder of skills is not watched");
            }
            if is_last {
                look_again(&standing);
            }
        };
        let changed = move |_: Vec<PathBuf>| {
            events.tell(Event::Then(Box::new(|processor: &mut Processor| {
                // Also where names and descriptions stay: the rest of the text may be another.
                processor.files.skills.seen.values_mut().for_each(|seen| *seen = None);
                processor.tell_skills_changed();
                processor.look_at_skills();
            })));
        };
        let watched = folder.clone();
        let taken = self.watcher().map(|watcher| watcher.watch(number, watched, changed, stands));
        if taken == Ok(Ok(())) {
            self.files.skills.watches.insert(folder, number);
        }
    }
}
