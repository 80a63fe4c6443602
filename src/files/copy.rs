//! Copying files, links and whole directories.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::FileError;
use super::atomic::{self, Mode};

/// Copies a file, a symbolic link as a link, or with `recursive` a directory into what may be there already.
/// Each file arrives in one step, with the permissions of its original. What is no file, link or directory is
/// refused, and left out inside a directory. `is_stopping` is asked between entries and ends the work.
///
/// # Errors
/// What the system says, and what makes no sense. What was copied before stays.
pub fn copy(
    source: &Path,
    destination: &Path,
    recursive: bool,
    is_stopping: &dyn Fn() -> bool,
) -> Result<(), FileError> {
    let kind = fs::symlink_metadata(source)?.file_type();
    if kind.is_dir() {
        if !recursive {
            return Err(FileError::refused(
                "fs/copy requires recursive: true when sourcePath is a directory",
            ));
        }
        if where_it_leads(destination)?.starts_with(fs::canonicalize(source)?) {
            return Err(FileError::refused(
                "fs/copy cannot copy a directory to itself or one of its descendants",
            ));
        }
        copy_directory(source, destination, is_stopping)
    } else if kind.is_symlink() {
        copy_link(source, destination)
    } else if kind.is_file() {
        copy_file(source, destination)
    } else {
        Err(FileError::refused("fs/copy only supports regular files, directories, and symlinks"))
    }
}

/// The real path of something that need not be there yet: that of the nearest folder that is, and the rest.
fn where_it_leads(path: &Path) -> io::Result<PathBuf> {
    for ancestor in path.ancestors() {
        match fs::canonicalize(ancestor) {
            Ok(real) => return Ok(real.join(path.strip_prefix(ancestor).unwrap_or(Path::new("")))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(path.to_path_buf())
}

fn copy_directory(
    source: &Path,
    destination: &Path,
    is_stopping: &dyn Fn() -> bool,
) -> Result<(), FileError> {
    let mut open = vec![(source.to_path_buf(), destination.to_path_buf())];
    // Permissions come last: a directory that may not be written to could not be filled.
    let mut made = Vec::new();
    while let Some((from, to)) = open.pop() {
        match fs::create_dir(&to) {
            Ok(()) => made.push((to.clone(), fs::metadata(&from)?.permissions())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && to.is_dir() => {}
            Err(error) => return Err(error.into()),
        }
        for entry in fs::read_dir(&from)? {
            if is_stopping() {
                return Err(FileError::refused("fs/copy was cut short: the server is shutting down"));
            }
            let entry = entry?;
            let (kind, to) = (entry.file_type()?, to.join(entry.file_name()));
            if kind.is_dir() {
                open.push((entry.path(), to));
            } else if kind.is_symlink() {
                copy_link(&entry.path(), &to)?;
            } else if kind.is_file() {
                copy_file(&entry.path(), &to)?;
            }
        }
    }
    for (directory, permissions) in made.into_iter().rev() {
        fs::set_permissions(directory, permissions)?;
    }
    Ok(())
}

fn copy_link(source: &Path, destination: &Path) -> Result<(), FileError> {
    Ok(symlink(fs::read_link(source)?, destination)?)
}

fn copy_file(source: &Path, destination: &Path) -> Result<(), FileError> {
    let from = File::open(source)?;
    let metadata = from.metadata()?;
    if let Ok(to) = fs::metadata(destination)
        && (to.dev(), to.ino()) == (metadata.dev(), metadata.ino())
    {
        // The same file by two names: it is there already.
        return Ok(());
    }
    let fill = |to: &mut File| {
        let mut from = &from;
        io::Seek::rewind(&mut from)?;
        io::copy(&mut from, to).map(|_| ())
    };
    Ok(atomic::replace(destination, Mode::Set(metadata.permissions().mode()), &fill)?)
}

#[cfg(test)]
#[path = "tests/copy.rs"]
mod tests;
