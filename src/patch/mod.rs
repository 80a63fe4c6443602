//! The patch language of the tool `apply_patch`: read, planned against the file system, applied all or
//! nothing, and shown as unified diffs.
//!
//! ```text
//! *** Begin Patch
//! *** Update File: src/a.rs
//! *** Move to: src/b.rs
//! @@ fn shown() {
//!  kept
//! -removed
//! +added
//! *** End Patch
//! ```
//!
//! The way of a patch: [`Patch::parse`] (or [`heredoc::extract`] before it, for one that came inside a shell
//! command), [`Plan::new`], which reads the files and writes nothing, then whoever decides looks at
//! [`Plan::touched`] and [`Plan::changes`], then [`Plan::apply`], then [`TurnDiff::record`].
//!
//! This module knows the file system and the protocol's types of a file change; no turns, no approvals, no
//! connections. It runs on the OS thread of whoever calls it, and blocks on the file system only.

pub mod heredoc;
pub mod spec;

mod edit;
mod error;
mod keys;
mod ledger;
mod parse;
mod plan;
mod render;
mod resolve;
#[cfg(test)]
mod tests;
mod turn_diff;
mod write;

pub use error::PatchError;
pub use parse::{FilePatch, Hunk, HunkLine, Patch};
pub use plan::Plan;
pub use resolve::real_path;
pub use turn_diff::TurnDiff;
