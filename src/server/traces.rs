//! One trace from the request that a click makes to the exchange at Xero, and the ids that stand on each line that is
//! logged on the way.
//!
//! Spans hold ids, routes and statuses: no address with what people typed into it, no token, no name. Where the
//! environment names no collector (`export`) there are spans for the log alone. Xero is told nothing of traces: it is
//! somebody else's service, and an id that goes with each call would be one more thing to know us by.

mod export;

use std::future::Future;

use axum::http::{HeaderMap, Method};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

pub use self::export::{Exported, Exporter, NoExporter, QUIET, layer};
use crate::model::{GrantId, Trigger};

tokio::task_local! {
    static REQUEST: String;
}

/// The id of the request that this task answers.
pub fn request_id() -> Option<String> {
    REQUEST.try_with(Clone::clone).ok()
}

/// Answers a request under its id, inside its span.
pub async fn answering<F: Future>(id: String, span: &Span, work: F) -> F::Output {
    REQUEST.scope(id, work).instrument(span.clone()).await
}

/// Work of a request's that goes into a task of its own: its lines have the request's ids, and its spans the trace.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let id = request_id();
    let work = async move {
        match id {
            Some(id) => REQUEST.scope(id, work).await,
            None => work.await,
        }
    };
    work.in_current_span()
}

/// A request's span, in the trace of its sender where that says which (W3C Trace Context). At level `error`, here and
/// below, so that no filter of the log leaves a line without its ids.
pub fn request(id: &str, method: &Method, path: &str, headers: &HeaderMap) -> Span {
    // What looks whether we are well, all day long, and a page's files are no traces.
    let is_quiet = matches!(path, "/healthz" | "/readyz" | "/metrics") || path.starts_with("/pkg/");
    let span = if is_quiet {
        tracing::error_span!(target: QUIET, parent: None, "request", request_id = id, %method)
    } else {
        tracing::error_span!(parent: None, "request", request_id = id, trace_id = Empty, %method, otel.kind = "server")
    };
    within(span, TraceContextPropagator::new().extract_with_context(&Context::new(), &Sent(headers)))
}

/// Says in the request's span where it led and how it ended.
pub fn answered(method: &Method, route: &str, status: u16) {
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

/// An exchange's span, in the trace of whoever asked for it. It may outlive them, as the exchange does, so that it is
/// no part of theirs in the log, and has their ids itself.
pub fn exchange(grant: &GrantId, trigger: Trigger) -> Span {
    let asked = Span::current().context();
    let trigger = trigger.as_str();
    let span = tracing::error_span!(parent: None, "exchange", request_id = Empty, trace_id = Empty, %grant, trigger);
    if let Some(id) = request_id() {
        span.record("request_id", id);
    }
    within(span, asked)
}

/// Says in the asker's span that it shares another's exchange.
pub fn joined(exchange: &Span) {
    Span::current().add_link(of(exchange));
}

/// The span of a call to Xero.
pub fn call(method: &Method, host: &str, path: &str) -> Span {
    let span = tracing::info_span!("xero", otel.kind = "client");
    let context = span.context();
    let told = context.span();
    told.update_name(format!("{method} Xero"));
    told.set_attribute(KeyValue::new("http.request.method", method.to_string()));
    told.set_attribute(KeyValue::new("server.address", host.to_owned()));
    told.set_attribute(KeyValue::new("url.path", path.to_owned()));
    span
}

/// How Xero answered, and under which id it knows the call; or what stood in the way.
pub fn called(span: &Span, status: Option<u16>, correlation_id: Option<&str>, failure: Option<&str>) {
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

/// The id of this span's trace, where the trace is kept.
pub fn id_of(span: &Span) -> Option<String> {
    let context = of(span);
    context.is_sampled().then(|| context.trace_id().to_string())
}

/// The same of what runs just now.
pub fn current_id() -> Option<String> {
    id_of(&Span::current())
}

fn of(span: &Span) -> SpanContext {
    span.context().span().span_context().clone()
}

/// The span as a child of that context's, with its trace's id for the log.
fn within(span: Span, parent: Context) -> Span {
    // Refused where no trace is made, or none of this span.
    _ = span.set_parent(parent);
    if let Some(id) = id_of(&span) {
        span.record("trace_id", id);
    }
    span
}

/// What a request says of its trace.
struct Sent<'a>(&'a HeaderMap);

impl Extractor for Sent<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}
