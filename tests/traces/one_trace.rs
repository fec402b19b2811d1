//! One trace covers the request, its exchange and the call to Xero, and the journal has its id.

use evergrant::server::clock::Clock;
use evergrant::server::store::Store;
use opentelemetry_proto::tonic::trace::v1::Span;
use reqwest::header::COOKIE;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::sandbox::Provider;
use crate::support::collector::{Collector, attribute, hex, spans_named};
use crate::support::consents::{ConnectedOrg, TestConsent};
use crate::support::databases::TestDatabase;
use crate::support::demo_server::METRICS_TOKEN;
use crate::support::http::CLOSED_ADDRESS;
use crate::support::instance::{Instance, seed_ana};
use crate::support::test_service::test_key_ring;
use crate::support::wait::{MAX_WAIT, eventually};

const REFRESH: &str = "POST /api/integrations/xero/refresh";
/// A caller's trace id and span id (W3C Trace Context).
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT_SPAN: &str = "00f067aa0ba902b7";

/// A server process that exports its traces to a collector with a short delay.
struct TracedServer {
    collector: Collector,
    provider: Provider,
    store: Store,
    connected: ConnectedOrg,
    instance: Instance,
    cookie: String,
    _data: TempDir,
    _database: TestDatabase,
}

impl TracedServer {
    async fn on(database: TestDatabase, more: &[(&str, &str)]) -> Self {
        let collector = Collector::start().await;
        let provider = Provider::on_system_time().await;
        let store = Store::new(database.open().await, test_key_ring(), Clock::system());
        let org = seed_ana(&store).await;
        let connected = TestConsent::new(&store, &provider).connect(org).await;
        let data = TempDir::new().unwrap();
        let mut settings = vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.base.as_str()),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
            ("EVERGRANT_METRICS_TOKEN", METRICS_TOKEN),
        ];
        settings.extend_from_slice(more);
        let instance = tokio::task::block_in_place(|| Instance::start(&database, &provider, data.path(), &settings));
        let cookie = instance.sign_in(&provider).await;
        Self { collector, provider, store, connected, instance, cookie, _data: data, _database: database }
    }

    /// Posts a manual refresh, optionally with a `traceparent`.
    async fn refresh(&self, traceparent: Option<&str>) -> Value {
        let address = format!("{}/api/integrations/xero/refresh", self.instance.base);
        let click = self.provider.client.post(address).header(COOKIE, &self.cookie).form(&[("clicked", "true")]);
        let click = match traceparent {
            Some(traceparent) => click.header("traceparent", traceparent),
            None => click,
        };
        click.send().await.unwrap().json().await.unwrap()
    }

    /// Returns the trace id of the newest attempt in the journal.
    async fn journaled_trace_id(&self) -> Option<String> {
        let (org, binding) = (&self.connected.org, &self.connected.bindings[0]);
        self.store.attempts_of_binding(org, binding, 1).await.unwrap().remove(0).trace_id
    }

    /// Returns the number of callers that have joined an exchange so far.
    async fn joined_count(&self) -> u64 {
        let page = self.provider.client.get(format!("{}/metrics", self.instance.base));
        let page = page.bearer_auth(METRICS_TOKEN).send().await.unwrap().text().await.unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix("evergrant_refreshes_joined_total "));
        line.map_or(0, |count| count.parse().unwrap())
    }
}

