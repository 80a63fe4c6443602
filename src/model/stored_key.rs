//! The API key that a client signed in with: a file of our own, which only the user may read.
//!
//! It is read for each model request, so that several servers on one home agree at once; the file is small
//! and models are slow. It runs on the worker that asks, and knows neither accounts nor providers. The key is
//! never part of an error or of a log line.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::limits;

const FILE: &str = "api-key";

/// The key of one home, if there is one.
#[derive(Debug)]
pub struct StoredKey {
    path: PathBuf,
}

impl StoredKey {
    /// The one in this folder, which need not be there yet.
    #[must_use]
    pub fn below(data_dir: &Path) -> Self {
        Self { path: data_dir.join(FILE) }
    }

    /// What is wrong with a key that cannot be sent as it is, in an HTTP header.
    ///
    /// # Errors
    /// What to tell the user; the key is not in it.
    pub fn check(key: &str) -> Result<(), String> {
        match key {
            "" => Err("apiKey must not be empty".to_owned()),
            _ if key.len() > limits::API_KEY_BYTES_MAX => {
                Err(format!("apiKey is longer than {} bytes", limits::API_KEY_BYTES_MAX))
            }
            _ if !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Err("apiKey has characters that no HTTP header can carry".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// The key. None if nobody has signed in, or the file cannot be used, which the log says.
    #[must_use]
    pub fn read(&self) -> Option<String> {
        let path = self.path.display();
        let unusable = |why: &str| tracing::warn!(%path, why, "the API key is not used");
        let file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                unusable(&error.to_string());
                return None;
            }
        };
        let mut text = String::new();
        // One byte more than fits tells a file that is too long.
        if let Err(error) = file.take(limits::API_KEY_BYTES_MAX as u64 + 2).read_to_string(&mut text) {
            unusable(&error.to_string());
            return None;
        }
        let key = text.trim();
        match Self::check(key) {
            Ok(()) => Some(key.to_owned()),
            Err(why) => {
                unusable(&why);
                None
            }
        }
    }

    /// Keeps a key in place of the one before. Nobody sees half of it, also not after a crash.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(&self, key: &str) -> io::Result<()> {
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir)?;
        }
        let new = self.path.with_extension(format!("new-{}", uuid::Uuid::new_v4()));
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            writeln!(file, "{key}")?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        })();
        written.inspect_err(|_| {
            // What is left of it would be a key that nobody uses.
            let _ = fs::remove_file(&new);
        })
    }

    /// Forgets the key; fine if there is none.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn stored() -> StoredKey {
        StoredKey::below(&std::env::temp_dir().join(format!("app-server-key-{}", uuid::Uuid::new_v4())))
    }

    #[test]
    fn a_key_is_kept_for_the_user_alone_and_forgotten() {
        let stored = stored();
        assert_eq!(stored.read(), None);
        stored.remove().expect("nothing to remove is fine");
        stored.keep("sk-one").expect("it is kept");
        stored.keep("sk-two").expect("it is replaced");
        assert_eq!(stored.read().as_deref(), Some("sk-two"));
        let mode = fs::metadata(&stored.path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let folder = stored.path.parent().expect("a folder");
        assert_eq!(fs::read_dir(folder).expect("it can be listed").count(), 1, "nothing else is left");
        stored.remove().expect("it is removed");
        assert_eq!(stored.read(), None);
    }

    #[test]
    fn what_no_header_can_carry_is_no_key() {
        let stored = stored();
        stored.keep("sk-one").expect("it is kept");
        let long = "k".repeat(limits::API_KEY_BYTES_MAX);
        StoredKey::check(&long).expect("the longest key");
        for bad in ["", "two words", "sk-\u{e9}", "sk\nnext", &format!("{long}k")] {
            let why = StoredKey::check(bad).expect_err("no key");
            assert!(bad.is_empty() || !why.contains(bad), "{why}");
            fs::write(&stored.path, bad).expect("it can be written");
            assert_eq!(stored.read(), None, "{bad:?}");
        }
    }
}
