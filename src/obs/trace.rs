//! Trace context (W3C Trace Context, level 1): which span of which trace something belongs to.
//!
//! A request's span descends from the one that the client names, else from the one in the environment of the
//! process, else it begins a trace. The context is a value and is handed on with the work: to the turn, to
//! the model call, to the tool and its command. So it arrives also when nobody logs spans.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use tracing::{Span, field};

/// Where a span is: its own id, that of its trace, and what the trace's beginner wants to be handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    trace_id: u128,
    span_id: u64,
    parent_span_id: Option<u64>,
    sampled: bool,
    state: Option<Arc<str>>,
}

/// A `traceparent` that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent of the form 00-TRACE_ID-SPAN_ID-FLAGS with ids that are not zero")]
pub struct BadCarrier;

/// Longest `tracestate` that is handed on, in bytes (W3C Trace Context, 3.3.1.5: at least 512 should be).
const STATE_BYTES_MAX: usize = 512;

impl Context {
    /// The context that a carrier names: the parent of what happens here.
    ///
    /// # Errors
    /// If `traceparent` is not one. An unusable `tracestate` is left out.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Result<Self, BadCarrier> {
        let mut parts = traceparent.trim().split('-');
        let mut next = |length: usize| {
            let part = parts.next().filter(|part| part.len() == length).ok_or(BadCarrier)?;
            // Upper case is not allowed, and a sign would pass the conversion.
            let is_hex = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if is_hex { Ok(part) } else { Err(BadCarrier) }
        };
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let more = parts.next().is_some();
        // A later version may have more parts; this one has not, and 255 is forbidden.
        if version == "ff" || (version == "00" && more) {
            return Err(BadCarrier);
        }
        let trace_id = u128::from_str_radix(trace, 16).map_err(|_| BadCarrier)?;
        let span_id = u64::from_str_radix(span, 16).map_err(|_| BadCarrier)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| BadCarrier)?;
        if trace_id == 0 || span_id == 0 {
            return Err(BadCarrier);
        }
        let state = tracestate
            .map(str::trim)
            .filter(|state| !state.is_empty() && state.len() <= STATE_BYTES_MAX)
            .filter(|state| state.bytes().all(|byte| matches!(byte, b' '..=b'~')))
            .map(Arc::from);
        Ok(Self { trace_id, span_id, parent_span_id: None, sampled: flags & 1 == 1, state })
    }

    /// What the environment says (`TRACEPARENT`, `TRACESTATE`), read once in the life of the process; a value
    /// that is none is warned about, once.
    #[must_use]
    pub fn of_environment() -> Option<&'static Self> {
        static FOUND: LazyLock<Option<Context>> = LazyLock::new(|| {
            let traceparent = std::env::var("TRACEPARENT").ok()?;
            let parsed = Context::parse(&traceparent, std::env::var("TRACESTATE").ok().as_deref());
            match &parsed {
                Ok(context) => tracing::debug!(traceparent = %context, "traces go on from the environment"),
                Err(error) => tracing::warn!(%error, "TRACEPARENT in the environment is ignored"),
            }
            parsed.ok()
        });
        FOUND.as_ref()
    }

    /// The beginning of a trace.
    #[must_use]
    pub fn root() -> Self {
        let trace_id = u128::from(random_id()) << 64 | u128::from(random_id());
        Self { trace_id, span_id: random_id(), parent_span_id: None, sampled: true, state: None }
    }

    /// A span below this one.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span_id: random_id(), parent_span_id: Some(self.span_id), ..self.clone() }
    }

    /// A span below `parent`, or the beginning of a trace.
    #[must_use]
    pub fn below(parent: Option<&Self>) -> Self {
        parent.map_or_else(Self::root, Self::child)
    }

    /// The trace's id: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> impl fmt::Display + use<> {
        Hex::<32>(self.trace_id)
    }

    /// The span's id: 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> impl fmt::Display + use<> {
        Hex::<16>(u128::from(self.span_id))
    }

    /// The id of the span above, if there is one.
    #[must_use]
    pub fn parent_span_id(&self) -> Option<impl fmt::Display + use<>> {
        self.parent_span_id.map(|id| Hex::<16>(u128::from(id)))
    }

    /// What is handed on beside it, unchanged.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Writes the ids into a span that has the fields `trace_id`, `span_id` and `parent_span_id`.
    pub fn record(&self, span: &Span) {
        if span.is_disabled() {
            return;
        }
        span.record("trace_id", field::display(self.trace_id()));
        if !self.sampled {
            // Who began the trace does not want it recorded.
            span.record("trace_flags", "00");
        }
        span.record("span_id", field::display(self.span_id()));
        if let Some(parent) = self.parent_span_id() {
            span.record("parent_span_id", field::display(parent));
        }
    }
}

/// As `traceparent`.
impl fmt::Display for Context {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "00-{}-{}-{:02x}", self.trace_id(), self.span_id(), u8::from(self.sampled))
    }
}

struct Hex<const WIDTH: usize>(u128);

impl<const WIDTH: usize> fmt::Display for Hex<WIDTH> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:0WIDTH$x}", self.0)
    }
}

/// An id that is not zero. A counter from a random start through a mixing function (splitmix64): all ids of a
/// process differ, those of two processes do by chance, and none costs a system call.
fn random_id() -> u64 {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| {
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        AtomicU64::new(high ^ low)
    });
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut id = NEXT.fetch_add(STEP, Ordering::Relaxed);
    id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (id ^ (id >> 31)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-11111111111111111111111111111111-2222222222222222-01";

    #[test]
    fn a_carrier_comes_back_as_it_was() {
        let context = Context::parse(PARENT, Some(" a=1 ")).expect("it is one");
        assert_eq!(context.to_string(), PARENT);
        assert_eq!(context.state(), Some("a=1"));
        let unsampled =
            Context::parse(&PARENT.replace("-01", "-00"), /*tracestate*/ None).expect("it is one");
        assert!(unsampled.to_string().ends_with("-00"));
    }

    #[test]
    fn what_is_no_carrier_is_refused() {
        for bad in [
            "",
            "00-11111111111111111111111111111111-2222222222222222",
            "00-00000000000000000000000000000000-2222222222222222-01",
            "00-11111111111111111111111111111111-0000000000000000-01",
            "00-1111111111111111111111111111111g-2222222222222222-01",
            "00-1111111111111111111111111111111A-2222222222222222-01",
            "00-+1111111111111111111111111111111-2222222222222222-01",
            "ff-11111111111111111111111111111111-2222222222222222-01",
            "00-11111111111111111111111111111111-2222222222222222-01-more",
        ] {
            assert_eq!(Context::parse(bad, /*tracestate*/ None), Err(BadCarrier), "{bad}");
        }
        let later = format!("{}-more", PARENT.replacen("00", "01", 1));
        assert!(Context::parse(&later, /*tracestate*/ None).is_ok(), "a later version may say more");
    }

    #[test]
    fn a_child_is_of_the_same_trace_and_knows_its_parent() {
        let parent = Context::parse(PARENT, Some("a=1")).expect("it is one");
        let child = parent.child();
        assert_eq!(child.trace_id().to_string(), "1".repeat(32));
        assert_eq!(child.parent_span_id().map(|id| id.to_string()), Some("2".repeat(16)));
        assert_ne!(child.span_id().to_string(), parent.span_id().to_string());
        assert_eq!(child.state(), Some("a=1"));
        assert_ne!(Context::root().trace_id, Context::root().trace_id);
    }
}
