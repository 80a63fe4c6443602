//! The operations on single paths. All block; they run on the workers of the pool.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;

use super::FileError;
use super::atomic::{self, Mode};
use crate::limits;
use crate::sys::encoding::BASE64;

/// Bytes that are read from a file and encoded in one step; a multiple of three, so that no padding comes
/// before the end.
const READ_CHUNK_BYTES: usize = 192 * limits::KIB;
const _: () = assert!(READ_CHUNK_BYTES.is_multiple_of(3));

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else.
    Other,
}

impl Kind {
    pub(super) fn of(kind: fs::FileType) -> Self {
        if kind.is_dir() {
            Self::Directory
        } else if kind.is_file() {
            Self::File
        } else {
            Self::Other
        }
    }
}

/// What is known of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// What it leads to.
    pub kind: Kind,
    /// It is itself a symbolic link.
    pub is_symlink: bool,
    /// Unix milliseconds; 0 if the file system does not know.
    pub created_at_ms: i64,
    /// Unix milliseconds.
    pub modified_at_ms: i64,
}

/// Something in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name; what is not UTF-8 in it is replaced.
    pub name: String,
    /// What it leads to.
    pub kind: Kind,
}

/// Bytes of what [`read_to_base64`] makes of a file with this length.
pub(super) fn base64_len(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(3)).unwrap_or(usize::MAX).saturating_mul(4)
}

/// Reads a regular file and writes it in Base64 at the end of a buffer, which `reserve` makes once the number
/// of bytes that it takes is known. None if `reserve` gives none.
///
/// # Errors
/// No regular file, one above [`limits::FILE_READ_BYTES_MAX`], or what the system says.
pub fn read_to_base64(
    path: &Path,
    reserve: impl FnOnce(usize) -> Option<Vec<u8>>,
) -> Result<Option<Vec<u8>>, FileError> {
    // Without blocking, because a pipe without a writer would make the open wait for ever.
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(FileError::refused(format!("path `{}` is not a file", path.display())));
    }
    if metadata.len() > limits::FILE_READ_BYTES_MAX {
        return Err(too_large(path));
    }
    let Some(mut out) = reserve(base64_len(metadata.len())) else { return Ok(None) };
    let mut chunk = vec![0; READ_CHUNK_BYTES.min(usize::try_from(metadata.len()).unwrap_or(usize::MAX) + 3)];
    let (mut filled, mut total) = (0, 0_u64);
    loop {
        // Longer than it was is possible: the file may grow, and files of /proc have no length.
        if filled == chunk.len() && chunk.len() < READ_CHUNK_BYTES {
            chunk.resize(READ_CHUNK_BYTES, 0);
        }
        let count = match file.read(&mut chunk[filled..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        filled += count;
        total += count as u64;
        if total > limits::FILE_READ_BYTES_MAX {
            return Err(too_large(path));
        }
        let whole = if count == 0 { filled } else { filled - filled % 3 };
        if count == 0 || filled == chunk.len() {
            append_base64(&mut out, &chunk[..whole])?;
            chunk.copy_within(whole..filled, 0);
            filled -= whole;
        }
        if count == 0 {
            return Ok(Some(out));
        }
    }
}

fn append_base64(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), FileError> {
    let start = out.len();
    out.resize(start + base64_len(bytes.len() as u64), 0);
    let encoded = BASE64.encode_slice(bytes, &mut out[start..]);
    encoded.map(|_| ()).map_err(|error| FileError::Os(io::Error::other(error)))
}

fn too_large(path: &Path) -> FileError {
    let mib = limits::FILE_READ_BYTES_MAX / limits::MIB as u64;
    FileError::Limit(format!(
        "file `{}` is too large: fs/readFile reads at most {mib} MiB; use command/exec to read a part of it",
        path.display()
    ))
}

/// The bytes that a client wrote in Base64.
///
/// # Errors
/// It is no Base64.
pub fn decode_base64(text: &str) -> Result<Vec<u8>, FileError> {
    BASE64.decode(text).map_err(|error| {
        FileError::refused(format!("fs/writeFile requires valid base64 dataBase64: {error}"))
    })
}

/// Gives a file this content, in one step for everybody who looks.
///
/// # Errors
/// What the system says.
pub fn write(path: &Path, content: &[u8]) -> Result<(), FileError> {
    Ok(atomic::replace(path, Mode::Keep, &|file: &mut File| file.write_all(content))?)
}

/// Makes a directory; with those above it, and content if it is there already, if `recursive`.
///
/// # Errors
/// What the system says.
pub fn create_directory(path: &Path, recursive: bool) -> Result<(), FileError> {
    let made = if recursive { fs::create_dir_all(path) } else { fs::create_dir(path) };
    Ok(made?)
}

/// What is known of a path.
///
/// # Errors
/// What the system says, also where a link leads nowhere.
pub fn metadata(path: &Path) -> Result<Metadata, FileError> {
    let is_symlink = fs::symlink_metadata(path)?.is_symlink();
    let metadata = fs::metadata(path)?;
    Ok(Metadata {
        kind: Kind::of(metadata.file_type()),
        is_symlink,
        created_at_ms: metadata.created().map_or(0, unix_ms),
        modified_at_ms: metadata.modified().map_or(0, unix_ms),
    })
}

fn unix_ms(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

/// What is directly in a directory, by name. Links that lead nowhere are left out, as the reference does.
///
/// # Errors
/// What the system says, or more than [`limits::FILE_DIRECTORY_ENTRIES_MAX`] entries.
pub fn read_directory(path: &Path) -> Result<Vec<Entry>, FileError> {
    list(path, limits::FILE_DIRECTORY_ENTRIES_MAX)
}

fn list(path: &Path, most: usize) -> Result<Vec<Entry>, FileError> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        // Only a link needs a look at what it leads to.
        let kind = if kind.is_symlink() {
            match fs::metadata(entry.path()) {
                Ok(metadata) => Kind::of(metadata.file_type()),
                Err(_) => continue,
            }
        } else {
            Kind::of(kind)
        };
        if entries.len() == most {
            return Err(FileError::Limit(format!(
                "directory `{}` has more than {most} entries; use command/exec to list a part of it",
                path.display()
            )));
        }
        entries.push(Entry { name: entry.file_name().to_string_lossy().into_owned(), kind });
    }
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Removes a file, a link or a directory; a link's target stays.
///
/// # Errors
/// What the system says; what is not there only if not `force`. The root directory is refused.
pub fn remove(path: &Path, recursive: bool, force: bool) -> Result<(), FileError> {
    if path == Path::new("/") {
        return Err(FileError::refused("fs/remove does not remove the root directory"));
    }
    let removed = fs::symlink_metadata(path).and_then(|metadata| match (metadata.is_dir(), recursive) {
        (true, true) => fs::remove_dir_all(path),
        (true, false) => fs::remove_dir(path),
        (false, _) => fs::remove_file(path),
    });
    match removed {
        Err(error) if force && error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(test)]
#[path = "tests/operations.rs"]
mod tests;
