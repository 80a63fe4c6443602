//! Who may open a WebSocket: from the `--ws-…` flags to a policy, without touching a file.
//!
//! The texts are the reference's, because operators search for them.

use std::path::PathBuf;

use crate::error::StartError;
use crate::limits;

/// The auth flags as they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthFlags {
    /// `--ws-auth MODE`.
    pub mode: Option<String>,
    /// `--ws-token-file PATH`.
    pub token_file: Option<PathBuf>,
    /// `--ws-token-sha256 HEX`.
    pub token_sha256: Option<String>,
    /// `--ws-shared-secret-file PATH`.
    pub shared_secret_file: Option<PathBuf>,
    /// `--ws-issuer NAME`.
    pub issuer: Option<String>,
    /// `--ws-audience NAME`.
    pub audience: Option<String>,
    /// `--ws-max-clock-skew-seconds N`.
    pub max_clock_skew_seconds: Option<u64>,
}

/// Who may open a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AuthConfig {
    /// Everyone who can connect.
    #[default]
    Off,
    /// Whoever has the token.
    Capability(TokenSource),
    /// Whoever has a token signed with the shared secret.
    Signed(SignedConfig),
}

/// Where the capability token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A file that holds it.
    File(PathBuf),
    /// Only its SHA-256 is known here.
    Sha256([u8; 32]),
}

/// What a signed token has to satisfy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedConfig {
    /// The file with the shared secret.
    pub secret_file: PathBuf,
    /// The `iss` claim that is asked for.
    pub issuer: Option<String>,
    /// The `aud` claim that is asked for.
    pub audience: Option<String>,
    /// How far the clocks may differ, in seconds.
    pub max_clock_skew_seconds: i64,
}

impl AuthConfig {
    /// Understands the flags.
    ///
    /// # Errors
    /// Flags that do not belong together or are missing; the text names them.
    pub fn from_flags(flags: &AuthFlags) -> Result<Self, StartError> {
        let has_token_flags = flags.token_file.is_some() || flags.token_sha256.is_some();
        let has_signed_flags = flags.shared_secret_file.is_some()
            || flags.issuer.is_some()
            || flags.audience.is_some()
            || flags.max_clock_skew_seconds.is_some();
        match flags.mode.as_deref() {
            None if has_token_flags || has_signed_flags => usage(
                "websocket auth flags require `--ws-auth capability-token` or \
                 `--ws-auth signed-bearer-token`",
            ),
            None => Ok(Self::Off),
            Some("capability-token") if has_signed_flags => usage(
                "`--ws-shared-secret-file`, `--ws-issuer`, `--ws-audience`, and \
                 `--ws-max-clock-skew-seconds` require `--ws-auth signed-bearer-token`",
            ),
            Some("capability-token") => token_source(flags).map(Self::Capability),
            Some("signed-bearer-token") if has_token_flags => usage(
                "`--ws-token-file` and `--ws-token-sha256` require `--ws-auth capability-token`, not \
                 `signed-bearer-token`",
            ),
            Some("signed-bearer-token") if cfg!(not(feature = "jwt")) => usage(
                "`--ws-auth signed-bearer-token` is not in this build: it was made without the feature `jwt`",
            ),
            Some("signed-bearer-token") => signed(flags).map(Self::Signed),
            Some(other) => usage(&format!(
                "invalid value `{other}` for `--ws-auth`; expected `capability-token` or \
                 `signed-bearer-token`"
            )),
        }
    }
}

fn token_source(flags: &AuthFlags) -> Result<TokenSource, StartError> {
    match (&flags.token_file, &flags.token_sha256) {
        (Some(file), None) => Ok(TokenSource::File(file.clone())),
        (None, Some(hex)) => match digest(hex.trim()) {
            Some(digest) => Ok(TokenSource::Sha256(digest)),
            None => usage("`--ws-token-sha256` must be a 64-character hex SHA-256 digest"),
        },
        (Some(_), Some(_)) => usage("`--ws-token-file` and `--ws-token-sha256` are mutually exclusive"),
        (None, None) => usage(
            "`--ws-token-file` or `--ws-token-sha256` is required when `--ws-auth capability-token` is set",
        ),
    }
}

