//! Files of this machine on behalf of clients: reading, writing and copying them, being told of changes, and
//! finding them by a few letters.
//!
//! It knows neither connections nor methods; whoever asks is an opaque owner, and results go into closures.
//! File operations run on the workers of the [`FilePool`], watching on the worker `watch`, each search on a
//! worker of its own. They touch nothing but what they were asked for, and with the rights of this process.

mod atomic;
mod copy;
mod error;
mod operations;
mod pool;
mod search;
#[cfg(test)]
mod tests;
mod watch;

pub use copy::copy;
pub use error::FileError;
pub use operations::{
    Entry, Kind, Metadata, create_directory, decode_base64, metadata, read_directory, read_to_base64, remove,
    write,
};
pub use pool::{FilePool, FileTurn, HeldBytes, Owner};
pub use search::{Match, Progress, Search, SearchMemory};
pub use watch::{Watcher, WatcherBusy};
