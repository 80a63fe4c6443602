//! Where a path really leads: through links and `..`, also where its end does not exist yet. Knows the file
//! system only; runs on its caller's OS thread.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::limits::PATCH_LINKS_MAX;

/// The real path of `path`: absolute, without `.`, `..` and symbolic links. Parts that do not exist are
/// kept as they are, so the answer is where a write would go. A link that leads nowhere is followed too.
///
/// # Errors
/// If links lead in circles ([`PATCH_LINKS_MAX`]), a part cannot be looked at, or `path` is relative.
pub fn real_path(path: &Path) -> io::Result<PathBuf> {
    if !path.is_absolute() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is relative"));
    }
    let mut open: VecDeque<OsString> = parts(path).collect();
    let mut real = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = open.pop_front() {
        if part == ".." {
            real.pop();
            continue;
        }
        real.push(&part);
        match fs::symlink_metadata(&real) {
            Ok(metadata) if metadata.is_symlink() => {
                links += 1;
                if links > PATCH_LINKS_MAX {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many symbolic links"));
                }
                let target = fs::read_link(&real)?;
                real.pop();
                if target.is_absolute() {
                    real = PathBuf::from("/");
                }
                for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                    open.push_front(part);
                }
            }
            Ok(_) => {}
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(real)
}

/// The real path of the entry itself: if it is a link, of the link and not of where it leads.
pub(super) fn entry_path(path: &Path) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok(real_path(parent)?.join(name)),
        _ => real_path(path),
    }
}

/// True if nothing is there, also because what would have to be its folder is a file.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(part) => Some(part.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}
