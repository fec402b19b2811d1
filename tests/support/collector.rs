//! A collector: takes OTLP by HTTP, and has what it was sent looked through.

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

/// What it was sent so far.
#[derive(Clone, Default)]
pub struct Received {
    pub spans: Vec<Span>,
    /// What each batch said of its sender.
    pub resource: Vec<KeyValue>,
    /// As it came.
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
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&received));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, received }
    }

    /// What it holds once it holds what is wanted.
    pub async fn when(&self, wanted: impl Fn(&[Span]) -> bool) -> Received {
        let mut received = self.received.subscribe();
        received.wait_for(|received| wanted(&received.spans)).await.unwrap().clone()
    }

    pub fn received(&self) -> Received {
        self.received.borrow().clone()
    }
}

async fn take(State(received): State<Arc<watch::Sender<Received>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
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

/// What is said of a span, or of its sender, under a name.
pub fn said(attributes: &[KeyValue], name: &str) -> Option<String> {
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

/// The spans of this name.
pub fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}
