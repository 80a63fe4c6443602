//! The head reader for the fuzz target in `tests/fuzz`; it is in no other build.

use std::io::{self, Read};

use super::head::{HeadError, read_head};

/// What became of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// They begin with a head.
    Head {
        /// What was understood of it, except for the authorization.
        head: String,
        /// Its length in bytes.
        length: usize,
    },
    /// They do not.
    Refused(String),
}

/// Reads a head from `bytes`, of which at most `piece` bytes arrive at once.
#[must_use]
pub fn head_outcome(bytes: &[u8], piece: usize) -> Outcome {
    let mut stream = Pieces { left: bytes, piece };
    match read_head(&mut stream) {
        Ok((head, rest)) => {
            let length = bytes.len() - stream.left.len() - rest.len();
            assert!(bytes[length..].starts_with(&rest), "what came behind the head was changed");
            Outcome::Head { head: format!("{head:?}"), length }
        }
        Err(error @ (HeadError::Ended | HeadError::TooLarge(_) | HeadError::Malformed(_))) => {
            Outcome::Refused(format!("{error:?}"))
        }
        Err(HeadError::Io(error)) => panic!("reading from memory failed: {error}"),
    }
}

struct Pieces<'a> {
    left: &'a [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.piece.min(self.left.len()).min(buffer.len());
        let (now, later) = self.left.split_at(size);
        buffer[..size].copy_from_slice(now);
        self.left = later;
        Ok(size)
    }
}
