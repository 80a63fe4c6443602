//! Plain HTTP answers: whole, with a length, and the last thing on their connection.
//!
//! tiny_http renders them.

use tiny_http::{HTTPVersion, Header, Response, StatusCode};

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// Further headers.
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    /// What the text is.
    pub(crate) content_type: &'static str,
    /// Its body; may be empty.
    pub(crate) text: String,
}

impl Answer {
    /// An answer without further headers.
    pub(crate) fn new(status: u16, text: impl Into<String>) -> Self {
        let content_type = "text/plain; charset=utf-8";
        Self { status, headers: Vec::new(), content_type, text: text.into() }
    }

    /// The same with a body of another type.
    pub(crate) fn of_type(mut self, content_type: &'static str) -> Self {
        self.content_type = content_type;
        self
    }

    /// The same with one more header.
    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The bytes on the wire; `without_body` for an answer to HEAD.
    pub(crate) fn render(&self, without_body: bool) -> Vec<u8> {
        let header = |name: &str, value: &str| Header::from_bytes(name, value).ok();
        let mut headers: Vec<Header> = Vec::new();
        headers.extend(header("Server", "app-server"));
        if !self.text.is_empty() {
            headers.extend(header("Content-Type", self.content_type));
        }
        headers.extend(self.headers.iter().filter_map(|(name, value)| header(name, value)));
        let body = self.text.as_bytes();
        let response = Response::new(StatusCode(self.status), headers, body, Some(body.len()), None);
        let mut bytes = Vec::new();
        // Writing to memory does not fail.
        let _ = response.raw_print(&mut bytes, HTTPVersion(1, 1), &[], without_body, None);
        // tiny_http keeps these two headers to itself, so they are put in behind the status line.
        let connection: &[u8] = if self.status == 426 {
            b"Connection: close, upgrade\r\nUpgrade: websocket\r\n"
        } else {
            b"Connection: close\r\n"
        };
        let line_end = bytes.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        bytes.splice(line_end..line_end, connection.iter().copied());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_and_says_its_length() {
        let bytes = Answer::new(/*status*/ 503, "later\n")
            .with("Retry-After", "5")
            .render(/*without_body*/ false);
        let text = String::from_utf8(bytes).expect("text");
        assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\nlater\n"), "{text}");
        for line in ["Content-Length: 6\r\n", "Retry-After: 5\r\n", "Date: ", "Server: app-server\r\n"] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn an_empty_answer_has_length_zero_and_head_has_no_body() {
        let empty =
            String::from_utf8(Answer::new(/*status*/ 200, "").render(/*without_body*/ false)).expect("text");
        assert!(empty.contains("Content-Length: 0\r\n") && empty.ends_with("\r\n\r\n"), "{empty}");
        let head = String::from_utf8(Answer::new(/*status*/ 400, "no\n").render(/*without_body*/ true))
            .expect("text");
        assert!(head.contains("Content-Length: 3\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        let upgrade =
            String::from_utf8(Answer::new(/*status*/ 426, "").render(/*without_body*/ false)).expect("text");
        assert!(upgrade.contains("Upgrade: websocket\r\n"), "{upgrade}");
    }
}
