//! The `fs/` family: files of the machine that the server runs on, always by absolute path.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, de};

use super::Notification;

/// An absolute path, without `.` and `..` and doubled slashes. Anything else is refused where it is decoded,
/// in the words of the reference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AbsolutePath(PathBuf);

impl AbsolutePath {
    /// The path, or none if it is relative.
    #[must_use]
    pub fn new(path: &Path) -> Option<Self> {
        if !path.is_absolute() {
            return None;
        }
        let mut plain = PathBuf::new();
        for component in path.components() {
            match component {
                Component::ParentDir => drop(plain.pop()),
                Component::CurDir => {}
                part => plain.push(part),
            }
        }
        Some(Self(plain))
    }

    /// The path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The path.
    #[must_use]
    pub fn into_path(self) -> PathBuf {
        self.0
    }
}

impl<'de> Deserialize<'de> for AbsolutePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = PathBuf::deserialize(deserializer)?;
        Self::new(&path).ok_or_else(|| de::Error::custom("AbsolutePathBuf deserialized without a base path"))
    }
}

/// Parameters of `fs/readFile`, `fs/getMetadata` and `fs/readDirectory`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FsPathParams {
    /// What to look at.
    pub path: AbsolutePath,
}

/// The answer to `fs/readFile`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FsReadFileResponse {
    /// What is in the file, in Base64 (RFC 4648, section 4).
    pub data_base64: String,
}

/// Parameters of `fs/writeFile`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FsWriteFileParams {
    /// The file, made if it is not there.
    pub path: AbsolutePath,
    /// What is to be in the file, in Base64 (RFC 4648, section 4).
    pub data_base64: String,
}

/// Parameters of `fs/createDirectory`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FsCreateDirectoryParams {
    /// The directory.
    pub path: AbsolutePath,
    /// With those above it; true if absent.
    #[serde(default)]
    pub recursive: Option<bool>,
}

/// The answer to `fs/getMetadata`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FsGetMetadataResponse {
    /// It leads to a directory.
    pub is_directory: bool,
    /// It leads to a regular file.
    pub is_file: bool,
    /// It is itself a symbolic link.
    pub is_symlink: bool,
    /// Unix milliseconds; 0 if the file system does not know.
    pub created_at_ms: i64,
    /// Unix milliseconds.
    pub modified_at_ms: i64,
}

/// The answer to `fs/readDirectory`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FsReadDirectoryResponse {
    /// What is directly in the directory.
    pub entries: Vec<FsReadDirectoryEntry>,
}

/// Something in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FsReadDirectoryEntry {
    /// Its name, without the directory.
    pub file_name: String,
    /// It leads to a directory.
    pub is_directory: bool,
    /// It leads to a regular file.
    pub is_file: bool,
}

/// Parameters of `fs/remove`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FsRemoveParams {
    /// What to remove.
    pub path: AbsolutePath,
    /// A directory with all that is in it; true if absent.
    #[serde(default)]
    pub recursive: Option<bool>,
    /// What is not there counts as removed; true if absent.
    #[serde(default)]
    pub force: Option<bool>,
}

/// Parameters of `fs/copy`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FsCopyParams {
    /// What to copy.
    pub source_path: AbsolutePath,
    /// Where the copy goes, its own name included.
    pub destination_path: AbsolutePath,
    /// Needed for a directory.
    #[serde(default)]
    pub recursive: bool,
}

/// Parameters of `fs/watch`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FsWatchParams {
    /// The file or directory; it need not be there.
    pub path: AbsolutePath,
    /// The client's name for the watch, free on its connection.
    pub watch_id: String,
}

/// The answer to `fs/watch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FsWatchResponse {
    /// What is watched.
    pub path: AbsolutePath,
}

/// Parameters of `fs/unwatch`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FsUnwatchParams {
    /// The client's name for the watch.
    pub watch_id: String,
}

/// `fs/changed`: something happened at a watched path.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FsChanged<'a> {
    /// The client's name for the watch.
    pub watch_id: &'a str,
    /// What changed, sorted.
    pub changed_paths: &'a [PathBuf],
}

impl Notification for FsChanged<'_> {
    const METHOD: &'static str = "fs/changed";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_absolute_and_plain() {
        let plain = |text: &str| AbsolutePath::new(Path::new(text)).map(AbsolutePath::into_path);
        for (text, expected) in [("/a/../b//./c/", "/b/c"), ("/../..", "/"), ("/", "/"), ("/a/..", "/")] {
            assert_eq!(plain(text).as_deref(), Some(Path::new(expected)), "{text}");
        }
        for relative in ["", "a", "~/a", "./a"] {
            assert_eq!(plain(relative), None);
        }
        let error = serde_json::from_str::<FsPathParams>(r#"{"path":"a"}"#).unwrap_err();
        assert!(error.to_string().starts_with("AbsolutePathBuf deserialized without a base path"));
    }
}
