//! Base64 by the widest instructions that this processor has: for output, input and files, of which there may
//! be gigabytes. What is small takes the crate's own engine.
//!
//! It may not know what is encoded.

use std::sync::LazyLock;

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use base64::engine::GeneralPurpose as Widest;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use base64::engine::Simd as Widest;
use base64::engine::general_purpose::PAD;

/// The standard alphabet with padding (RFC 4648, section 4).
pub static BASE64: LazyLock<Widest> = LazyLock::new(widest);

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn widest() -> Widest {
    Widest::standard(PAD)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn widest() -> Widest {
    Widest::new(&base64::alphabet::STANDARD, PAD)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn every_length_is_encoded_as_by_the_plain_engine() {
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(1_000).collect();
        for end in 0..bytes.len() {
            let (quick, plain) = (BASE64.encode(&bytes[..end]), STANDARD.encode(&bytes[..end]));
            assert_eq!(quick, plain);
            assert_eq!(BASE64.decode(quick).expect("it is Base64"), &bytes[..end]);
        }
    }

    #[test]
    fn what_is_wrong_is_told_as_by_the_plain_engine() {
        let right = STANDARD.encode([7; 150]);
        for at in 0..right.len() {
            for wrong in ['%', '=', '-', '\n', 'ä'] {
                let text = format!("{}{wrong}{}", &right[..at], &right[at + 1..]);
                assert_eq!(BASE64.decode(&text), STANDARD.decode(&text), "{text}");
            }
            assert_eq!(BASE64.decode(&right[..at]), STANDARD.decode(&right[..at]), "{at}");
        }
    }
}