/// Returns whether a span is another's child in the same trace.
fn is_child(child: &Span, parent: &Span) -> bool {
    child.parent_span_id == parent.span_id && child.trace_id == parent.trace_id
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_exchange_and_xero_call_share_one_trace_that_is_journaled(database: TestDatabase) {
    let db = database.name;
    let traced = TracedServer::on(database, &[("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20collect")]).await;
    // The headers so far are those of the test's own requests.
    traced.provider.headers.lock().unwrap().clear();
    assert_eq!(traced.refresh(None).await["success"], true, "{db}");
    let all =
        |spans: &[Span]| [REFRESH, "exchange", "POST Xero"].iter().all(|name| !spans_named(spans, name).is_empty());
    let received = traced.collector.wait_for(all).await;
    let [click] = spans_named(&received.spans, REFRESH)[..] else { panic!("{db}: expected one request span") };
    let [exchange] = spans_named(&received.spans, "exchange")[..] else { panic!("{db}: expected one exchange span") };
    let [call] = spans_named(&received.spans, "POST Xero")[..] else { panic!("{db}: expected one client span") };
    assert!(click.parent_span_id.is_empty(), "{db}: a request without traceparent must start a trace");
    assert!(is_child(exchange, click) && is_child(call, exchange), "{db}: {:?}", received.spans);
    assert_eq!((click.kind, call.kind), (2, 3), "{db}: expected a server span and a client span");
    assert_eq!(traced.journaled_trace_id().await, Some(hex(&click.trace_id)), "{db}");

    assert_eq!(attribute(&click.attributes, "http.response.status_code").as_deref(), Some("200"), "{db}");
    assert_eq!(attribute(&exchange.attributes, "grant").as_deref(), Some(traced.connected.grant.as_str()), "{db}");
    assert_eq!(attribute(&call.attributes, "url.path").as_deref(), Some("/connect/token"), "{db}");
    assert!(attribute(&call.attributes, "xero.correlation_id").is_some(), "{db}");
    assert_eq!(attribute(&received.resource, "service.name").as_deref(), Some("evergrant"), "{db}");
    assert_eq!(received.authorization.as_deref(), Some("Bearer collect"), "{db}");

    let headers = traced.provider.headers.lock().unwrap();
    assert!(headers.contains("authorization"), "{db}: {headers:?}");
    for header in ["traceparent", "tracestate", "baggage", "x-request-id"] {
        assert!(!headers.contains(header), "{db}: {header} was sent to Xero");
    }
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traceparent_is_continued_and_joining_requests_link_to_the_exchange(database: TestDatabase) {
    let db = database.name;
    let traced = TracedServer::on(database, &[]).await;
    traced.provider.control("hold", json!({})).await;
    let traceparent = format!("00-{TRACE}-{PARENT_SPAN}-01");
    let joiner = async {
        traced.provider.waiting(1).await;
        let joins = traced.refresh(None);
        let release = async {
            eventually("the joining request", MAX_WAIT, async || traced.joined_count().await > 0).await;
            traced.provider.control("release", json!({})).await;
        };
        tokio::join!(joins, release).0
    };
    let (first, second) = tokio::join!(traced.refresh(Some(&traceparent)), joiner);
    assert_eq!((&first["success"], &second["success"]), (&json!(true), &json!(true)), "{db}");

    let all = |spans: &[Span]| spans_named(spans, REFRESH).len() == 2 && spans_named(spans, "exchange").len() == 1;
    let received = traced.collector.wait_for(all).await;
    let clicks = spans_named(&received.spans, REFRESH);
    let (said, joins): (Vec<&Span>, Vec<&Span>) = clicks.into_iter().partition(|click| hex(&click.trace_id) == TRACE);
    let exchange = spans_named(&received.spans, "exchange")[0];
    assert_eq!(hex(&said[0].parent_span_id), PARENT_SPAN, "{db}");
    assert!(is_child(exchange, said[0]), "{db}");
    assert_eq!(traced.journaled_trace_id().await.as_deref(), Some(TRACE), "{db}");
    let links: Vec<&[u8]> = joins[0].links.iter().map(|link| link.span_id.as_slice()).collect();
    assert_eq!(links, [exchange.span_id.as_slice()], "{db}: the joining request must link to the exchange");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsampled_or_disabled_traces_are_not_exported_or_journaled() {
    for settings in [("OTEL_TRACES_SAMPLER", "always_off"), ("OTEL_SDK_DISABLED", "true")] {
        let traced = TracedServer::on(TestDatabase::sqlite(), &[settings]).await;
        assert_eq!(traced.refresh(None).await["success"], true, "{settings:?}");
        assert_eq!(traced.journaled_trace_id().await, None, "{settings:?}");
        let mut instance = traced.instance;
        instance.send_sigterm();
        assert!(instance.wait_for_exit().success());
        assert!(traced.collector.received().spans.is_empty(), "{settings:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_flushes_pending_spans() {
    // Far longer than the test runs, so only the shutdown exports spans.
    let traced = TracedServer::on(TestDatabase::sqlite(), &[("OTEL_BSP_SCHEDULE_DELAY", "600000")]).await;
    traced.refresh(None).await;
    let mut instance = traced.instance;
    instance.send_sigterm();
    assert!(instance.wait_for_exit().success());
    let received = traced.collector.received();
    assert_eq!((spans_named(&received.spans, REFRESH).len(), spans_named(&received.spans, "exchange").len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_collector_is_logged_once_and_delays_no_request() {
    let closed = format!("http://{CLOSED_ADDRESS}");
    let away = ("OTEL_EXPORTER_OTLP_ENDPOINT", closed.as_str());
    let mut traced = TracedServer::on(TestDatabase::sqlite(), &[away]).await;
    let mentions_collector =
        |line: &Value| line["fields"]["message"].as_str().is_some_and(|said| said.contains("trace export failed"));
    assert_eq!(traced.refresh(None).await["success"], true);
    traced.instance.wait_for_log_line(mentions_collector);
    for _ in 0..20 {
        assert_eq!(traced.refresh(None).await["success"], true);
    }
    traced.instance.send_sigterm();
    assert!(traced.instance.wait_for_exit().success());
    let more = traced.instance.log_until_exit().iter().filter(|line| mentions_collector(line)).count();
    assert_eq!(more, 0, "the failure must be logged only once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_collector_address_does_not_stop_the_server() {
    let wrong = ("OTEL_EXPORTER_OTLP_ENDPOINT", "not an address");
    let traced = TracedServer::on(TestDatabase::sqlite(), &[wrong]).await;
    assert_eq!(traced.refresh(None).await["success"], true);
}
