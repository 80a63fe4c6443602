//! The operating system: workers, signals, pipes, limits of the process.
//!
//! It may not know the protocol.

pub mod activation;
pub mod child;
pub mod encoding;
pub mod futex;
pub mod guard;
#[cfg(target_os = "linux")]
pub mod landlock;
#[cfg(target_os = "linux")]
pub mod lineage;
#[cfg(not(target_os = "linux"))]
#[path = "lineage_elsewhere.rs"]
pub mod lineage;
pub mod memory;
#[cfg(target_os = "linux")]
pub mod namespace;
pub mod notify;
#[cfg(target_os = "linux")]
pub mod orphans;
#[cfg(not(target_os = "linux"))]
#[path = "orphans_elsewhere.rs"]
pub mod orphans;
pub mod poller;
pub mod rlimit;
pub mod signals;
pub mod worker;
