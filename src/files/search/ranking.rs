//! Which of the found paths match a query, and how well.
//!
//! The score is that of the `nucleo-matcher` crate for paths. A path whose last part matches by itself stands
//! above all others. Equal scores are in the order of their paths.

use std::cmp::Ordering;
use std::sync::Arc;

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::Match;
use super::found::Found;
use crate::limits;

/// Paths that one step of the ranking takes up.
const STEP_ENTRIES: usize = 16_384;

/// What a match in the last part of a path is worth; the reference's figure.
const NAME_BONUS: u32 = 1 << 16;

/// The tools of the ranking, with memory of their own.
pub(super) struct Ranker {
    matcher: Matcher,
    characters: Vec<char>,
}

/// A query and its best matches so far.
pub(super) struct Ranking {
    query: String,
    pattern: Pattern,
    /// Found paths that were looked at.
    seen: usize,
    /// Best first.
    best: Vec<Hit>,
    has_changed: bool,
}

#[derive(Clone, Copy)]
struct Hit {
    score: u32,
    at: usize,
}

impl Hit {
    /// Better ones come first.
    fn compare(&self, other: &Self, found: &Found) -> Ordering {
        let by_path = || found.get(self.at).path.cmp(found.get(other.at).path);
        other.score.cmp(&self.score).then_with(by_path).then(self.at.cmp(&other.at))
    }
}

impl Ranking {
    /// Letters match in any case, unless the query has a capital one.
    pub(super) fn new(query: String) -> Self {
        let pattern = Pattern::parse(&query, CaseMatching::Smart, Normalization::Smart);
        Self { query, pattern, seen: 0, best: Vec::new(), has_changed: false }
    }

    pub(super) fn query(&self) -> &str {
        &self.query
    }

    pub(super) fn is_over(&self, found: &Found) -> bool {
        self.seen == found.len() || self.pattern.atoms.is_empty()
    }

    /// Whether there are better matches than those that were told.
    pub(super) fn has_changed(&self) -> bool {
        self.has_changed
    }

    pub(super) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    fn add(&mut self, hit: Hit, found: &Found) {
        let place = self.best.partition_point(|better| better.compare(&hit, found) == Ordering::Less);
        if place < limits::SEARCH_MATCHES_MAX {
            self.best.truncate(limits::SEARCH_MATCHES_MAX - 1);
            self.best.insert(place, hit);
            self.has_changed = true;
        }
    }
}

impl Ranker {
    pub(super) fn new() -> Self {
        Self { matcher: Matcher::new(Config::DEFAULT.match_paths()), characters: Vec::new() }
    }

    /// Looks at some more of what was found. Nothing matches an empty query.
    pub(super) fn step(&mut self, ranking: &mut Ranking, found: &Found) {
        if ranking.pattern.atoms.is_empty() {
            return;
        }
        let until = found.len().min(ranking.seen + STEP_ENTRIES);
        for at in ranking.seen..until {
            let entry = found.get(at);
            let Some(score) = self.score(&ranking.pattern, entry.path, entry.name_at) else { continue };
            ranking.add(Hit { score, at }, found);
        }
        ranking.seen = until;
    }

    fn score(&mut self, pattern: &Pattern, path: &str, name_at: usize) -> Option<u32> {
        // The whole path first: most match nowhere, and what must not be in it must not be in it anywhere.
        let whole = pattern.score(Utf32Str::new(path, &mut self.characters), &mut self.matcher)?;
        let name = &path[name_at..];
        let by_name = pattern.score(Utf32Str::new(name, &mut self.characters), &mut self.matcher);
        Some(by_name.map_or(whole, |score| score + NAME_BONUS))
    }

    /// The best matches, with the characters that match.
    pub(super) fn best(&mut self, ranking: &Ranking, found: &Found) -> Vec<Match> {
        let show = |hit: &Hit| {
            let entry = found.get(hit.at);
            let is_by_name = hit.score >= NAME_BONUS;
            let matched = if is_by_name { &entry.path[entry.name_at..] } else { entry.path };
            let mut indices = Vec::new();
            let haystack = Utf32Str::new(matched, &mut self.characters);
            ranking.pattern.indices(haystack, &mut self.matcher, &mut indices);
            if is_by_name {
                let before = Utf32Str::new(&entry.path[..entry.name_at], &mut self.characters).len();
                let before = u32::try_from(before).unwrap_or(u32::MAX);
                indices.iter_mut().for_each(|index| *index += before);
            }
            indices.sort_unstable();
            indices.dedup();
            Match {
                root: Arc::clone(entry.root),
                path: entry.path.to_owned(),
                name_at: entry.name_at,
                is_directory: entry.is_directory,
                score: hit.score,
                indices,
            }
        };
        ranking.best.iter().map(show).collect()
    }
}
