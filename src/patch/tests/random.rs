//! Random files, random edits: the patch made of them gives the edited file, and a broken one changes
//! nothing.

use similar::{ChangeTag, TextDiff};

use super::*;

/// Rounds in one run; `APP_SERVER_PATCHES` may ask for more.
const ROUNDS: u64 = 300;
const LINES_MAX: usize = 60;
const EDITS_MAX: usize = 6;

/// Xorshift; the seed is in the message of a failure.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).expect("small")
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// A line; few words, so that many lines are the same.
    fn line(&mut self) -> String {
        const WORDS: [&str; 10] = [
            "",
            "}",
            "  return x",
            "fn a() {",
            "\tlet y = 1;",
            "- item",
            "+ plus",
            "@@ at",
            "*** stars",
            "é “q”",
        ];
        let word = WORDS[self.below(WORDS.len())];
        if self.once_in(/*times*/ 3) {
            format!("{word} {}", self.below(/*end*/ 1000))
        } else {
            word.to_owned()
        }
    }

    fn lines(&mut self) -> Vec<String> {
        let count = self.below(LINES_MAX);
        (0..count).map(|_| self.line()).collect()
    }

    fn edit(&mut self, lines: &mut Vec<String>) {
        for _ in 0..=self.below(EDITS_MAX) {
            let at = self.below(lines.len() + 1);
            match self.below(/*end*/ 3) {
                0 => lines.insert(at, self.line()),
                1 if at < lines.len() => drop(lines.remove(at)),
                2 if at < lines.len() => lines[at] = self.line(),
                _ => lines.push(self.line()),
            }
        }
    }
}

/// One change: lines `old` of the first text become `new` of the second.
#[derive(Debug, Clone)]
struct Block {
    from: usize,
    until: usize,
    body: Vec<String>,
}

fn rounds() -> std::ops::RangeInclusive<u64> {
    let rounds = std::env::var("APP_SERVER_PATCHES").ok().and_then(|count| count.parse().ok());
    1..=rounds.unwrap_or(ROUNDS)
}

/// The changes between two texts with `context` lines around each, and the lines of the first that they span.
fn blocks(old: &[String], new: &[String], context: usize) -> Vec<Block> {
    let (old, new): (Vec<&str>, Vec<&str>) =
        (old.iter().map(String::as_str).collect(), new.iter().map(String::as_str).collect());
    let diff = TextDiff::from_slices(&old, &new);
    let groups = diff.grouped_ops(context);
    let block = |group: &Vec<similar::DiffOp>| {
        let changes = group.iter().flat_map(|op| diff.iter_changes(op));
        let body = changes.map(|change| match change.tag() {
            ChangeTag::Equal => format!(" {}", change.value()),
            ChangeTag::Delete => format!("-{}", change.value()),
            ChangeTag::Insert => format!("+{}", change.value()),
        });
        let (first, last) = (&group[0], &group[group.len() - 1]);
        Block { from: first.old_range().start, until: last.old_range().end, body: body.collect() }
    };
    groups.iter().filter(|group| !group.is_empty()).map(block).collect()
}

/// True if each block's lines are found where they belong, even when blanks around a line do not count.
fn is_plain(old: &[String], blocks: &[Block]) -> bool {
    let mut from = 0;
    blocks.iter().all(|block| {
        let wanted = &old[block.from..block.until];
        let is_there = |at: usize| {
            (0..wanted.len()).all(|line| old.get(at + line).is_some_and(|l| l.trim() == wanted[line].trim()))
        };
        let first = (from..old.len()).find(|at| is_there(*at));
        from = block.until;
        // Without a line to find it would go to the end.
        first == Some(block.from) && !wanted.is_empty()
    })
}

/// A patch's hunks between two texts: with as much context as it takes to be plain.
fn hunks(old: &[String], new: &[String], random: &mut Random) -> String {
    let mut text = String::new();
    let sizes = [1, 2, 3, 5, 8, 20, LINES_MAX * 2];
    let plain = sizes.iter().map(|context| blocks(old, new, *context)).find(|blocks| is_plain(old, blocks));
    let blocks = plain.unwrap_or_else(|| {
        let removed = old.iter().map(|line| format!("-{line}"));
        let body = removed.chain(new.iter().map(|line| format!("+{line}"))).collect();
        vec![Block { from: 0, until: old.len(), body }]
    });
    let is_noisy = random.once_in(/*times*/ 2);
    for block in blocks {
        text.push_str("@@\n");
        for line in block.body {
            text.push_str(&line);
            // Models lose and add blanks at line ends.
            let keeps = line.starts_with(' ') && is_noisy && random.once_in(/*times*/ 3);
            text.push_str(if keeps { "  \n" } else { "\n" });
        }
    }
    text
}

