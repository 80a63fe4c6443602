//! The head reader: whatever arrives, in pieces of whatever size, ends in a head or in a refusal, and the
//! size of the pieces makes no difference.

#![no_main]

use app_server::net::fuzzing::{Outcome, head_outcome};
use libfuzzer_sys::fuzz_target;

const HEAD_BYTES_MAX: usize = app_server::limits::HEAD_BYTES_MAX;

fuzz_target!(|bytes: &[u8]| {
    let whole = head_outcome(bytes, usize::MAX);
    for piece in [1, 7, 1000] {
        let pieces = head_outcome(bytes, piece);
        match (&whole, &pieces) {
            (Outcome::Head { head, length }, Outcome::Head { head: other, length: other_length }) => {
                assert_eq!((head, length), (other, other_length), "pieces of {piece}");
            }
            // Why there is no head may differ: a client that drips may have ended before it was found out.
            (Outcome::Refused(_), Outcome::Refused(_)) => {}
            _ => panic!("whole: {whole:?}, in pieces of {piece}: {pieces:?}"),
        }
    }
    if let Outcome::Head { length, .. } = whole {
        assert!(length <= bytes.len() && length <= HEAD_BYTES_MAX, "{length} of {}", bytes.len());
        assert!(bytes[..length].ends_with(b"\n\r\n") || bytes[..length].ends_with(b"\n\n"), "where it ends");
        // What comes behind the head does not change it, and without its last byte it is none.
        assert_eq!(head_outcome(&bytes[..length], usize::MAX), whole, "the head alone");
        let cut = head_outcome(&bytes[..length - 1], usize::MAX);
        assert!(matches!(cut, Outcome::Refused(_)), "a head without its end: {cut:?}");
    }
});
