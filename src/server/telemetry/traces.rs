//! Spans from an incoming request to the exchange at Xero, and the ids on every log line in between.
//!
//! Spans hold ids, routes and statuses, but no query strings, tokens or names. If the environment names no collector
//! (`otlp`), spans serve the log only. Trace context isn't sent to Xero, because it would let a third party link our
//! calls.

use std::future::Future;

use axum::http::{HeaderMap, Method};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

pub use super::otlp::{LOG_ONLY_TARGET, LoggingExporter, TraceExporter, TraceExporterError, layer};
use crate::model::{GrantId, Trigger};

tokio::task_local! {
    static REQUEST_ID: String;
}

/// Returns the id of the request that this task handles.
pub fn request_id() -> Option<String> {
    REQUEST_ID.try_with(Clone::clone).ok()
}

/// Runs `work` with the request's id, inside its span.
pub async fn with_request<F: Future>(id: String, span: &Span, work: F) -> F::Output {
    REQUEST_ID.scope(id, work).instrument(span.clone()).await
}

/// Wraps a request's work for another task, so that its log lines keep the request's ids and its spans the trace.
pub fn inherit_request<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let id = request_id();
    let work = async move {
        match id {
            Some(id) => REQUEST_ID.scope(id, work).await,
            None => work.await,
        }
    };
    work.in_current_span()
}

/// Creates a request's span, in the sender's trace if the headers name one (W3C Trace Context). The level is `error`,
/// here and below, so that no log filter removes the ids from a line.
pub fn request_span(id: &str, method: &Method, path: &str, headers: &HeaderMap) -> Span {
    // Health checks, scrapes and static files are not traced.
    let is_quiet = matches!(path, "/healthz" | "/readyz" | "/metrics") || path.starts_with("/pkg/");
    let span = if is_quiet {
        tracing::error_span!(target: LOG_ONLY_TARGET, parent: None, "request", request_id = id, %method)
    } else {
        tracing::error_span!(parent: None, "request", request_id = id, trace_id = Empty, %method, otel.kind = "server")
    };
    with_parent(span, TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers)))
}

/// Records the route and the status in the request's span.
pub fn record_response(method: &Method, route: &str, status: u16) {
    let context = Span::current().context();
    let span = context.span();
    span.update_name(format!("{method} {route}"));
    span.set_attribute(KeyValue::new("http.request.method", method.to_string()));
    span.set_attribute(KeyValue::new("http.route", route.to_owned()));
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
    if status >= 500 {
        span.set_status(Status::error(""));
    }
}

/// Creates an exchange's span in the trace of the current request. In the log it isn't a child of the request's span,
/// which it may outlive, so it has the request's ids itself.
pub fn exchange_span(grant: &GrantId, trigger: Trigger) -> Span {
    let asked = Span::current().context();
    let trigger = trigger.as_str();
    let span = tracing::error_span!(parent: None, "exchange", request_id = Empty, trace_id = Empty, %grant, trigger);
    if let Some(id) = request_id() {
        span.record("request_id", id);
    }
    with_parent(span, asked)
}

/// Links the current span to the exchange that it joined.
pub fn link_exchange(exchange: &Span) {
    Span::current().add_link(span_context(exchange));
}

/// Creates the span of a call to Xero.
pub fn xero_call_span(method: &Method, host: &str, path: &str) -> Span {
    let span = tracing::info_span!("xero", otel.kind = "client");
    let context = span.context();
    let exported = context.span();
    exported.update_name(format!("{method} Xero"));
    exported.set_attribute(KeyValue::new("http.request.method", method.to_string()));
    exported.set_attribute(KeyValue::new("server.address", host.to_owned()));
    exported.set_attribute(KeyValue::new("url.path", path.to_owned()));
    span
}

/// Records Xero's status and correlation id, or the failure, in the call's span.
pub fn record_xero_response(span: &Span, status: Option<u16>, correlation_id: Option<&str>, failure: Option<&str>) {
    let context = span.context();
    let span = context.span();
    if let Some(status) = status {
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
    }
    if let Some(id) = correlation_id {
        span.set_attribute(KeyValue::new("xero.correlation_id", id.to_owned()));
    }
    if let Some(failure) = failure {
        span.set_attribute(KeyValue::new("error.type", failure.to_owned()));
    }
    if failure.is_some() || status.is_some_and(|status| status >= 400) {
        span.set_status(Status::error(""));
    }
}

/// Returns the id of the span's trace; `None` if the trace isn't sampled.
pub fn trace_id(span: &Span) -> Option<String> {
    let context = span_context(span);
    context.is_sampled().then(|| context.trace_id().to_string())
}

/// Returns the id of the current span's trace; `None` if the trace isn't sampled.
pub fn current_trace_id() -> Option<String> {
    trace_id(&Span::current())
}

fn span_context(span: &Span) -> SpanContext {
    span.context().span().span_context().clone()
}

/// Makes the span a child of `parent`, and records the trace id in it for the log.
fn with_parent(span: Span, parent: Context) -> Span {
    // Fails if tracing is off, or if this span is filtered out.
    _ = span.set_parent(parent);
    if let Some(id) = trace_id(&span) {
        span.record("trace_id", id);
    }
    span
}

/// Extracts trace context from a request's headers.
struct HeaderExtractor<'a>(&'a HeaderMap);

impl Extractor for HeaderExtractor<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}
