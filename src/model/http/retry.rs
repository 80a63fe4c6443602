//! When a request is sent again.

use std::time::{Duration, SystemTime};

use ureq::http::HeaderMap;
use uuid::Uuid;

use crate::limits::{MODEL_RETRY_PAUSE, MODEL_RETRY_PAUSE_MAX};

/// The pause before try number `retry` (the first again is 1): doubling, with a tenth of jitter either way,
/// so that many turns that failed together do not come back together.
#[must_use]
pub fn retry_pause(retry: u32) -> Duration {
    let doublings = retry.saturating_sub(1).min(16);
    let pause = MODEL_RETRY_PAUSE.saturating_mul(1 << doublings).min(MODEL_RETRY_PAUSE_MAX);
    let random = f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
    pause.mul_f64(0.9 + 0.2 * random)
}

/// When the provider wants to be asked again (`retry-after-ms`, or RFC 9110, section 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |name: &str| text(name).and_then(|text| text.parse::<f64>().ok());
    if let Some(ms) = number("retry-after-ms") {
        return Duration::try_from_secs_f64(ms / 1000.0).ok();
    }
    if let Some(seconds) = number("retry-after") {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(text("retry-after")?).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// The provider's word on whether the request makes sense again.
pub(super) fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get("x-should-retry")?.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_maximum() {
        for (retry, ms) in [(1, 200.0), (2, 400.0), (4, 1600.0), (7, 10_000.0), (u32::MAX, 10_000.0)] {
            let pause = retry_pause(retry).as_secs_f64() * 1000.0;
            assert!((ms * 0.899..=ms * 1.101).contains(&pause), "{retry}: {pause}");
        }
    }

    #[test]
    fn a_wish_is_read_in_each_of_its_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_700);
        let read = |name: &'static str, value: &'static str| {
            let headers =
                HeaderMap::from_iter([(name.parse().expect("a name"), value.parse().expect("a value"))]);
            (retry_after(&headers, now), should_retry(&headers))
        };
        assert_eq!(read("retry-after", "2").0, Some(Duration::from_secs(2)));
        assert_eq!(read("retry-after", " 0.5").0, Some(Duration::from_millis(500)));
        assert_eq!(read("retry-after-ms", "1500").0, Some(Duration::from_millis(1500)));
        assert_eq!(read("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT").0, Some(Duration::from_secs(77)));
        assert_eq!(read("retry-after", "Tue, 06 Nov 1990 08:49:37 GMT").0, Some(Duration::ZERO));
        for odd in ["-1", "soon", "", "NaN"] {
            assert_eq!(read("retry-after", odd).0, None, "{odd}");
        }
        assert_eq!(read("x-should-retry", "false"), (None, Some(false)));
        assert_eq!(read("x-should-retry", "true").1, Some(true));
    }
}
