//! Which folders have to be looked at to see what happens at a path.
//!
//! A file itself is never looked at, only the folder that has its name: so a file that is replaced by a
//! rename, or removed and made again, is still seen. Folders further up are looked at only while the nearer
//! ones are not there, because a busy one would wake everybody up: renaming one of them goes unseen.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A folder to look at, by its real path, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
    pub(super) shows: Shows,
}

/// What a change in the folder means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shows {
    /// The folder is what is watched: each name in it counts.
    Children,
    /// This name in it is what is watched.
    Itself(OsString),
    /// This name in it is on the way to what is watched, which is not there.
    OnTheWay(OsString),
}

/// The folders for a path, as things are now.
pub(super) fn places(path: &Path) -> Vec<Place> {
    let mut places = Vec::new();
    let mut below = path;
    // The nearest folder above that is there; the root is.
    while let (Some(parent), Some(name)) = (below.parent(), below.file_name()) {
        if let Some(folder) = real_folder(parent) {
            let name = name.to_owned();
            let shows = if below == path { Shows::Itself(name) } else { Shows::OnTheWay(name) };
            places.push(Place { folder, shows });
            break;
        }
        below = parent;
    }
    let Ok(real) = fs::canonicalize(path) else { return places };
    if real.is_dir() {
        places.push(Place { folder: real, shows: Shows::Children });
    } else if let (Some(parent), Some(name)) = (real.parent(), real.file_name()) {
        // The path may be a link: then the file has another name somewhere else.
        let place = Place { folder: parent.to_path_buf(), shows: Shows::Itself(name.to_owned()) };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

fn real_folder(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok().filter(|real| real.is_dir())
}

/// What is at a path now, to tell whether it is still the same: device and inode.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
