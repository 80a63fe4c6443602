//! Writing from several places at once: nothing is copied to put it together, and where there is room it is
//! one system call.
//!
//! It runs on writers and knows nothing of what is written.

use std::io::{self, ErrorKind, IoSlice, Write};

/// Writes all that is left. After an error that is what was not written, so that one can go on.
pub(super) fn write_slices(out: &mut impl Write, left: &mut &mut [IoSlice<'_>]) -> io::Result<()> {
    // Empty ones in front would make it look as if nothing could be written.
    IoSlice::advance_slices(left, 0);
    while !left.is_empty() {
        match out.write_vectored(left) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(size) => IoSlice::advance_slices(left, size),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
