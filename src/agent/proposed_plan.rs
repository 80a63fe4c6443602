//! Finding a proposed plan in what the model says in plan mode: the lines between a line `<proposed_plan>`
//! and a line `</proposed_plan>`. Text comes in pieces of any size, and goes on as soon as it cannot be a
//! part of such a line any more. Pure; knows neither items nor the model. Runs on a turn's worker.

/// Begins a plan; alone on its line.
const OPENING: &str = "<proposed_plan>";
/// Ends it.
const CLOSING: &str = "</proposed_plan>";
/// Longest beginning of a line that is kept back, in bytes: the longer tag and blanks around it.
const HELD_BYTES_MAX: usize = 80;

/// A stretch of what was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Words of the message.
    Said(String),
    /// A plan begins.
    Begins,
    /// Words of the plan.
    Planned(String),
}

/// Sorts what the model says into words of its message and of its plan.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// The beginning of a line that may become a tag.
    held: String,
    /// The line that has begun is no tag.
    is_text: bool,
    in_plan: bool,
}

impl Splitter {
    /// Takes more of the text.
    pub(super) fn feed(&mut self, text: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for line in text.split_inclusive('\n') {
            let ends = line.ends_with('\n');
            self.held.push_str(line);
            let is_tag = !self.is_text && self.held.trim() == self.tag();
            if is_tag && ends {
                self.turn_over(&mut pieces);
            } else if self.is_text || ends || !self.can_be_tag() {
                self.pass_on(&mut pieces);
                self.is_text = !ends;
            }
        }
        pieces
    }

    /// The text is over: what was kept back.
    pub(super) fn finish(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        match !self.is_text && self.held.trim() == self.tag() {
            true => self.turn_over(&mut pieces),
            false => self.pass_on(&mut pieces),
        }
        pieces
    }

    fn tag(&self) -> &'static str {
        if self.in_plan { CLOSING } else { OPENING }
    }

    fn can_be_tag(&self) -> bool {
        let begun = self.held.trim_start();
        let fits = self.tag().starts_with(begun) || begun.trim_end() == self.tag();
        fits && self.held.len() <= HELD_BYTES_MAX
    }

    fn turn_over(&mut self, pieces: &mut Vec<Piece>) {
        self.held.clear();
        self.in_plan = !self.in_plan;
        if self.in_plan {
            pieces.push(Piece::Begins);
        }
    }

    fn pass_on(&mut self, pieces: &mut Vec<Piece>) {
        let text = std::mem::take(&mut self.held);
        if text.is_empty() {
            return;
        }
        match (pieces.last_mut(), self.in_plan) {
            (Some(Piece::Planned(last)), true) | (Some(Piece::Said(last)), false) => last.push_str(&text),
            (_, true) => pieces.push(Piece::Planned(text)),
            (_, false) => pieces.push(Piece::Said(text)),
        }
    }
}

/// A whole message without its plan, and the plan if there is one.
pub(super) fn split(text: &str) -> (String, Option<String>) {
    let mut splitter = Splitter::default();
    let mut pieces = splitter.feed(text);
    pieces.extend(splitter.finish());
    let (mut said, mut plan) = (String::new(), None::<String>);
    for piece in pieces {
        match piece {
            Piece::Said(text) => said.push_str(&text),
            Piece::Begins => drop(plan.get_or_insert_default()),
            Piece::Planned(text) => plan.get_or_insert_default().push_str(&text),
        }
    }
    (said, plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "Intro\n <proposed_plan> \n# Plan\n- <b>\n</proposed_plan>\nOutro <proposed_plan>\nend";

    #[test]
    fn a_plan_stands_between_two_lines_of_their_own() {
        let (said, plan) = split(TEXT);
        assert_eq!(
            (said.as_str(), plan.as_deref()),
            ("Intro\nOutro <proposed_plan>\nend", Some("# Plan\n- <b>\n"))
        );
        assert_eq!(split("no plan </proposed_plan>"), ("no plan </proposed_plan>".to_owned(), None));
        assert_eq!(split("<proposed_plan>\nopen"), (String::new(), Some("open".to_owned())));
        assert_eq!(split("a\n<proposed_plan>\n</proposed_plan>"), ("a\n".to_owned(), Some(String::new())));
        assert_eq!(split("<proposed"), ("<proposed".to_owned(), None));
        assert_eq!(
            split("<proposed_plan>\n1\n</proposed_plan>\n<proposed_plan>\n2\n").1.as_deref(),
            Some("1\n2\n")
        );
    }

    #[test]
    fn pieces_of_any_size_come_to_the_same() {
        for size in 1..TEXT.len() {
            let mut splitter = Splitter::default();
            let chunks: Vec<&str> =
                TEXT.as_bytes().chunks(size).map(|bytes| str::from_utf8(bytes).expect("ASCII")).collect();
            let mut pieces: Vec<Piece> = chunks.iter().flat_map(|chunk| splitter.feed(chunk)).collect();
            pieces.extend(splitter.finish());
            let mut joined = (String::new(), String::new());
            for piece in pieces {
                match piece {
                    Piece::Said(text) => joined.0.push_str(&text),
                    Piece::Begins => {}
                    Piece::Planned(text) => joined.1.push_str(&text),
                }
            }
            let (said, plan) = split(TEXT);
            assert_eq!(joined, (said, plan.unwrap_or_default()), "chunks of {size}");
        }
    }

    #[test]
    fn only_what_can_become_a_tag_is_kept_back() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.feed("word"), [Piece::Said("word".to_owned())]);
        assert_eq!(splitter.feed(" <proposed_plan>\n<prop"), [Piece::Said(" <proposed_plan>\n".to_owned())]);
        assert_eq!(splitter.feed("er"), [Piece::Said("<proper".to_owned())]);
        let blanks = " ".repeat(HELD_BYTES_MAX);
        assert_eq!(splitter.feed(&format!("\n{blanks}")), [Piece::Said("\n".to_owned())]);
        assert_eq!(splitter.feed(" "), [Piece::Said(format!("{blanks} "))]);
    }
}
