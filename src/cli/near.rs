//! What somebody who mistyped a word may have meant.

/// The candidate that is closest to `word`, if it is close enough to be meant.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let far = 1 + word.chars().count() / 4;
    let rank = |candidate: &str| {
        // The beginning of a long name is often all that one remembers.
        if word.len() >= 3 && candidate.starts_with(word) { 0 } else { edits(word, candidate) }
    };
    candidates
        .map(|candidate| (rank(candidate), candidate))
        .filter(|(rank, _)| *rank <= far)
        .min()
        .map(|(_, c)| c)
}

/// How many letters have to be put in, left out, replaced or swapped with their neighbour to get from one
/// word to the other.
fn edits(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![(0..=to.len()).collect::<Vec<usize>>()];
    for (i, letter) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, other) in to.iter().enumerate() {
            let mut best = (rows[i][j + 1] + 1).min(row[j] + 1);
            best = best.min(rows[i][j] + usize::from(letter != other));
            if i > 0 && j > 0 && *letter == to[j - 1] && from[i - 1] == *other {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let words = ["listen", "home", "max-connections", "ws-auth"];
        for (typed, meant) in [
            ("lisen", Some("listen")),
            ("lsiten", Some("listen")),
            ("max-conn", Some("max-connections")),
            ("max_connections", Some("max-connections")),
            ("hme", Some("home")),
            ("frobnicate", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed, words.into_iter()), meant, "{typed}");
        }
    }

    #[test]
    fn a_swap_is_one_edit() {
        assert_eq!((edits("ab", "ba"), edits("", "abc"), edits("abc", "abc")), (1, 3, 0));
    }
}
