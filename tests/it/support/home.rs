//! A folder of its own for each server, gone with its last owner.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A fresh folder. Servers that are to share a home share this.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
}

impl Home {
    pub(crate) fn new() -> Arc<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("app-server-it-{}-{number}", std::process::id()));
        // Left over from a process that was killed and had the same id.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder for the test");
        Arc::new(Self { path })
    }

    /// A home with this `config.toml`.
    pub(crate) fn with_config(config: &str) -> Arc<Self> {
        let home = Self::new();
        fs::write(home.path.join("config.toml"), config).expect("config.toml is written");
        home
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The server's database.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("app-server/store.sqlite")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
