//! Reads one HTTP request head, bounded in bytes and header lines.
//!
//! It keeps only what the front door asks about; it knows no route and no answer. It runs on the connection's
//! reader. The time a client may take is not its business: the caller's deadline shuts the socket down, which
//! ends the read.

use std::io::{self, Read};

use crate::limits;

/// What the server wants to know of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Head {
    /// The method, as it came.
    pub(crate) method: Box<str>,
    /// The request target, as it came.
    pub(crate) target: Box<str>,
    /// HTTP/1.*minor*.
    pub(crate) minor: u8,
    /// True if there is an `Origin` header: a web page is asking.
    pub(crate) has_origin: bool,
    /// True if a body is announced.
    pub(crate) has_body: bool,
    /// True if `Connection` lists `upgrade`.
    pub(crate) connection_upgrade: bool,
    /// True if `Upgrade` lists `websocket`.
    pub(crate) upgrade_websocket: bool,
    /// True if `Sec-WebSocket-Version` is 13.
    pub(crate) version_13: bool,
    /// `Sec-WebSocket-Key`.
    pub(crate) key: Option<Box<str>>,
    /// `Authorization`.
    pub(crate) authorization: Authorization,
}

/// The `Authorization` header.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) enum Authorization {
    /// There is none.
    #[default]
    Missing,
    /// It is not text, or there are several.
    Unusable,
    /// Its value; never to be logged.
    Value(Box<str>),
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Missing => "Missing",
            Self::Unusable => "Unusable",
            Self::Value(_) => "Value(…)",
        })
    }
}

/// Why there is no head.
#[derive(Debug)]
pub(crate) enum HeadError {
    /// The client left, or its time is over, before the head was whole.
    Ended,
    /// More bytes or header lines than allowed.
    TooLarge(&'static str),
    /// Not HTTP/1.
    Malformed(httparse::Error),
    /// The socket failed.
    Io(io::Error),
}

/// Reads a head from `stream`. Gives also the bytes that came after it.
pub(crate) fn read_head(stream: &mut impl Read) -> Result<(Head, Vec<u8>), HeadError> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut looked_at = 0;
    loop {
        let filled = bytes.len();
        let room = (filled + limits::HEAD_CHUNK_BYTES).min(limits::HEAD_BYTES_MAX);
        if filled == room {
            return Err(HeadError::TooLarge("the request head is larger than 16 KiB"));
        }
        bytes.resize(room, 0);
        let size = match stream.read(&mut bytes[filled..]) {
            Ok(0) => return Err(HeadError::Ended),
            Ok(size) => size,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(HeadError::Io(error)),
        };
        bytes.truncate(filled + size);
        // The first bytes are parsed at once, so that what is not HTTP is refused at once. After that only an
        // empty line can make the head whole, and a client that drips bytes costs no more than their number.
        if (filled == 0 || has_empty_line(&bytes[looked_at..]))
            && let Some((head, length)) = parse_head(&bytes)?
        {
            return Ok((head, bytes.split_off(length)));
        }
        looked_at = bytes.len().saturating_sub(3);
    }
}

/// Parses a head at the start of `bytes`: the head and its length, or nothing yet.
pub(crate) fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, HeadError> {
    let mut headers = [httparse::EMPTY_HEADER; limits::HEAD_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(HeadError::TooLarge("the request has more than 64 header lines"));
        }
        Err(error) => return Err(HeadError::Malformed(error)),
    };
    let mut head = Head {
        method: request.method.unwrap_or_default().into(),
        target: request.path.unwrap_or_default().into(),
        minor: request.version.unwrap_or_default(),
        ..Head::default()
    };
    for header in request.headers.iter() {
        head.take(header.name, header.value);
    }
    Ok(Some((head, length)))
}

impl Head {
    /// The target without its query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn take(&mut self, name: &str, value: &[u8]) {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("origin") {
            self.has_origin = true;
        } else if is("connection") {
            self.connection_upgrade |= lists(value, "upgrade");
        } else if is("upgrade") {
            self.upgrade_websocket |= lists(value, "websocket");
        } else if is("sec-websocket-version") {
            self.version_13 |= lists(value, "13");
        } else if is("sec-websocket-key") {
            self.key = std::str::from_utf8(value).ok().map(|key| key.trim().into());
        } else if is("transfer-encoding") {
            self.has_body = true;
        } else if is("content-length") {
            self.has_body |= value.trim_ascii() != b"0";
        } else if is("authorization") {
            self.authorization = match (&self.authorization, std::str::from_utf8(value)) {
                (Authorization::Missing, Ok(text)) if text.is_ascii() => Authorization::Value(text.into()),
                _ => Authorization::Unusable,
            };
        }
    }
}