fn signed(flags: &AuthFlags) -> Result<SignedConfig, StartError> {
    let Some(secret_file) = flags.shared_secret_file.clone() else {
        return usage("`--ws-shared-secret-file` is required when `--ws-auth signed-bearer-token` is set");
    };
    let skew = flags.max_clock_skew_seconds.unwrap_or(limits::AUTH_CLOCK_SKEW.as_secs());
    let Ok(max_clock_skew_seconds) = i64::try_from(skew) else {
        return usage("`--ws-max-clock-skew-seconds` must fit in a signed 64-bit integer");
    };
    let set = |text: &Option<String>| {
        text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let (issuer, audience) = (set(&flags.issuer), set(&flags.audience));
    Ok(SignedConfig { secret_file, issuer, audience, max_clock_skew_seconds })
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(digest)
}

fn usage<T>(text: &str) -> Result<T, StartError> {
    Err(StartError::Usage(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `mode key=value …` as flags.
    fn parse(line: &str) -> Result<AuthConfig, String> {
        let mut flags = AuthFlags::default();
        for word in line.split('|').filter(|word| !word.is_empty()) {
            match word.split_once('=') {
                Some(("file", value)) => flags.token_file = Some(value.into()),
                Some(("sha", value)) => flags.token_sha256 = Some(value.into()),
                Some(("secret", value)) => flags.shared_secret_file = Some(value.into()),
                Some(("iss", value)) => flags.issuer = Some(value.into()),
                Some(("aud", value)) => flags.audience = Some(value.into()),
                Some(("skew", value)) => {
                    flags.max_clock_skew_seconds = Some(value.parse().expect("a number"))
                }
                _ => flags.mode = Some(word.to_owned()),
            }
        }
        AuthConfig::from_flags(&flags).map_err(|error| error.to_string())
    }

    #[test]
    fn every_misuse_names_its_flag() {
        let (long, short) = ("ab".repeat(32), "abcd");
        let table = [
            ("file=/t".to_owned(), "flags require `--ws-auth"),
            (format!("sha={long}"), "flags require `--ws-auth"),
            ("secret=/s".to_owned(), "flags require `--ws-auth"),
            ("iss=x".to_owned(), "flags require `--ws-auth"),
            ("aud=x".to_owned(), "flags require `--ws-auth"),
            ("skew=1".to_owned(), "flags require `--ws-auth"),
            ("capability-token".to_owned(), "`--ws-token-file` or `--ws-token-sha256` is required"),
            (format!("capability-token|file=/t|sha={long}"), "mutually exclusive"),
            (format!("capability-token|sha={short}"), "`--ws-token-sha256` must be a 64-character hex"),
            (format!("capability-token|sha={}", "z".repeat(64)), "`--ws-token-sha256` must be"),
            (format!("capability-token|sha={}", "é".repeat(32)), "`--ws-token-sha256` must be"),
            ("capability-token|file=/t|secret=/s".to_owned(), "require `--ws-auth signed-bearer-token`"),
            ("capability-token|file=/t|iss=x".to_owned(), "require `--ws-auth signed-bearer-token`"),
            ("capability-token|file=/t|aud=x".to_owned(), "require `--ws-auth signed-bearer-token`"),
            ("capability-token|file=/t|skew=5".to_owned(), "require `--ws-auth signed-bearer-token`"),
            ("signed-bearer-token|secret=/s|file=/t".to_owned(), "require `--ws-auth capability-token`"),
            (format!("signed-bearer-token|secret=/s|sha={long}"), "require `--ws-auth capability-token`"),
            ("bogus".to_owned(), "invalid value `bogus` for `--ws-auth`"),
        ];
        for (line, text) in table {
            let error = parse(&line).expect_err(&line);
            assert!(error.contains(text), "{line}: {error}");
        }
    }

    #[test]
    fn good_flags_become_a_policy() {
        assert_eq!(parse(""), Ok(AuthConfig::Off));
        assert_eq!(
            parse("capability-token|file=t"),
            Ok(AuthConfig::Capability(TokenSource::File("t".into())))
        );
        for hex in ["ab".repeat(32), "AB".repeat(32), format!(" {} ", "aB".repeat(32))] {
            let expected = AuthConfig::Capability(TokenSource::Sha256([0xAB; 32]));
            assert_eq!(parse(&format!("capability-token|sha={hex}")), Ok(expected));
        }
    }

    #[cfg(feature = "jwt")]
    #[test]
    fn signed_flags_are_trimmed_and_have_a_default_skew() {
        let signed = |issuer: Option<&str>, audience: Option<&str>, skew| {
            Ok(AuthConfig::Signed(SignedConfig {
                secret_file: "/s".into(),
                issuer: issuer.map(str::to_owned),
                audience: audience.map(str::to_owned),
                max_clock_skew_seconds: skew,
            }))
        };
        assert_eq!(parse("signed-bearer-token|secret=/s"), signed(None, None, 30));
        assert_eq!(parse("signed-bearer-token|secret=/s|iss= a |aud=  |skew=0"), signed(Some("a"), None, 0));
        assert_eq!(parse("signed-bearer-token|secret=/s|iss=|aud=b"), signed(None, Some("b"), 30));
        let error = parse("signed-bearer-token").expect_err("no secret");
        assert!(error.contains("`--ws-shared-secret-file` is required"), "{error}");
        let error = parse("signed-bearer-token|secret=/s|skew=9223372036854775808").expect_err("too large");
        assert!(error.contains("`--ws-max-clock-skew-seconds` must fit"), "{error}");
    }

    #[cfg(not(feature = "jwt"))]
    #[test]
    fn without_the_feature_the_signed_mode_is_refused() {
        let error = parse("signed-bearer-token|secret=/s").expect_err("not in this build");
        assert!(error.contains("feature `jwt`"), "{error}");
    }
}
