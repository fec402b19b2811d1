//! A trace collector that receives OTLP over HTTP and exposes what it received.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::wait::{MAX_WAIT, within};

/// Everything received so far.
#[derive(Clone, Default)]
pub struct Received {
    pub spans: Vec<Span>,
    /// The resource attributes of the last batch.
    pub resource: Vec<KeyValue>,
    /// The raw request bodies.
    pub bytes: Vec<u8>,
    pub authorization: Option<String>,
}

pub struct Collector {
    pub base: String,
    received: Arc<watch::Sender<Received>>,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(watch::Sender::new(Received::default()));
        let router = Router::new().route("/v1/traces", post(receive)).with_state(Arc::clone(&received));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, received }
    }

    /// Waits until the spans are complete and returns everything received.
    pub async fn wait_for(&self, is_complete: impl Fn(&[Span]) -> bool) -> Received {
        let mut received = self.received.subscribe();
        let complete = received.wait_for(|received| is_complete(&received.spans));
        within("the spans", MAX_WAIT, complete).await.unwrap().clone()
    }

    pub fn received(&self) -> Received {
        self.received.borrow().clone()
    }
}

async fn receive(State(received): State<Arc<watch::Sender<Received>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body.clone()).unwrap();
    received.send_modify(|received| {
        received.bytes.extend_from_slice(&body);
        received.authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        for batch in request.resource_spans {
            received.resource = batch.resource.map(|resource| resource.attributes).unwrap_or_default();
            received.spans.extend(batch.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    });
    StatusCode::OK
}

/// Returns an attribute as text.
pub fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let attribute = attributes.iter().find(|one| one.key == name)?;
    Some(match attribute.value.clone()? {
        AnyValue { value: Some(Value::StringValue(text)) } => text,
        AnyValue { value: Some(Value::IntValue(number)) } => number.to_string(),
        other => panic!("{name}: {other:?}"),
    })
}

pub fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the spans with this name.
pub fn spans_named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}
