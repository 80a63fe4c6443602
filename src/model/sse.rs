//! Server-Sent Events out of a stream of bytes, however it is cut into pieces.
//!
//! The rules are those of the HTML standard, section 9.2.6, as far as model providers use them: the events'
//! data counts; their names mean nothing here, because the data says its own type. Ids and reconnection times
//! are kept for who can take a stream up again. What is held is bounded: one unfinished line, one unfinished
//! event, one id.

use std::time::Duration;

use memchr::memchr2;

use crate::limits::{SSE_EVENT_BYTES_MAX, SSE_ID_BYTES_MAX, SSE_LINE_BYTES_MAX};

/// Takes bytes and gives the data of each event.
#[derive(Debug, Default)]
pub struct SseParser {
    /// The unfinished line.
    line: Vec<u8>,
    /// The data of the unfinished event, each line with a newline after it.
    data: Vec<u8>,
    /// A line ended with a carriage return; a newline that follows belongs to it.
    after_return: bool,
    /// Something came already, so a byte order mark is none any more.
    begun: bool,
    /// The id that counts from the end of the unfinished event on.
    id: Vec<u8>,
    /// The last event's.
    last_id: Vec<u8>,
    retry: Option<Duration>,
}

/// The other side breaks a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// A line has more bytes than [`SSE_LINE_BYTES_MAX`].
    #[error("a line of more than {SSE_LINE_BYTES_MAX} bytes")]
    Line,
    /// An event has more bytes than [`SSE_EVENT_BYTES_MAX`].
    #[error("an event of more than {SSE_EVENT_BYTES_MAX} bytes")]
    Event,
}

