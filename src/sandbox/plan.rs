//! From a policy to places: what may be written, and what inside of it may not.

use std::fs;
use std::path::{Path, PathBuf};

use super::spec::Layer;

/// What stays read-only directly below a writable folder: hooks and settings that other programs run or obey
/// later, outside of any sandbox.
const PROTECTED: &[&str] = &[".git", ".codex"];

/// A git folder that is a file names the real one behind this word.
const GIT_POINTER: &str = "gitdir:";

/// Bytes of a `.git` file that are looked at.
const GIT_POINTER_BYTES_MAX: u64 = 64 * 1024;

/// The places in the order in which they apply. `writable` are absolute paths, `home` is the server's own
/// folder. A place that does not exist is left out: it can be neither opened nor covered.
pub(super) fn layers(writable: &[PathBuf], home: &Path) -> Vec<Layer> {
    let resolved = |path: &Path| path.canonicalize().ok();
    let writable: Vec<PathBuf> = writable.iter().filter_map(|path| resolved(path)).collect();
    let mut layers: Vec<Layer> = Vec::new();
    for root in &writable {
        for name in PROTECTED {
            let place = root.join(name);
            layers.extend(resolved(&place).map(read_only));
            if *name == ".git" {
                layers.extend(pointed_git(root, &place).and_then(|git| resolved(&git)).map(read_only));
            }
        }
    }
    layers.extend(resolved(home).map(read_only));
    // What was asked for by name is writable, whatever it is called.
    layers.retain(|layer| !writable.contains(&layer.path));
    layers.extend(writable.into_iter().map(|path| Layer { path, writable: true }));
    layers.sort_by(|a, b| (depth(&a.path), &a.path).cmp(&(depth(&b.path), &b.path)));
    let mut needed: Vec<Layer> = Vec::new();
    for layer in layers {
        if is_writable(&needed, &layer.path) != layer.writable {
            needed.push(layer);
        }
    }
    needed
}

/// Whether a path below `layers` may be written. Outside of all of them nothing may.
pub(super) fn is_writable(layers: &[Layer], path: &Path) -> bool {
    let holding = layers.iter().rev().find(|layer| path.starts_with(&layer.path));
    holding.is_some_and(|layer| layer.writable)
}

fn read_only(path: PathBuf) -> Layer {
    Layer { path, writable: false }
}

fn depth(path: &Path) -> usize {
    path.components().count()
}

/// The folder that a `.git` file points to, as in worktrees and submodules.
fn pointed_git(root: &Path, file: &Path) -> Option<PathBuf> {
    let about = fs::metadata(file).ok()?;
    if !about.is_file() || about.len() > GIT_POINTER_BYTES_MAX {
        return None;
    }
    let text = fs::read_to_string(file).ok()?;
    Some(root.join(text.strip_prefix(GIT_POINTER)?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Folder;

    fn shown(layers: &[Layer], folder: &Folder) -> Vec<String> {
        let line = |layer: &Layer| {
            let path = layer.path.strip_prefix(folder.path()).unwrap_or(&layer.path);
            format!("{} {}", if layer.writable { "rw" } else { "ro" }, path.display())
        };
        layers.iter().map(line).collect()
    }

    #[test]
    fn git_and_settings_inside_a_root_are_covered_if_they_are_there() {
        let folder = Folder::new();
        let (work, home) = (folder.make("work"), folder.make("home"));
        assert_eq!(shown(&layers(std::slice::from_ref(&work), &home), &folder), ["rw work"]);
        folder.make("work/.git/hooks");
        folder.make("work/.codex");
        folder.make("work/deep/.git");
        let found = layers(std::slice::from_ref(&work), &home);
        assert_eq!(shown(&found, &folder), ["rw work", "ro work/.codex", "ro work/.git"]);
        assert!(is_writable(&found, &work.join("new")) && is_writable(&found, &work.join("deep/.git")));
        assert!(!is_writable(&found, &work.join(".git/hooks/x")) && !is_writable(&found, &home));
    }

    #[test]
    fn the_home_is_covered_and_a_root_in_it_is_open_again() {
        let folder = Folder::new();
        let (home, tree) = (folder.make("home"), folder.make("home/worktrees/one"));
        folder.make("home/worktrees/one/.git");
        let found = layers(&[folder.path().to_owned(), tree.clone()], &home);
        let expected = ["rw ", "ro home", "rw home/worktrees/one", "ro home/worktrees/one/.git"];
        assert_eq!(shown(&found, &folder), expected);
        // A root below another one is nothing new.
        let found = layers(&[folder.path().to_owned(), folder.make("work")], &folder.make("home"));
        assert_eq!(shown(&found, &folder), ["rw ", "ro home"]);
    }

    #[test]
    fn a_root_asked_for_by_name_is_writable_whatever_it_is_called() {
        let folder = Folder::new();
        let (work, git) = (folder.make("work"), folder.make("work/.git"));
        let home = folder.make("home");
        assert_eq!(shown(&layers(&[work, git], &home), &folder), ["rw work"]);
        assert_eq!(shown(&layers(std::slice::from_ref(&home), &home), &folder), ["rw home"]);
    }

    #[test]
    fn links_and_pointers_are_followed_to_what_they_mean() {
        let folder = Folder::new();
        let (work, real, home) = (folder.make("work"), folder.make("work/meta/real"), folder.make("home"));
        std::os::unix::fs::symlink(&real, work.join(".git")).expect("a link");
        std::os::unix::fs::symlink(&work, folder.at("alias")).expect("a link");
        let found = layers(&[folder.at("alias")], &home);
        assert_eq!(shown(&found, &folder), ["rw work", "ro work/meta/real"]);
        fs::remove_file(work.join(".git")).expect("the link");
        fs::write(work.join(".git"), "gitdir: meta/real\n").expect("a file");
        let found = layers(std::slice::from_ref(&work), &home);
        assert_eq!(shown(&found, &folder), ["rw work", "ro work/.git", "ro work/meta/real"]);
    }

    #[test]
    fn what_does_not_exist_is_left_out() {
        let folder = Folder::new();
        assert_eq!(layers(&[folder.at("nowhere")], &folder.at("home")), []);
    }
}
