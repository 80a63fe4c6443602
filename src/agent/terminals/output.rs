//! What is kept of a command's output, and what is shown of it live: both stay small, whatever the command
//! says.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::limits;

/// The beginning and the end of a text; what is between is counted and dropped.
#[derive(Debug)]
pub(super) struct HeadTail {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    half_max: usize,
    bytes: u64,
    newlines: u64,
}

impl HeadTail {
    /// Keeps at most `max` bytes, half of them from the beginning.
    pub(super) fn new(max: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), half_max: max / 2, bytes: 0, newlines: 0 }
    }

    pub(super) fn push(&mut self, text: &str) {
        self.bytes += text.len() as u64;
        self.newlines += text.bytes().filter(|byte| *byte == b'\n').count() as u64;
        let room = self.half_max - self.head.len();
        // Once something went to the tail, the head has ended.
        let room = if self.tail.is_empty() { room.min(text.len()) } else { 0 };
        let at = (0..=room).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let (head, tail) = text.split_at(at);
        self.head.extend_from_slice(head.as_bytes());
        let tail = &tail.as_bytes()[tail.len().saturating_sub(self.half_max)..];
        let over = (self.tail.len() + tail.len()).saturating_sub(self.half_max);
        self.tail.drain(..over);
        self.tail.extend(tail);
    }

    /// All bytes that were said.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The text, with a note where something is missing.
    pub(super) fn text(&self) -> String {
        let kept = (self.head.len() + self.tail.len()) as u64;
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        // A character that was cut in two at the front is left out.
        let start = tail.iter().take_while(|byte| **byte & 0xc0 == 0x80).count();
        let head = String::from_utf8_lossy(&self.head);
        let tail = String::from_utf8_lossy(&tail[start..]);
        match self.bytes - kept {
            0 => format!("{head}{tail}"),
            missing => format!("{head}\n[… {missing} bytes left out …]\n{tail}"),
        }
    }

    /// At most about `max` bytes of the text, beginning and end, and whether something is missing.
    pub(super) fn text_within(&self, max: usize) -> (String, bool) {
        let whole = self.text();
        if whole.len() <= max && self.bytes <= whole.len() as u64 {
            return (whole, false);
        }
        let mut short = Self::new(max);
        short.push(&whole);
        (short.text(), true)
    }

    /// Lines that were said, the last one also without its end.
    pub(super) fn lines(&self) -> u64 {
        let last = self.tail.back().or(self.head.last());
        self.newlines + u64::from(last.is_some_and(|byte| *byte != b'\n'))
    }
}

/// Makes text of bytes that come in pieces: a character that is cut in two waits for its rest.
#[derive(Debug, Default)]
pub(super) struct Decoder(Vec<u8>);

impl Decoder {
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.0.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.0) {
            Ok(text) => text.len(),
            Err(_) => self.0.len() - cut_off(&self.0),
        };
        let text = String::from_utf8_lossy(&self.0[..whole]).into_owned();
        self.0.drain(..whole);
        text
    }

    /// What is left at the end.
    pub(super) fn rest(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.0)).into_owned()
    }
}

/// How many bytes at the end are the beginning of a character.
fn cut_off(bytes: &[u8]) -> usize {
    for length in 1..=bytes.len().min(3) {
        let lead = bytes[bytes.len() - length];
        let needs = match lead {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            0x80..=0xbf => continue,
            _ => 0,
        };
        return if needs > length { length } else { 0 };
    }
    0
}

/// How much of the output is shown live: a stock of bytes that fills up again with time.
#[derive(Debug)]
pub(super) struct Live {
    stock: u64,
    filled_at: Monotonic,
    hidden: u64,
}

impl Live {
    pub(super) fn new(now: Monotonic) -> Self {
        Self { stock: limits::COMMAND_LIVE_BYTES, filled_at: now, hidden: 0 }
    }

    /// What is shown of `text`, which is nothing while the stock is used up; then a note about what was not.
    pub(super) fn show(&mut self, text: String, now: Monotonic) -> Option<String> {
        let since: Duration = now.since(self.filled_at);
        let ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let more = ms.saturating_mul(limits::COMMAND_LIVE_BYTES_PER_SECOND) / 1000;
        if more > 0 {
            self.stock = self.stock.saturating_add(more).min(limits::COMMAND_LIVE_BYTES);
            self.filled_at = now;
        }
        let bytes = text.len() as u64;
        if bytes > self.stock {
            self.hidden += bytes;
            return None;
        }
        self.stock -= bytes;
        match std::mem::take(&mut self.hidden) {
            0 => Some(text),
            hidden => Some(format!("\n[… {hidden} bytes not shown …]\n{text}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginning_and_end_are_kept_and_what_is_between_is_counted() {
        let mut kept = HeadTail::new(/*max*/ 8);
        kept.push("abc");
        assert_eq!((kept.text().as_str(), kept.lines()), ("abc", 1));
        kept.push("defgh");
        assert_eq!(kept.text(), "abcdefgh");
        kept.push("ij\n");
        assert_eq!(kept.text(), "abcd\n[… 3 bytes left out …]\nhij\n");
        assert_eq!((kept.bytes(), kept.lines()), (11, 1));
        kept.push(&"x".repeat(1000));
        assert_eq!(kept.text(), "abcd\n[… 1003 bytes left out …]\nxxxx");
    }

    #[test]
    fn no_character_is_cut_in_two() {
        let mut kept = HeadTail::new(/*max*/ 6);
        kept.push("ab€");
        kept.push("€€");
        assert_eq!(kept.text(), "ab\n[… 6 bytes left out …]\n€");
        let mut decoder = Decoder::default();
        let bytes = "€𝄞ä".as_bytes();
        let text: String = bytes.iter().map(|byte| decoder.push(&[*byte])).collect();
        assert_eq!(text + &decoder.rest(), "€𝄞ä");
        assert_eq!(decoder.push(b"a\xffb\xe2\x82"), "a\u{fffd}b");
        assert_eq!(decoder.rest(), "\u{fffd}");
    }

    #[test]
    fn a_short_form_keeps_both_ends() {
        let mut kept = HeadTail::new(/*max*/ 1000);
        kept.push(&format!("begin {} end", "x".repeat(500)));
        let (short, cut) = kept.text_within(/*max*/ 20);
        assert!(cut && short.starts_with("begin ") && short.ends_with(" end"), "{short}");
        assert!(!kept.text_within(/*max*/ 1000).1);
    }

    #[test]
    fn a_flood_is_shown_in_part_and_then_again() {
        let mut live = Live::new(Monotonic(0));
        let piece = || "x".repeat(usize::try_from(limits::COMMAND_LIVE_BYTES / 2).expect("small"));
        assert!(live.show(piece(), Monotonic(0)).is_some());
        assert!(live.show(piece(), Monotonic(0)).is_some());
        assert_eq!(live.show("more".to_owned(), Monotonic(0)), None);
        let later = live.show("more".to_owned(), Monotonic(1000)).expect("the stock has filled up");
        assert_eq!(later, "\n[… 4 bytes not shown …]\nmore");
    }
}
