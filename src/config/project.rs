//! A project's own configuration: `.codex/config.toml` in the folders from its root down to a working
//! directory. It counts only where the user trusts the project, by `[projects."DIR"]` with
//! `trust_level = "trusted"`; a project cannot say so itself. The rules are the reference's.
//!
//! Reads files, each bounded: for workers, not for the processor.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use toml::{Table, Value};

use super::{Config, Layer, LayerSource, file};
use crate::error::StartError;
use crate::sync::lock;

/// Keys that a project cannot set: where the words of the user and his keys go, and what is the server's.
const NOT_FOR_PROJECTS: &[&str] = &[
    "app_server",
    "chatgpt_base_url",
    "model_provider",
    "model_providers",
    "notify",
    "openai_base_url",
    "otel",
    "profile",
    "profiles",
];

/// What the user says about a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Its configuration counts.
    Trusted,
    /// It does not, and agents ask before everything.
    Untrusted,
}

/// The configurations that were made for projects and are still in use: whoever works in one project shares
/// one, because each is a whole configuration.
#[derive(Debug, Default)]
pub struct InUse(Mutex<Vec<Weak<Config>>>);

impl InUse {
    /// The one that was made of the same.
    fn find(&self, layers: &[Layer], trust: Option<Trust>) -> Option<Arc<Config>> {
        // From the strongest on: projects differ, the user's file is that of all.
        let is_it = |config: &Arc<Config>| {
            config.trust == trust && config.layers.iter().rev().eq(layers.iter().rev())
        };
        lock(&self.0).iter().filter_map(Weak::upgrade).find(is_it)
    }

    fn note(&self, config: &Arc<Config>) {
        let mut all = lock(&self.0);
        all.retain(|config| config.strong_count() > 0);
        all.push(Arc::downgrade(config));
    }
}

/// The folders from the project's root, which is where `.git` is, down to `cwd`; only `cwd` if there is none.
#[must_use]
pub fn project_folders(cwd: &Path) -> Vec<PathBuf> {
    let root = cwd.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(cwd);
    let mut folders: Vec<PathBuf> =
        cwd.ancestors().take_while(|folder| folder.starts_with(root)).map(Path::to_owned).collect();
    folders.reverse();
    folders
}

impl Config {
    /// This configuration as it is for work in a folder, which is absolute and need not exist; shared with
    /// who has the same in use.
    ///
    /// # Errors
    /// [`StartError::Config`] and [`StartError::Path`]: a trusted project's file cannot be read.
    pub fn seen_from(self: &Arc<Self>, cwd: &Path, in_use: &InUse) -> Result<Arc<Self>, StartError> {
        let folders = project_folders(cwd);
        let root = folders.first().map_or(cwd, PathBuf::as_path);
        let mut layers = Vec::new();
        for folder in &folders {
            let own = folder.join(".codex");
            if own != self.home && own.is_dir() {
                layers.push(self.project_layer(own, folder, root)?);
            }
        }
        let trust = self.trust_of(cwd, root);
        if layers.is_empty() && trust.is_none() {
            return Ok(Arc::clone(self));
        }
        let mut all = self.layers.clone();
        // Stronger than the user's file, weaker than the command line.
        let at = all.iter().take_while(|layer| matches!(layer.source, LayerSource::File(_))).count();
        all.splice(at..at, layers);
        if let Some(config) = in_use.find(&all, trust) {
            return Ok(config);
        }
        let config = Self::from_layers(self.home.clone(), all, trust).map(Arc::new)?;
        in_use.note(&config);
        Ok(config)
    }

    fn project_layer(&self, own: PathBuf, folder: &Path, root: &Path) -> Result<Layer, StartError> {
        let trust = self.trust_of(folder, root);
        let disabled = match trust {
            Some(Trust::Trusted) => None,
            Some(Trust::Untrusted) => Some(format!("the user does not trust {}", folder.display())),
            None => Some(format!(
                "it is not known whether the user trusts this project; if so, set \
                 projects.\"{}\".trust_level = \"trusted\" in {}",
                root.display(),
                self.file().display()
            )),
        };
        let mut table = match file::read(&own) {
            Ok((_, table)) => table,
            Err(_) if disabled.is_some() => Table::new(),
            Err(error) => return Err(error),
        };
        let ignored: Vec<&str> =
            NOT_FOR_PROJECTS.iter().copied().filter(|key| table.remove(*key).is_some()).collect();
        if !ignored.is_empty() && disabled.is_none() {
            tracing::warn!(
                file = %own.join(file::FILE_NAME).display(),
                keys = ignored.join(", "),
                "a project cannot set these keys; they are ignored"
            );
        }
        Ok(Layer { source: LayerSource::Project(own), table, disabled })
    }

