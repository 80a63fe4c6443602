//! The two lints, their default levels and the flags that change them. Knows neither files nor calls.

use anyhow::{Result, bail};

/// A rule of this tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lint {
    /// A `/*name*/` comment that is not the parameter's name.
    Mismatch,
    /// A literal argument without such a comment.
    Uncommented,
}

impl Lint {
    /// The name as rustc would print it.
    pub fn name(self) -> &'static str {
        match self {
            Lint::Mismatch => "argument_comment_mismatch",
            Lint::Uncommented => "uncommented_anonymous_literal_argument",
        }
    }

    /// rustc takes hyphens and underscores alike on its command line, and so do we.
    fn from_name(name: &str) -> Option<Lint> {
        let name = name.replace('-', "_");
        [Lint::Mismatch, Lint::Uncommented].into_iter().find(|lint| lint.name() == name)
    }
}

/// What becomes of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Allow,
    Warn,
    Deny,
}

/// The level of each lint. Later flags win over earlier ones.
#[derive(Clone, Debug)]
pub struct Levels {
    mismatch: Level,
    uncommented: Level,
    /// What a lint that stands at `Warn` becomes: `-D warnings`, `-A warnings`.
    warnings: Level,
}

impl Default for Levels {
    /// A wrong comment is a mistake everywhere; that every literal needs one is a choice of the code base.
    fn default() -> Self {
        Levels { mismatch: Level::Warn, uncommented: Level::Allow, warnings: Level::Warn }
    }
}

impl Levels {
    /// Applies one flag such as `-D argument-comment-mismatch`.
    pub fn set(&mut self, level: Level, name: &str) -> Result<()> {
        match Lint::from_name(name) {
            Some(Lint::Mismatch) => self.mismatch = level,
            Some(Lint::Uncommented) => self.uncommented = level,
            None if name == "warnings" => self.warnings = level,
            None => bail!(
                "unknown lint `{name}`: known are `argument-comment-mismatch`, \
                 `uncommented-anonymous-literal-argument` and the group `warnings`"
            ),
        }
        Ok(())
    }

    pub fn of(&self, lint: Lint) -> Level {
        let own = match lint {
            Lint::Mismatch => self.mismatch,
            Lint::Uncommented => self.uncommented,
        };
        if own == Level::Warn { self.warnings } else { own }
    }
}
