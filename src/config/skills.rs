//! `[[skills.config]]`: which skills are switched off, and writing that down. Pure, but for links in paths.

use std::path::{Path, PathBuf};

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, TableLike, Value};

use super::section::Section;
use crate::error::StartError;

/// Which skill is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkillSelector {
    /// The one with this `SKILL.md`.
    Path(PathBuf),
    /// All with this name.
    Name(String),
}

impl SkillSelector {
    fn key(&self) -> &'static str {
        match self {
            Self::Path(_) => "path",
            Self::Name(_) => "name",
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Path(path) => path.to_string_lossy().into_owned(),
            Self::Name(name) => name.clone(),
        }
    }

    fn is_at(&self, entry: &dyn TableLike) -> bool {
        entry.get(self.key()).and_then(Item::as_str) == Some(&self.text())
    }
}

/// What is said about some skills; the last word counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SkillSettings(Vec<(SkillSelector, bool)>);

impl SkillSettings {
    /// What is said about skills by their names.
    #[cfg(test)]
    pub(crate) fn switched(names: &[(&str, bool)]) -> Self {
        Self(names.iter().map(|(name, on)| (SkillSelector::Name((*name).to_owned()), *on)).collect())
    }

    /// Whether this skill may be used. Either may be unknown.
    #[must_use]
    pub fn allow(&self, path: Option<&Path>, name: Option<&str>) -> bool {
        let is_meant = |selector: &SkillSelector| match selector {
            SkillSelector::Name(meant) => name == Some(meant),
            SkillSelector::Path(meant) => path.is_some_and(|path| {
                path == meant || std::fs::canonicalize(meant).is_ok_and(|real| real == path)
            }),
        };
        self.0.iter().rev().find(|(selector, _)| is_meant(selector)).is_none_or(|(_, enabled)| *enabled)
    }

    pub(super) fn read(section: &mut Section<'_>) -> Result<Self, StartError> {
        let Some(value) = section.value("config") else { return Ok(Self::default()) };
        let entry = |entry: &toml::Value| {
            let text = |key: &str| entry.get(key).and_then(toml::Value::as_str);
            let enabled = match entry.get("enabled") {
                Some(enabled) => enabled.as_bool()?,
                None => true,
            };
            let selector = match (text("path"), text("name")) {
                (Some(path), _) => SkillSelector::Path(path.into()),
                (None, name) => SkillSelector::Name(name?.to_owned()),
            };
            Some((selector, enabled))
        };
        let entries = value.as_array().and_then(|entries| entries.iter().map(entry).collect());
        entries.map(Self).ok_or_else(|| {
            section.wrong("config", value, "tables with `path` or `name`, and `enabled` true or false")
        })
    }
}

/// The text of a `config.toml` with a skill switched. A skill that is on needs no entry: it is taken away.
///
/// # Errors
/// What is wrong with the text as it is.
pub fn switch_skill(text: &str, skill: &SkillSelector, enabled: bool) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    let root = document.as_table_mut();
    if !root.contains_key("skills") {
        let mut skills = Table::new();
        skills.set_implicit(true);
        root.insert("skills", Item::Table(skills));
    }
    let not_a_table = || "`skills` is no table".to_owned();
    let skills = root.get_mut("skills").and_then(Item::as_table_like_mut).ok_or_else(not_a_table)?;
    if !skills.contains_key("config") {
        skills.insert("config", Item::ArrayOfTables(ArrayOfTables::new()));
    }
    match skills.get_mut("config") {
        Some(Item::ArrayOfTables(entries)) => {
            entries.retain(|entry| !enabled || !skill.is_at(entry));
            let there = entries.iter_mut().filter(|entry| skill.is_at(*entry));
            let there = there.map(|entry| drop(entry.insert("enabled", toml_edit::value(enabled)))).count();
            if there == 0 && !enabled {
                let mut entry = Table::new();
                entry.insert(skill.key(), toml_edit::value(skill.text()));
                entry.insert("enabled", toml_edit::value(false));
                entries.push(entry);
            }
        }
        Some(Item::Value(Value::Array(entries))) => {
            entries.retain(|entry| entry.as_inline_table().is_none_or(|entry| !skill.is_at(entry)));
            if !enabled {
                let mut entry = toml_edit::InlineTable::new();
                entry.insert(skill.key(), skill.text().into());
                entry.insert("enabled", false.into());
                entries.push(Value::InlineTable(entry));
            }
        }
        _ => return Err("`skills.config` is no array of tables".to_owned()),
    }
    let is_empty = match skills.get("config") {
        Some(Item::ArrayOfTables(entries)) => entries.is_empty(),
        Some(Item::Value(Value::Array(entries))) => entries.is_empty(),
        _ => false,
    };
    if is_empty {
        skills.remove("config");
    }
    if root.get("skills").and_then(Item::as_table).is_some_and(|skills| skills.is_empty()) {
        root.remove("skills");
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> SkillSettings {
        let table: toml::Table = toml::from_str(text).expect("TOML");
        let mut root = Section::root(&table, &[]);
        let mut section = root.table("skills").expect("a table").expect("is there");
        SkillSettings::read(&mut section).expect("entries")
    }

    #[test]
    fn a_switched_skill_is_found_again_and_what_stands_around_it_stays() {
        let text = "# ours\nmodel = \"m\" # why\n";
        let (path, name) = (SkillSelector::Path("/s/SKILL.md".into()), SkillSelector::Name("beta".into()));
        let off = switch_skill(text, &path, /*enabled*/ false).expect("switched");
        assert_eq!(off, format!("{text}\n[[skills.config]]\npath = \"/s/SKILL.md\"\nenabled = false\n"));
        assert_eq!(switch_skill(&off, &path, /*enabled*/ false).as_deref(), Ok(&*off));
        let both = switch_skill(&off, &name, /*enabled*/ false).expect("switched");
        let read = settings(&both);
        assert!(!read.allow(Some("/s/SKILL.md".as_ref()), Some("alpha")));
        assert!(!read.allow(Some("/t/SKILL.md".as_ref()), Some("beta")));
        assert!(read.allow(Some("/t/SKILL.md".as_ref()), Some("alpha")));
        let one = switch_skill(&both, &name, /*enabled*/ true).expect("switched");
        assert_eq!(one, off);
        assert_eq!(switch_skill(&one, &path, /*enabled*/ true).as_deref(), Ok(text));
    }

    #[test]
    fn entries_within_a_line_are_switched_too_and_nonsense_is_refused() {
        let text = "skills = { config = [{ name = \"a\", enabled = true }] }\n";
        let name = SkillSelector::Name("a".into());
        assert!(settings(text).allow(/*path*/ None, Some("a")));
        let off = switch_skill(text, &name, /*enabled*/ false).expect("switched");
        assert!(!settings(&off).allow(/*path*/ None, Some("a")), "{off}");
        for wrong in ["skills = 1\n", "[skills]\nconfig = 1\n", "[broken"] {
            assert!(switch_skill(wrong, &name, /*enabled*/ false).is_err(), "{wrong}");
        }
    }
}