fn joined(lines: &[String], end: &str, has_final: bool) -> String {
    let text = lines.join(end);
    if has_final && !lines.is_empty() { text + end } else { text }
}

#[test]
fn a_patch_made_of_random_edits_gives_the_edited_file() {
    let mut applied = 0;
    for seed in rounds() {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let old = random.lines();
        let mut new = old.clone();
        random.edit(&mut new);
        let end = if random.once_in(/*times*/ 3) { "\r\n" } else { "\n" };
        // A last line that is empty and has no end would be no line.
        let is_plain_end = |lines: &[String]| lines.last().is_some_and(|line| !line.is_empty());
        let has_final = !(random.once_in(/*times*/ 3) && is_plain_end(&old) && is_plain_end(&new));
        let folder = Folder::with(&[("f", &joined(&old, end, has_final))]);
        if old == new {
            continue;
        }
        let body = format!("*** Update File: f\n{}", hunks(&old, &new, &mut random));
        let context = || format!("seed {seed}, end {end:?}, final {has_final}\nold {old:#?}\n{body}");
        let plan = folder.apply(&body).unwrap_or_else(|error| panic!("{error}\n{}", context()));
        let expected = joined(&new, end, has_final);
        // One line needs one end to show its kind; where all are new, LF is as good.
        let got = folder.read("f");
        let is_right =
            got == expected || old.len() < 2 && got.replace("\r\n", "\n") == expected.replace("\r\n", "\n");
        assert!(is_right, "got {got:?}\nfor {expected:?}\n{}", context());
        assert_eq!(folder.listing().len(), 1, "nothing is left beside it: {}", context());

        // And its diff, which shows what was done, leads back.
        let mut diff = TurnDiff::new(folder.path());
        assert!(diff.record(&plan).starts_with("diff --git a/f b/f\n"), "{}", context());
        applied += 1;
    }
    assert!(applied > rounds().count() / 2, "{applied} patches");
}

#[test]
fn a_broken_patch_changes_no_file() {
    let (mut refused, mut accepted) = (0, 0);
    for seed in rounds() {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let texts: Vec<Vec<String>> = (0..3).map(|_| random.lines()).collect();
        let names = ["a", "b", "c/d"];
        let files: Vec<String> = texts.iter().map(|lines| joined(lines, "\n", /*has_final*/ true)).collect();
        let files: Vec<(&str, &str)> = names.into_iter().zip(files.iter().map(String::as_str)).collect();
        let folder = Folder::with(&files);
        let mut body = String::from("*** Add File: new/n\n+x\n");
        for (name, old) in names.iter().zip(&texts) {
            let mut new = old.clone();
            random.edit(&mut new);
            body.push_str(&format!("*** Update File: {name}\n{}", hunks(old, &new, &mut random)));
        }
        let broken = broken(&patch(&body), &mut random);
        let before = folder.listing();
        let outcome = Patch::parse(&broken).and_then(|patch| Plan::new(&patch, folder.path()));
        match outcome {
            Err(_) => refused += 1,
            Ok(plan) => {
                assert_eq!(folder.listing(), before, "a plan writes nothing: seed {seed}\n{broken}");
                match plan.apply() {
                    Ok(()) => {
                        accepted += 1;
                        continue;
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        assert_eq!(folder.listing(), before, "seed {seed}\n{broken}");
    }
    assert!(refused > accepted, "{refused} refused, {accepted} still made sense");
}

/// The patch with one or more of its lines or characters changed.
fn broken(patch: &str, random: &mut Random) -> String {
    let mut lines: Vec<String> = patch.lines().map(str::to_owned).collect();
    for _ in 0..=random.below(/*end*/ 3) {
        let at = random.below(lines.len());
        match random.below(/*end*/ 6) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, "*** Update File: missing".to_owned()),
            2 => lines.insert(at, "-never was in any file".to_owned()),
            3 => lines.truncate(at.max(1)),
            4 => lines[at].insert(0, '?'),
            _ => {
                let other = random.below(lines.len());
                lines.swap(at, other);
            }
        }
        if lines.is_empty() {
            return String::new();
        }
    }
    lines.join("\n")
}
