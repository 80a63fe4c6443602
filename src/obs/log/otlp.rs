//! Spans for a collector: OpenTelemetry's protocol over HTTP, as JSON (feature `otlp`).
//!
//! The spans are ours, with the ids that logs and model requests carry; the queue, the batches, the encoding
//! and the `OTEL_*` variables are OpenTelemetry's own crates, and the requests go through the HTTP library
//! that models are asked with, so there is no async runtime. A span that finds the queue full is dropped and
//! counted; the worker, which OpenTelemetry names, is stopped within a bound at the end.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor as _};
use tracing::Subscriber;
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::spans::{OpenSpan, Value};
use crate::clock::{Clock, Monotonic};
use crate::limits::{OTLP_ANSWER_BYTES, OTLP_TIMEOUT};

/// Target of the spans that are exported.
const TARGET_SPANS: &str = "app_server::trace";
/// What the environment may call the service; this, if it does not.
const SERVICE: &str = "app-server";

/// Hands spans to the exporter; clones are the same.
#[derive(Clone)]
pub(super) struct ToCollector {
    processor: Arc<BatchSpanProcessor>,
    scope: InstrumentationScope,
    clock: Clock,
}

impl ToCollector {
    /// The exporter that the environment asks for: an endpoint is set, or `OTEL_TRACES_EXPORTER` is `otlp`.
    ///
    /// # Errors
    /// Why there is none although it is asked for.
    pub(super) fn of_environment(clock: Clock) -> Result<Option<Self>, String> {
        let text = |name| std::env::var(name).ok().filter(|text: &String| !text.trim().is_empty());
        if text("OTEL_SDK_DISABLED").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let endpoints = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
        match text("OTEL_TRACES_EXPORTER").as_deref().map(str::trim) {
            Some("otlp") => {}
            Some("none") => return Ok(None),
            Some(other) => return Err(format!("OTEL_TRACES_EXPORTER: `{other}` is neither otlp nor none")),
            None if endpoints.into_iter().all(|name| text(name).is_none()) => return Ok(None),
            None => {}
        }
        let milliseconds = |name| text(name).and_then(|text| text.trim().parse::<u64>().ok());
        let timeout = milliseconds("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
            .or_else(|| milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT"))
            .map_or(OTLP_TIMEOUT, Duration::from_millis);
        let exporter = SpanExporter::builder().with_http().with_http_client(Client::new(timeout)).build();
        let exporter = exporter.map_err(|error| format!("spans are not exported: {error}"))?;
        let mut resource = Resource::builder();
        let names = |text: String| text.split(',').any(|pair| pair.trim().starts_with("service.name="));
        if text("OTEL_SERVICE_NAME").is_none() && !text("OTEL_RESOURCE_ATTRIBUTES").is_some_and(names) {
            resource = resource.with_service_name(SERVICE);
        }
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        processor.set_resource(&resource.build());
        let scope = InstrumentationScope::builder(SERVICE).with_version(env!("CARGO_PKG_VERSION")).build();
        Ok(Some(Self { processor: Arc::new(processor), scope, clock }))
    }

    /// Which spans it wants, whatever the log wants.
    pub(super) fn filter() -> Targets {
        Targets::new().with_target(TARGET_SPANS, tracing::Level::INFO)
    }

    /// Sends what is queued, at most for `deadline`, and ends the worker.
    pub(super) fn end(&self, deadline: Duration) {
        if let Err(error) = self.processor.shutdown_with_timeout(deadline) {
            tracing::warn!(%error, "some spans were not exported");
        }
    }

    fn now(&self) -> SystemTime {
        self.clock.wall_time()
    }

    /// None for what has no ids, or is not to be recorded, as its parent has said.
    fn data(&self, Exporting { span, since }: &Exporting) -> Option<SpanData> {
        let id = |name: &str| span.text(name);
        let trace_id = TraceId::from_hex(id("trace_id")?).ok()?;
        let span_id = SpanId::from_hex(id("span_id")?).ok()?;
        if span.text("trace_flags") == Some("00") {
            return None;
        }
        let parent = id("parent_span_id").and_then(|parent| SpanId::from_hex(parent).ok());
        let kind = match span.text("otel.kind") {
            Some("server") => SpanKind::Server,
            Some("client") => SpanKind::Client,
            _ => SpanKind::Internal,
        };
        let own = ["trace_id", "span_id", "parent_span_id", "trace_flags", "otel.kind", "otel.name"];
        let attributes = span.fields.iter().filter(|(name, _)| !own.contains(name));
        Some(SpanData {
            span_context: SpanContext::new(
                trace_id,
                span_id,
                TraceFlags::SAMPLED,
                /*is_remote*/ false,
                TraceState::default(),
            ),
            parent_span_id: parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: kind == SpanKind::Server,
            span_kind: kind,
            name: span.text("otel.name").unwrap_or(span.name).to_owned().into(),
            start_time: *since,
            end_time: self.now(),
            attributes: attributes.map(|(name, value)| attribute(name, value)).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        })
    }
}

fn attribute(name: &'static str, value: &Value) -> KeyValue {
    match value {
        Value::Bare(text) => match text.parse::<i64>() {
            Ok(number) => KeyValue::new(name, number),
            Err(_) => KeyValue::new(name, text == "true"),
        },
        Value::Text(text) => KeyValue::new(name, text.clone()),
    }
}

impl fmt::Debug for ToCollector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ToCollector")
    }
}

/// A span that is open, with the time of its beginning.
struct Exporting {
    span: OpenSpan,
    since: SystemTime,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ToCollector {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let open = OpenSpan::new(attributes, Monotonic::default());
        span.extensions_mut().insert(Exporting { span: open, since: self.now() });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(exporting) = span.extensions_mut().get_mut::<Exporting>() {
            values.record(&mut exporting.span);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let exporting = span.extensions_mut().remove::<Exporting>();
        if let Some(data) = exporting.and_then(|exporting| self.data(&exporting)) {
            // Never waits: there is room, or the span is dropped and counted.
            self.processor.on_end(data);
        }
    }
}

/// The HTTP client behind the exporter. It runs on the exporter's worker, which may wait.
#[derive(Debug)]
struct Client(ureq::Agent);

impl Client {
    fn new(timeout: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(timeout))
            .build();
        Self(config.into())
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let response = self.0.run(Request::from_parts(head, body.to_vec()))?;
        let (head, mut body) = response.into_parts();
        let bytes = body.with_config().limit(OTLP_ANSWER_BYTES).read_to_vec()?;
        Ok(Response::from_parts(head, bytes.into()))
    }
}