impl SseParser {
    /// Takes the next bytes and hands on the data of each event that they complete. An event that the
    /// stream's end leaves unfinished is none.
    ///
    /// # Errors
    /// A limit is broken; the stream is of no use any more.
    pub fn push(&mut self, bytes: &[u8], mut on_event: impl FnMut(Vec<u8>)) -> Result<(), TooLarge> {
        let mut rest = bytes;
        if self.after_return && !rest.is_empty() {
            self.after_return = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = memchr2(b'\n', b'\r', rest) {
            let event = self.end_line(&rest[..end])?;
            let was_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
            if was_return {
                match rest.first() {
                    Some(b'\n') => rest = &rest[1..],
                    Some(_) => {}
                    None => self.after_return = true,
                }
            }
            if let Some(event) = event {
                on_event(event);
            }
        }
        self.grow_line(rest)
    }

    /// The id of the last event, if events have any.
    #[must_use]
    pub fn last_id(&self) -> Option<&[u8]> {
        (!self.last_id.is_empty()).then_some(&self.last_id)
    }

    /// The pause that the other side wants before a stream is taken up again.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Another stream goes on where this one broke off: what was unfinished is forgotten.
    pub fn begin_anew(&mut self) {
        let (id, retry) = (self.last_id.clone(), self.retry);
        *self = Self { id: id.clone(), last_id: id, retry, ..Self::default() };
    }

    fn grow_line(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        if self.line.len() + bytes.len() > SSE_LINE_BYTES_MAX {
            return Err(TooLarge::Line);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// The event that ends with this line, whose last piece is `bytes`.
    fn end_line(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, TooLarge> {
        if self.line.is_empty() && bytes.len() <= SSE_LINE_BYTES_MAX {
            // It came in one piece, as nearly all do.
            return self.take_line(bytes);
        }
        self.grow_line(bytes)?;
        let mut line = std::mem::take(&mut self.line);
        let event = self.take_line(&line)?;
        line.clear();
        self.line = line;
        Ok(event)
    }

    fn take_line(&mut self, line: &[u8]) -> Result<Option<Vec<u8>>, TooLarge> {
        let is_first = !std::mem::replace(&mut self.begun, true);
        let marked = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| is_first);
        let line = marked.unwrap_or(line);
        if line.is_empty() {
            if self.id != self.last_id {
                self.last_id.clone_from(&self.id);
            }
            let mut data = std::mem::take(&mut self.data);
            // The newline of the last line. Without data an event is none.
            return Ok(data.pop().map(|_| data));
        }
        // A line of another field, or a comment: a sign of life and nothing else.
        if let Some(value) = line.strip_prefix(b"data").and_then(field_value) {
            if self.data.len() + value.len() >= SSE_EVENT_BYTES_MAX {
                return Err(TooLarge::Event);
            }
            self.data.reserve(value.len() + 1);
            self.data.extend_from_slice(value);
            self.data.push(b'\n');
        } else if let Some(id) = line.strip_prefix(b"id").and_then(field_value) {
            if !id.contains(&0) && id.len() <= SSE_ID_BYTES_MAX {
                id.clone_into(&mut self.id);
            }
        } else if let Some(pause) = line.strip_prefix(b"retry").and_then(field_value) {
            let ms = std::str::from_utf8(pause).ok().and_then(|ms| ms.parse().ok());
            self.retry = ms.map(Duration::from_millis).or(self.retry);
        }
        Ok(None)
    }
}

/// What stands behind a field's name; none if that is a longer name.
fn field_value(rest: &[u8]) -> Option<&[u8]> {
    if rest.is_empty() {
        return Some(rest);
    }
    let value = rest.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn events(pieces: &[&[u8]]) -> Vec<String> {
        let mut parser = SseParser::default();
        let mut events = Vec::new();
        for piece in pieces {
            let taken = parser.push(piece, |data| events.push(String::from_utf8(data).expect("UTF-8")));
            taken.expect("within the limits");
        }
        events
    }

    const STREAM: &str = "\u{feff}: a comment\n\nevent: x\ndata: {\"a\":1}\nid: 7\n\ndata:two\r\ndata:  lines\r\n\r\n\
        retry: 5\rdata: ünï\rdata\r\rdatum: no\n\ndata: \n\n\ndata: unfinished";

    #[test]
    fn lines_fields_and_comments_are_told_apart() {
        assert_eq!(events(&[STREAM.as_bytes()]), ["{\"a\":1}", "two\n lines", "ünï\n", ""]);
        assert_eq!(events(&[b"data: [DONE]\n\n", b"\n"]), ["[DONE]"]);
        assert_eq!(events(&[b"data: x\r", b"\n\r", b"\ndata: y\n\n"]), ["x", "y"]);
    }

    #[test]
    fn ids_and_pauses_are_kept_within_bounds() {
        let mut sse = SseParser::default();
        let mut push = |text: &str| {
            sse.push(text.as_bytes(), drop).expect("small");
            (sse.last_id().map(|id| String::from_utf8_lossy(id).into_owned()), sse.retry())
        };
        assert_eq!(push("data: x\n\nid: 1\n"), (None, None));
        assert_eq!(
            push("\nretry: 20\nretry: soon\n"),
            (Some("1".to_owned()), Some(Duration::from_millis(20)))
        );
        assert_eq!(
            push(&format!("id: {}\n\nid: a\0\n\n", "x".repeat(SSE_ID_BYTES_MAX + 1))).0.as_deref(),
            Some("1")
        );
        assert_eq!(push("data: y\n\n").0.as_deref(), Some("1"), "it counts until there is another");
        assert_eq!(push("id\n\n").0, None);
        let longest = "x".repeat(SSE_ID_BYTES_MAX);
        assert_eq!(push(&format!("id: {longest}\n\nid: 3\ndata: unfin")).0, Some(longest.clone()));
        sse.begin_anew();
        let mut events = Vec::new();
        sse.push(b"data: z\n\n", |event| events.push(event)).expect("small");
        assert_eq!((events, sse.last_id()), (vec![b"z".to_vec()], Some(longest.as_bytes())));
    }

    #[test]
    fn it_does_not_matter_how_the_stream_is_cut() {
        let whole = events(&[STREAM.as_bytes()]);
        let bytes: Vec<&[u8]> = STREAM.as_bytes().chunks(1).collect();
        assert_eq!(events(&bytes), whole);
        for _ in 0..2_000 {
            let mut rest = STREAM.as_bytes();
            let mut pieces = Vec::new();
            let seed = Uuid::new_v4();
            for cut in seed.as_bytes() {
                let (piece, others) = rest.split_at(usize::from(*cut % 24).min(rest.len()));
                pieces.push(piece);
                rest = others;
            }
            pieces.push(rest);
            assert_eq!(events(&pieces), whole, "cut by {seed}");
        }
    }

    #[test]
    fn any_bytes_are_taken_and_the_cut_does_not_matter() {
        // Few different bytes, so that line ends and fields come often.
        const BYTES: &[u8] = b"\r\n\n:dat \xffx";
        for _ in 0..500 {
            let seeds: Vec<Uuid> = (0..32).map(|_| Uuid::new_v4()).collect();
            let noise: Vec<u8> = seeds
                .iter()
                .flat_map(|seed| *seed.as_bytes())
                .flat_map(|byte| match byte % 16 {
                    0 => b"\ndata: y\n\n".to_vec(),
                    at => vec![BYTES[usize::from(at) % BYTES.len()]],
                })
                .collect();
            let collect = |pieces: &mut dyn Iterator<Item = &[u8]>| {
                let mut parser = SseParser::default();
                let mut events: Vec<Vec<u8>> = Vec::new();
                pieces.for_each(|piece| {
                    parser.push(piece, |data| events.push(data)).expect("within the limits");
                });
                events
            };
            let whole = collect(&mut std::iter::once(noise.as_slice()));
            for size in [1, 2, 3, 7, 64] {
                assert_eq!(collect(&mut noise.chunks(size)), whole, "{seeds:?} by {size}");
            }
        }
    }

    #[test]
    fn an_endless_line_and_an_endless_event_are_refused() {
        let chunk = vec![b'x'; 1024 * 1024];
        let mut parser = SseParser::default();
        let mut pushed = 0;
        let refused = loop {
            match parser.push(&chunk, |_| {}) {
                Ok(()) => pushed += chunk.len(),
                Err(refused) => break refused,
            }
        };
        assert_eq!((refused, pushed), (TooLarge::Line, SSE_LINE_BYTES_MAX));

        let line = [b"data: ".as_slice(), &chunk, b"\n"].concat();
        let mut parser = SseParser::default();
        let mut lines = 0;
        let refused = loop {
            match parser.push(&line, |_| {}) {
                Ok(()) => lines += 1,
                Err(refused) => break refused,
            }
        };
        assert_eq!((refused, lines), (TooLarge::Event, SSE_EVENT_BYTES_MAX / (chunk.len() + 1)));
    }
}
