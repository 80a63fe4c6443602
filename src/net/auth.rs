//! Checks a request's `Authorization` before a WebSocket exists.
//!
//! Secrets are read once at the start and never leave this module: no log line, no error text, no debug form
//! holds one. It runs on the connection's reader.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::head::Authorization;
use super::http::Answer;
use crate::config::net::auth::{AuthConfig, TokenSource};
use crate::error::StartError;
use crate::limits;

/// A loaded policy.
pub(crate) enum Authenticator {
    /// Everyone may enter.
    Off,
    /// Whoever has the token with this SHA-256.
    Capability([u8; 32]),
    /// Whoever has a good signed token.
    #[cfg(feature = "jwt")]
    Signed(Box<super::jwt::Signed>),
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "Off",
            Self::Capability(_) => "Capability(…)",
            #[cfg(feature = "jwt")]
            Self::Signed(_) => "Signed(…)",
        })
    }
}

impl Authenticator {
    /// Reads what the policy needs.
    pub(crate) fn load(config: &AuthConfig) -> Result<Self, StartError> {
        match config {
            AuthConfig::Off => Ok(Self::Off),
            AuthConfig::Capability(TokenSource::Sha256(digest)) => Ok(Self::Capability(*digest)),
            AuthConfig::Capability(TokenSource::File(path)) => {
                Ok(Self::Capability(Sha256::digest(read_secret(path)?.as_bytes()).into()))
            }
            #[cfg(feature = "jwt")]
            AuthConfig::Signed(signed) => {
                let secret = read_secret(&signed.secret_file)?;
                if secret.len() < limits::AUTH_SECRET_BYTES_MIN {
                    return Err(StartError::Other(format!(
                        "signed websocket bearer secret {} must be at least {} bytes",
                        signed.secret_file.display(),
                        limits::AUTH_SECRET_BYTES_MIN
                    )));
                }
                Ok(Self::Signed(Box::new(super::jwt::Signed::new(secret.as_bytes(), signed))))
            }
            #[cfg(not(feature = "jwt"))]
            AuthConfig::Signed(_) => {
                Err(StartError::Other("signed websocket tokens are not in this build".to_owned()))
            }
        }
    }

    /// True if nobody is asked.
    pub(crate) fn is_off(&self) -> bool {
        matches!(self, Self::Off)
    }

    /// Lets a request in, or says why not; `now_s` is Unix time in seconds.
    pub(crate) fn check(&self, header: &Authorization, now_s: i64) -> Result<(), Answer> {
        let outcome = match self {
            Self::Off => Ok(()),
            Self::Capability(digest) => bearer(header).and_then(|token| {
                let presented: [u8; 32] = Sha256::digest(token.as_bytes()).into();
                if bool::from(presented.ct_eq(digest)) {
                    Ok(())
                } else {
                    Err("invalid websocket bearer token")
                }
            }),
            #[cfg(feature = "jwt")]
            Self::Signed(signed) => bearer(header).and_then(|token| signed.check(token, now_s)),
        };
        #[cfg(not(feature = "jwt"))]
        let _ = now_s;
        outcome.map_err(|text| Answer::new(/*status*/ 401, text).with("WWW-Authenticate", "Bearer"))
    }
}

/// The token of `Bearer TOKEN`.
fn bearer(header: &Authorization) -> Result<&str, &'static str> {
    let value = match header {
        Authorization::Missing => return Err("missing websocket bearer token"),
        Authorization::Unusable => return Err("invalid authorization header"),
        Authorization::Value(value) => value.trim(),
    };
    match value.split_once(' ').map(|(scheme, token)| (scheme, token.trim())) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() => Ok(token),
        _ => Err("invalid authorization header"),
    }
}

/// A secret from a file, without the white space around it.
fn read_secret(path: &Path) -> Result<String, StartError> {
    let failed = |error: std::io::Error| {
        StartError::Other(format!("failed to read websocket auth secret {}: {error}", path.display()))
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    // Not the group's bit: with an access list, as of a systemd credential, it says nothing about the group.
    if mode & 0o004 != 0 {
        tracing::warn!(
            path = %path.display(),
            mode = format_args!("{:o}", mode & 0o777),
            "other users can read this websocket auth secret; `chmod 600` it"
        );
    }
    let mut text = String::new();
    file.take(limits::AUTH_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > limits::AUTH_FILE_BYTES_MAX {
        return Err(StartError::Other(format!("websocket auth secret {} is too large", path.display())));
    }
    let text = text.trim();
    if text.is_empty() {
        return Err(StartError::Other(format!("websocket auth secret {} must not be empty", path.display())));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Authorization {
        Authorization::Value(text.into())
    }

    fn temporary(name: &str, content: &[u8]) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("app-server-auth-{}-{name}", std::process::id()));
        std::fs::write(&path, content).expect("a file");
        path
    }

    #[test]
    fn the_capability_matrix() {
        let path = temporary("token", b"  the-token\n");
        let from_file = Authenticator::load(&AuthConfig::Capability(TokenSource::File(path.clone())));
        std::fs::remove_file(path).expect("it is there");
        let digest = Sha256::digest(b"the-token").into();
        let from_digest = Authenticator::load(&AuthConfig::Capability(TokenSource::Sha256(digest)));
        for auth in [from_file, from_digest] {
            let auth = auth.expect("it loads");
            let table = [
                (Authorization::Missing, "missing websocket bearer token"),
                (Authorization::Unusable, "invalid authorization header"),
                (value("the-token"), "invalid authorization header"),
                (value("Basic the-token"), "invalid authorization header"),
                (value("Bearer"), "invalid authorization header"),
                (value("Bearer  "), "invalid authorization header"),
                (value("Bearer the-tokem"), "invalid websocket bearer token"),
                (value("Bearer the-token2"), "invalid websocket bearer token"),
            ];
            for (header, text) in table {
                let answer = auth.check(&header, /*now_s*/ 0).expect_err("a refusal");
                assert_eq!((answer.status, &*answer.text), (401, text), "{header:?}");
                assert_eq!(answer.headers, [("WWW-Authenticate", "Bearer")]);
            }
            for good in ["Bearer the-token", "bearer   the-token ", "BEARER the-token"] {
                assert_eq!(auth.check(&value(good), /*now_s*/ 0), Ok(()), "{good}");
            }
        }
        assert_eq!(Authenticator::Off.check(&Authorization::Missing, /*now_s*/ 0), Ok(()));
    }

    #[test]
    fn a_secret_file_that_is_no_use_is_an_error_with_its_path() {
        let load = |path: &Path| {
            let config = AuthConfig::Capability(TokenSource::File(path.to_owned()));
            Authenticator::load(&config).expect_err("no use").to_string()
        };
        let missing = load(Path::new("/nonexistent/token"));
        assert!(missing.contains("failed to read websocket auth secret /nonexistent/token"), "{missing}");
        assert!(load(Path::new("/")).contains("failed to read websocket auth secret /"));
        for (name, content, text) in [
            ("empty", &b""[..], "must not be empty"),
            ("blank", b" \n\t", "must not be empty"),
            ("binary", b"\xFF\xFE", "failed to read"),
            ("large", &[b'x'; 70_000], "is too large"),
        ] {
            let path = temporary(name, content);
            let error = load(&path);
            std::fs::remove_file(path).expect("it is there");
            assert!(error.contains(text), "{name}: {error}");
        }
    }

    #[test]
    fn debug_forms_hold_no_secret() {
        let text = format!("{:?} {:?}", Authenticator::Capability([7; 32]), value("Bearer s3cret"));
        assert!(!text.contains('7') && !text.contains("s3cret"), "{text}");
    }
}