    /// What the user says about a folder, else about its project.
    fn trust_of(&self, folder: &Path, root: &Path) -> Option<Trust> {
        let projects = self.effective.get("projects").and_then(Value::as_table)?;
        let said = |folder: &Path| {
            let level = |path: &Path| projects.get(path.to_str()?)?.get("trust_level")?.as_str();
            let level = level(folder).or_else(|| level(&std::fs::canonicalize(folder).ok()?));
            match level? {
                "trusted" => Some(Trust::Trusted),
                "untrusted" => Some(Trust::Untrusted),
                _ => None,
            }
        };
        said(folder).or_else(|| said(root))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Folder;

    fn project() -> Folder {
        let folder = Folder::new();
        for (file, text) in [
            ("home/config.toml", "model = \"users\"\nmodel_provider = \"openai\"\n"),
            ("repo/.git/HEAD", ""),
            (
                "repo/.codex/config.toml",
                "model = \"roots\"\nmodel_provider = \"x\"\nsandbox_mode = \"read-only\"\n",
            ),
            ("repo/deep/er/.codex/config.toml", "model = \"deepest\"\n"),
        ] {
            folder.write(file, text);
        }
        folder
    }

    fn trusting(folder: &Folder, lines: &[(&str, &str)]) -> Arc<Config> {
        let flags = super::super::Flags { home: Some(folder.at("home")), ..super::super::Flags::none() };
        let mut text = "model = \"users\"\nmodel_provider = \"openai\"\n".to_owned();
        for (path, level) in lines {
            let path = folder.at(path);
            text += &format!("[projects.\"{}\"]\ntrust_level = \"{level}\"\n", path.display());
        }
        folder.write("home/config.toml", &text);
        Arc::new(Config::load(&flags, &|_| None, folder.path()).expect("a configuration"))
    }

    #[test]
    fn a_trusted_projects_files_count_the_deepest_most() {
        let folder = project();
        let deep = folder.at("repo/deep/er");
        let config = trusting(&folder, &[("repo", "trusted")]);
        let seen = config.seen_from(&deep, &InUse::default()).expect("read");
        assert_eq!(seen.model.as_deref(), Some("deepest"));
        assert_eq!(seen.sandbox_mode, Some(super::super::SandboxMode::ReadOnly));
        // Where the user's words go is the user's.
        assert_eq!((seen.model_provider.as_deref(), seen.trust), (Some("openai"), Some(Trust::Trusted)));
        let at_root = config.seen_from(&folder.at("repo"), &InUse::default()).expect("read");
        assert_eq!(at_root.model.as_deref(), Some("roots"));
        let outside = config.seen_from(folder.path(), &InUse::default()).expect("read");
        assert!(outside.model.as_deref() == Some("users") && outside.trust.is_none());
        folder.write("repo/deep/er/.codex/config.toml", "model = \n");
        let error = config.seen_from(&deep, &InUse::default()).expect_err("broken").to_string();
        assert!(error.contains("er/.codex/config.toml:1:"), "{error}");
        folder.write("repo/deep/er/.codex/config.toml", "approval_policy = 3\n");
        let error = config.seen_from(&deep, &InUse::default()).expect_err("broken").to_string();
        assert!(error.contains("approval_policy (from ") && error.contains("er/.codex/"), "{error}");
    }

    #[test]
    fn without_trust_nothing_counts_and_the_layer_says_why() {
        let folder = project();
        let deep = folder.at("repo/deep/er");
        for (trusts, model, disabled) in [
            (&[][..], "users", [true, true]),
            (&[("repo", "untrusted")], "users", [true, true]),
            (&[("repo/deep/er", "trusted")], "deepest", [true, false]),
            (&[("repo", "trusted"), ("repo/deep/er", "untrusted")], "roots", [false, true]),
        ] {
            let config = trusting(&folder, trusts);
            let seen = config.seen_from(&deep, &InUse::default()).expect("read");
            assert_eq!(seen.model.as_deref(), Some(model), "{trusts:?}");
            let projects = seen.layers.iter().filter(|layer| matches!(layer.source, LayerSource::Project(_)));
            let said: Vec<bool> = projects.map(|layer| layer.disabled.is_some()).collect();
            assert_eq!(said, disabled, "{trusts:?}");
        }
        // A broken file that does not count does no harm.
        folder.write("repo/deep/er/.codex/config.toml", "model = \n");
        assert!(trusting(&folder, &[]).seen_from(&deep, &InUse::default()).is_ok());
    }

    #[test]
    fn who_works_in_one_project_shares_its_configuration_as_long_as_it_is_in_use() {
        let folder = project();
        let (root, deep, in_use) = (folder.at("repo"), folder.at("repo/deep/er"), InUse::default());
        let config = trusting(&folder, &[("repo", "trusted")]);
        let seen = |cwd: &Path| config.seen_from(cwd, &in_use).expect("read");
        let (one, other, above) = (seen(&deep), seen(&deep), seen(&root));
        assert!(Arc::ptr_eq(&one, &other) && Arc::ptr_eq(&above, &seen(&root)));
        assert!(!Arc::ptr_eq(&one, &above));
        // Of the user's file nothing is shared with what it was.
        let changed = trusting(&folder, &[("repo", "trusted"), ("elsewhere", "trusted")]);
        assert!(!Arc::ptr_eq(&one, &changed.seen_from(&deep, &in_use).expect("read")));
        folder.write("repo/deep/er/.codex/config.toml", "model = \"another\"\n");
        assert_eq!(seen(&deep).model.as_deref(), Some("another"));
        drop((one, other, above));
        let last = seen(&deep);
        assert_eq!(lock(&in_use.0).len(), 1, "the others are not in use");
        assert!(Arc::ptr_eq(&last, &seen(&deep)));
    }
}