/// True if the comma-separated `value` has `wanted`, in any case.
fn lists(value: &[u8], wanted: &str) -> bool {
    value.split(|&byte| byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
}

fn has_empty_line(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPGRADE: &str = "GET /rpc?x=1 HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\n\
        Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Authorization: Bearer t\r\n\r\n";

    /// Gives its bytes in pieces of one size.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.1.min(self.0.len()).min(buffer.len());
            buffer[..size].copy_from_slice(&self.0[..size]);
            self.0 = &self.0[size..];
            Ok(size)
        }
    }

    fn read(text: &[u8], piece: usize) -> Result<(Head, Vec<u8>), HeadError> {
        read_head(&mut Drip(text, piece))
    }

    #[test]
    fn a_head_is_the_same_in_pieces_of_any_size_and_the_rest_is_kept() {
        let text = format!("{UPGRADE}rest");
        let mut whole = None;
        for piece in [1, 2, 3, 7, 100, 10_000] {
            let (head, rest) = read(text.as_bytes(), piece).expect("a head");
            // What was not read yet is still in the socket.
            assert!("rest".as_bytes().starts_with(&rest), "piece {piece}");
            assert_eq!(whole.get_or_insert(head.clone()), &head, "piece {piece}");
        }
        let head = whole.expect("it was read");
        assert!(head.connection_upgrade && head.upgrade_websocket && head.version_13);
        assert!(!head.has_origin && !head.has_body);
        assert_eq!((&*head.method, head.path(), head.minor), ("GET", "/rpc", 1));
        assert_eq!(head.key.as_deref(), Some("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(head.authorization, Authorization::Value("Bearer t".into()));
    }

    #[test]
    fn heads_are_told_apart() {
        let head = |lines: &str| {
            let text = format!("GET / HTTP/1.1\r\n{lines}\r\n");
            read(text.as_bytes(), /*piece*/ 50).expect("a head").0
        };
        assert!(head("ORIGIN:\r\n").has_origin);
        assert!(head("content-length: 5\r\n").has_body && head("Transfer-Encoding: chunked\r\n").has_body);
        assert!(!head("Content-Length: 0\r\n").has_body);
        assert!(!head("Connection: upgraded\r\n").connection_upgrade);
        assert!(head("Connection: close\r\nConnection: upgrade\r\n").connection_upgrade);
        assert!(!head("Sec-WebSocket-Version: 8\r\n").version_13);
        assert_eq!(head("").authorization, Authorization::Missing);
        assert_eq!(head("Authorization: a\r\nAuthorization: b\r\n").authorization, Authorization::Unusable);
        assert_eq!(head("Authorization: Bearer \u{e4}\r\n").authorization, Authorization::Unusable);
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_held() {
        let long_line = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(limits::MIB));
        assert!(matches!(read(long_line.as_bytes(), /*piece*/ 4096), Err(HeadError::TooLarge(_))));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a:b\r\n".repeat(20_000));
        assert!(matches!(read(many.as_bytes(), /*piece*/ 4096), Err(HeadError::TooLarge(_))));
        let just_too_many = format!("GET / HTTP/1.1\r\n{}\r\n", "a:b\r\n".repeat(65));
        assert!(matches!(read(just_too_many.as_bytes(), /*piece*/ 4096), Err(HeadError::TooLarge(_))));
        let just_fits = format!("GET / HTTP/1.1\r\n{}\r\n", "a:b\r\n".repeat(64));
        assert!(read(just_fits.as_bytes(), /*piece*/ 4096).is_ok());
    }

    #[test]
    fn what_is_not_http_is_refused_at_once() {
        for text in [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"{\"id\":1}\n", b"SSH-2.0-x\r\n", b"\0\0\0\0"] {
            let result = read(text, /*piece*/ 100);
            assert!(matches!(result, Err(HeadError::Malformed(_))), "{text:?}: {result:?}");
        }
        assert!(matches!(read(b"GET / HT", /*piece*/ 100), Err(HeadError::Ended)));
        assert!(matches!(read(b"", /*piece*/ 100), Err(HeadError::Ended)));
    }

    #[test]
    fn random_bytes_never_panic_and_never_pass_the_limit() {
        for seed in 1..=500_u64 {
            let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mut next = || {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random
            };
            let mut text = if next() % 2 == 0 { UPGRADE.as_bytes().to_vec() } else { Vec::new() };
            for _ in 0..next() % 64 {
                let byte = next().to_le_bytes()[0];
                let at = usize::try_from(next()).unwrap_or(0) % (text.len() + 1);
                text.insert(at, byte);
            }
            let whole = read(&text, usize::MAX);
            let drip = read(&text, /*piece*/ 1);
            assert_eq!(whole.is_ok(), drip.is_ok(), "seed {seed}: {text:?}");
        }
    }
}
