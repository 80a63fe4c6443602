//! `[features]`: parts of the server that can be switched off. The reference has many more names; here are
//! those that switch something. Pure.

use super::section::Section;
use crate::error::StartError;

/// A part that can be switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Agents may run commands.
    ShellTool,
    /// Agents may look at pictures.
    ViewImage,
    /// Agents may look at goals, make and end them.
    Goals,
}

impl Feature {
    /// All of them, in the order of lists.
    pub const ALL: [Self; 3] = [Self::ShellTool, Self::ViewImage, Self::Goals];

    /// Its key, the reference's.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::ShellTool => "shell_tool",
            Self::ViewImage => "view_image",
            Self::Goals => "goals",
        }
    }

    /// The one with this key.
    #[must_use]
    pub fn find(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.key() == key)
    }
}

/// What was said about features; they are on where nothing was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    said: [Option<bool>; Feature::ALL.len()],
}

impl Features {
    /// Whether it is on.
    #[must_use]
    pub fn has(self, feature: Feature) -> bool {
        self.said[feature as usize].unwrap_or(true)
    }

    /// Switches it.
    pub fn set(&mut self, feature: Feature, on: bool) {
        self.said[feature as usize] = Some(on);
    }

    /// What is said here, and what `weaker` says where nothing is.
    #[must_use]
    pub fn over(self, weaker: Self) -> Self {
        let mut both = self;
        for (said, weaker) in both.said.iter_mut().zip(weaker.said) {
            *said = said.or(weaker);
        }
        both
    }

    pub(super) fn read(mut section: Section<'_>, unknown: &mut Vec<String>) -> Result<Self, StartError> {
        let mut features = Self::default();
        for feature in Feature::ALL {
            features.said[feature as usize] = section.switch(feature.key())?;
        }
        section.finish(unknown);
        Ok(features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_on_and_the_stronger_word_counts() {
        let mut off = Features::default();
        assert!(Feature::ALL.iter().all(|feature| off.has(*feature)));
        off.set(Feature::Goals, /*on*/ false);
        assert!(!Features::default().over(off).has(Feature::Goals));
        let mut on = Features::default();
        on.set(Feature::Goals, /*on*/ true);
        assert!(on.over(off).has(Feature::Goals));
        for feature in Feature::ALL {
            assert_eq!(Feature::find(feature.key()), Some(feature));
        }
    }
}
