//! The protocol as this server speaks it, as files: JSON Schema (draft 7) and TypeScript.
//!
//! Pure: from an embedded description of the types to texts with paths; it writes nothing and knows no
//! command line. The description is `types.json`, made from the types of [`crate::proto`] by a test, which
//! fails when they differ: so the program carries a text, deflated, and not the code that makes it, which
//! takes 1.8 MiB.
//!
//! Runs in whoever asks, once.

mod json;
mod published;
mod typescript;

pub use json::json_files;
pub use typescript::typescript_files;

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Below the folder that the user chose; with `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

#[cfg(test)]
mod tests;
