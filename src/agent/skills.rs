//! Skills: folders with a `SKILL.md`, under the home and in the project. The model is told their names and
//! what they are for; it reads the file when it needs one.
//!
//! Reads folders and files, each bounded; for workers, not for the processor.

use std::path::{Path, PathBuf};

use super::input::read_bounded;
use crate::config::{SkillSettings, project_folders};
use crate::limits;

/// A skill.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Skill {
    /// Its name.
    pub name: String,
    /// When to use it.
    pub description: String,
    /// Its `SKILL.md`.
    pub path: PathBuf,
    /// It belongs to the project, not to the user.
    pub in_project: bool,
    /// The user has not switched it off.
    pub enabled: bool,
}

/// Where skills are found beside the home and the project, and which are not used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SkillRules {
    /// More folders of the user.
    pub extra_roots: Vec<PathBuf>,
    /// Which are switched off.
    pub settings: SkillSettings,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The skills, by path.
    pub skills: Vec<Skill>,
    /// Files that are no skill although they are named so, and why.
    pub errors: Vec<(PathBuf, String)>,
    /// The folders that were looked at, also those that are not there.
    pub folders: Vec<PathBuf>,
}

/// The folders that skills are looked for in, and whether they are the project's.
fn folders(home: &Path, cwd: &Path, rules: &SkillRules) -> Vec<(PathBuf, bool)> {
    let of_project = |folder: PathBuf| [".codex/skills", ".agents/skills"].map(|place| folder.join(place));
    let projects = project_folders(cwd).into_iter().flat_map(of_project).map(|folder| (folder, true));
    let users = std::iter::once(home.join("skills")).chain(rules.extra_roots.iter().cloned());
    projects.chain(users.map(|folder| (folder, false))).collect()
}

/// The skills of a home and of the project around `cwd`; of two with one name the project's counts.
#[must_use]
pub fn find(home: &Path, cwd: &Path, rules: &SkillRules) -> Found {
    let mut found = Found::default();
    for (folder, in_project) in folders(home, cwd, rules) {
        search(&folder, /*depth*/ 0, in_project, &mut found);
    }
    for skill in &mut found.skills {
        skill.enabled = rules.settings.allow(Some(&skill.path), Some(&skill.name));
    }
    found.skills.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn search(folder: &Path, depth: usize, in_project: bool, found: &mut Found) {
    found.folders.push(folder.to_owned());
    let file = folder.join("SKILL.md");
    if file.is_file() {
        if found.skills.len() < limits::SKILLS_MAX {
            match read(&file) {
                Ok((name, description)) => {
                    if found.skills.iter().all(|known| known.name != name) {
                        let (path, enabled) = (file, true);
                        found.skills.push(Skill { name, description, path, in_project, enabled });
                    }
                }
                Err(why) => found.errors.push((file, why)),
            }
        }
        return;
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    if depth >= limits::SKILLS_DEPTH_MAX {
        return;
    }
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .take(limits::SKILLS_FOLDER_ENTRIES_MAX)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    for folder in folders {
        search(&folder, depth + 1, in_project, found);
    }
}

/// Name and description out of a file's front matter.
fn read(file: &Path) -> Result<(String, String), String> {
    let bytes = read_bounded(file, limits::SKILL_BYTES_MAX)?;
    let text = String::from_utf8_lossy(&bytes);
    let front = text
        .strip_prefix("---\n")
        .and_then(|rest| rest.split_once("\n---"))
        .map(|(front, _)| front)
        .ok_or("it does not begin with front matter between lines of ---")?;
    let value = |key: &str| {
        let line = front.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'));
        let value = line.map(|value| value.trim().trim_matches(['"', '\'']).trim());
        value
            .filter(|value| !value.is_empty())
            .map(|value| value.chars().take(limits::SKILL_TEXT_CHARS_MAX).collect())
    };
    let name = value("name").ok_or("its front matter has no name")?;
    let description = value("description").ok_or("its front matter has no description")?;
    Ok((name, description))
}

/// How the model is told of them.
pub(super) fn offer(skills: &[Skill]) -> Option<String> {
    let lines: String = skills
        .iter()
        .filter(|skill| skill.enabled)
        .map(|skill| format!("- {}: {} (file: {})\n", skill.name, skill.description, skill.path.display()))
        .collect();
    if lines.is_empty() {
        return None;
    }
    Some(format!(
        "<skills>\nSkills are instructions for certain kinds of work. When the user names one, or a task \
         fits its description, read its file first and follow it.\n{lines}</skills>"
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn skills_are_found_and_what_is_none_is_told() {
        let root = std::env::temp_dir().join(format!("app-server-skills-{}", uuid::Uuid::new_v4()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
            fs::write(path, text).expect("it is written");
        };
        write("home/skills/a/SKILL.md", "---\nname: alpha\ndescription: \"first things\"\n---\nText");
        write("home/skills/group/b/SKILL.md", "---\nname: beta\ndescription: second\n---\n");
        write("home/skills/broken/SKILL.md", "no front matter");
        write("repo/.git/HEAD", "");
        write("repo/.codex/skills/own/SKILL.md", "---\nname: alpha\ndescription: ours\n---\n");
        let mut rules = SkillRules::default();
        let found = find(&root.join("home"), &root.join("repo"), &rules);
        let shown: Vec<(&str, &str, bool)> =
            found.skills.iter().map(|s| (s.name.as_str(), s.description.as_str(), s.in_project)).collect();
        assert_eq!(shown, [("beta", "second", false), ("alpha", "ours", true)]);
        assert!(found.errors.len() == 1 && found.errors[0].1.contains("front matter"), "{:?}", found.errors);
        assert!(offer(&found.skills).expect("some").contains("- beta: second (file: "));
        assert_eq!(offer(&[]), None);
        // A folder more, and nothing that is named beta.
        write("more/c/SKILL.md", "---\nname: gamma\ndescription: third\n---\n");
        rules.extra_roots.push(root.join("more"));
        rules.settings = SkillSettings::switched(&[("beta", false)]);
        let found = find(&root.join("home"), &root.join("repo"), &rules);
        let offered = offer(&found.skills).expect("some");
        assert!(offered.contains("- gamma: ") && !offered.contains("- beta: "), "{offered}");
        assert_eq!(found.skills.iter().filter(|skill| !skill.enabled).count(), 1);
        fs::remove_dir_all(root).expect("it goes");
    }
}
