//! Signed bearer tokens: JSON Web Tokens with HS256 and nothing else.
//!
//! jwt-simple checks form, algorithm and signature. The claims are checked here, because the protocol's rules
//! differ from the library's: `exp` is required, the skew is the operator's, and each refusal has its text.

use jwt_simple::algorithms::{HS256Key, MACLike};
use jwt_simple::common::VerificationOptions;
use jwt_simple::prelude::{Duration, UnixTimeStamp};
use jwt_simple::reexports::ct_codecs::{Base64UrlSafeNoPadding, Decoder};
use serde::Deserialize;

use crate::config::net::auth::SignedConfig;

const INVALID: &str = "invalid websocket jwt";

/// The key, and what the claims have to say.
pub(crate) struct Signed {
    key: HS256Key,
    issuer: Option<String>,
    audience: Option<String>,
    skew_s: i64,
}

#[derive(Deserialize)]
struct Claims {
    exp: i64,
    #[serde(default)]
    nbf: Option<i64>,
    #[serde(default)]
    iss: Option<String>,
    #[serde(default)]
    aud: Option<Audience>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Signed {
    pub(crate) fn new(secret: &[u8], config: &SignedConfig) -> Self {
        Self {
            key: HS256Key::from_bytes(secret),
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            skew_s: config.max_clock_skew_seconds,
        }
    }

    /// Checks a token at `now_s`, Unix time in seconds.
    pub(crate) fn check(&self, token: &str, now_s: i64) -> Result<(), &'static str> {
        // With the clock at zero and the future accepted, no time claim is the library's business.
        let options = VerificationOptions {
            accept_future: true,
            artificial_time: Some(UnixTimeStamp::from_secs(0)),
            time_tolerance: Some(Duration::from_secs(0)),
            ..VerificationOptions::default()
        };
        self.key.verify_token::<serde::de::IgnoredAny>(token, Some(options)).map_err(|_| INVALID)?;
        let payload = token.split('.').nth(1).ok_or(INVALID)?;
        let payload = Base64UrlSafeNoPadding::decode_to_vec(payload, None).map_err(|_| INVALID)?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| INVALID)?;
        self.check_claims(&claims, now_s)
    }

    fn check_claims(&self, claims: &Claims, now_s: i64) -> Result<(), &'static str> {
        if now_s > claims.exp.saturating_add(self.skew_s) {
            return Err("expired websocket jwt");
        }
        if claims.nbf.is_some_and(|nbf| now_s < nbf.saturating_sub(self.skew_s)) {
            return Err("websocket jwt is not valid yet");
        }
        if self.issuer.is_some() && claims.iss != self.issuer {
            return Err("websocket jwt issuer mismatch");
        }
        let Some(wanted) = &self.audience else { return Ok(()) };
        let is_meant = match &claims.aud {
            None => false,
            Some(Audience::One(one)) => one == wanted,
            Some(Audience::Many(many)) => many.contains(wanted),
        };
        if is_meant { Ok(()) } else { Err("websocket jwt audience mismatch") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jwt_simple::reexports::ct_codecs::Encoder;
    use serde_json::{Value, json};

    const SECRET: &[u8] = b"a secret of at least 32 bytes, really";
    const NOW_S: i64 = 1_700_000_000;

    /// HMAC-SHA-256 by RFC 2104, so that the tokens are not made by the library that checks them.
    fn sign(secret: &[u8], text: &str) -> String {
        use sha2::{Digest, Sha256};
        let mut block = [0_u8; 64];
        block[..secret.len()].copy_from_slice(secret);
        let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(text).finalize();
        let outer = Sha256::new().chain_update(block.map(|byte| byte ^ 0x5C)).chain_update(inner).finalize();
        encode(&outer)
    }

    fn encode(bytes: &[u8]) -> String {
        Base64UrlSafeNoPadding::encode_to_string(bytes).expect("it encodes")
    }

    fn token(secret: &[u8], header: &Value, claims: &Value) -> String {
        let text =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        format!("{text}.{}", sign(secret, &text))
    }

    fn signed(issuer: Option<&str>, audience: Option<&str>) -> Signed {
        let config = SignedConfig {
            secret_file: "/s".into(),
            issuer: issuer.map(str::to_owned),
            audience: audience.map(str::to_owned),
            max_clock_skew_seconds: 30,
        };
        Signed::new(SECRET, &config)
    }

    fn check(signed: &Signed, claims: &Value) -> Result<(), &'static str> {
        signed.check(&token(SECRET, &json!({"alg": "HS256", "typ": "JWT"}), claims), NOW_S)
    }

    #[test]
    fn claims_are_checked_with_the_skew() {
        let plain = signed(/*issuer*/ None, /*audience*/ None);
        let table = [
            (json!({"exp": NOW_S + 60}), Ok(())),
            (json!({"exp": NOW_S - 30}), Ok(())),
            (json!({"exp": NOW_S - 31}), Err("expired websocket jwt")),
            (json!({"exp": i64::MAX}), Ok(())),
            (json!({"exp": NOW_S, "nbf": NOW_S + 30}), Ok(())),
            (json!({"exp": NOW_S, "nbf": NOW_S + 31}), Err("websocket jwt is not valid yet")),
            (json!({"exp": NOW_S, "iat": NOW_S + 9_999_999}), Ok(())),
            (json!({"exp": NOW_S, "iss": "anyone", "aud": "anything"}), Ok(())),
            (json!({}), Err(INVALID)),
            (json!({"exp": 1.5e9}), Err(INVALID)),
            (json!({"exp": NOW_S.to_string()}), Err(INVALID)),
            (json!([]), Err(INVALID)),
        ];
        for (claims, expected) in table {
            assert_eq!(check(&plain, &claims), expected, "{claims}");
        }
    }

    #[test]
    fn issuer_and_audience_are_checked_if_they_are_configured() {
        let strict = signed(Some("me"), Some("you"));
        let table = [
            (json!({"exp": NOW_S, "iss": "me", "aud": "you"}), Ok(())),
            (json!({"exp": NOW_S, "iss": "me", "aud": ["we", "you"]}), Ok(())),
            (json!({"exp": NOW_S, "iss": "he", "aud": "you"}), Err("websocket jwt issuer mismatch")),
            (json!({"exp": NOW_S, "aud": "you"}), Err("websocket jwt issuer mismatch")),
            (json!({"exp": NOW_S, "iss": "me", "aud": "them"}), Err("websocket jwt audience mismatch")),
            (json!({"exp": NOW_S, "iss": "me", "aud": []}), Err("websocket jwt audience mismatch")),
            (json!({"exp": NOW_S, "iss": "me"}), Err("websocket jwt audience mismatch")),
        ];
        for (claims, expected) in table {
            assert_eq!(check(&strict, &claims), expected, "{claims}");
        }
    }

    #[test]
    fn only_hs256_with_our_key_over_these_bytes_passes() {
        let plain = signed(/*issuer*/ None, /*audience*/ None);
        let claims = json!({"exp": NOW_S + 60});
        let good = token(SECRET, &json!({"alg": "HS256"}), &claims);
        assert_eq!(plain.check(&good, NOW_S), Ok(()), "`typ` may be missing");
        let text = good.rsplit_once('.').expect("three parts").0;
        let later = encode(json!({"exp": NOW_S + 9_999}).to_string().as_bytes());
        let parts: Vec<&str> = good.split('.').collect();
        let bad = [
            token(b"another secret of at least 32 bytes...", &json!({"alg": "HS256"}), &claims),
            token(SECRET, &json!({"alg": "none"}), &claims),
            token(SECRET, &json!({"alg": "HS512"}), &claims),
            token(SECRET, &json!({"alg": "hs256"}), &claims),
            token(SECRET, &json!({}), &claims),
            format!("{text}."),
            text.to_owned(),
            format!("{}.{later}.{}", parts[0], parts[2]),
            format!("{good}."),
            "a.b.c".to_owned(),
            String::new(),
        ];
        for token in bad {
            assert_eq!(plain.check(&token, NOW_S), Err(INVALID), "{token}");
        }
    }
}
