//! One trace from the click to the exchange, in parent order, with the journal leading to it.

use std::sync::Arc;

use evergrant::server::clock::Clock;
use evergrant::server::store::Store;
use opentelemetry_proto::tonic::trace::v1::Span;
use reqwest::header::COOKIE;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::sandbox::Provider;
use crate::support::app::METRICS_TOKEN;
use crate::support::collector::{Collector, hex, named, said};
use crate::support::databases::TestDatabase;
use crate::support::instance::{Instance, add_ana};
use crate::support::keeper::{Connected, consent, ring};

const REFRESH: &str = "POST /api/integrations/xero/refresh";
/// A trace and a span of a caller's, as W3C Trace Context has them.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLICK: &str = "00f067aa0ba902b7";

/// A server that sends its traces to a collector, as soon as may be.
struct Traced {
    collector: Collector,
    provider: Provider,
    store: Store,
    connected: Connected,
    instance: Instance,
    cookie: String,
    _data: TempDir,
    _database: TestDatabase,
}

impl Traced {
    async fn on(database: TestDatabase, more: &[(&str, &str)]) -> Self {
        let (collector, now) = (Collector::start().await, Clock::system());
        let provider = Provider::start_with(|options| options.now = Arc::new(move || now.now())).await;
        let store = Store::new(database.open().await, ring(), Clock::system());
        let org = add_ana(&store).await;
        let connected = consent(&store, &provider, org, &["harbour"], 60).await;
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

    /// A click on Refresh, in a trace of its own where that is said.
    async fn click(&self, traceparent: Option<&str>) -> Value {
        let address = format!("{}/api/integrations/xero/refresh", self.instance.base);
        let click = self.provider.client.post(address).header(COOKIE, &self.cookie).form(&[("clicked", "true")]);
        let click = match traceparent {
            Some(traceparent) => click.header("traceparent", traceparent),
            None => click,
        };
        click.send().await.unwrap().json().await.unwrap()
    }

    /// The trace that the journal's last try names.
    async fn journalled(&self) -> Option<String> {
        let (org, binding) = (&self.connected.org, &self.connected.bindings[0]);
        self.store.attempts_of_binding(org, binding, 1).await.unwrap().remove(0).trace_id
    }

    /// How many callers have joined an exchange so far.
    async fn joined(&self) -> u64 {
        let page = self.provider.client.get(format!("{}/metrics", self.instance.base));
        let page = page.bearer_auth(METRICS_TOKEN).send().await.unwrap().text().await.unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix("evergrant_refreshes_joined_total "));
        line.map_or(0, |count| count.parse().unwrap())
    }
}

/// Whether a span is another's child, in its trace.
fn is_child(child: &Span, parent: &Span) -> bool {
    child.parent_span_id == parent.span_id && child.trace_id == parent.trace_id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_its_exchange_and_the_call_to_xero_are_one_trace_which_the_journal_names() {
    for database in TestDatabase::each().await {
        let db = database.name;
        let traced = Traced::on(database, &[("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20collect")]).await;
        // Those that brought the consent were the test's own.
        traced.provider.headers.lock().unwrap().clear();
        assert_eq!(traced.click(None).await["success"], true, "{db}");
        let all = |spans: &[Span]| [REFRESH, "exchange", "POST Xero"].iter().all(|name| !named(spans, name).is_empty());
        let received = traced.collector.when(all).await;
        let [click] = named(&received.spans, REFRESH)[..] else { panic!("{db}: one click") };
        let [exchange] = named(&received.spans, "exchange")[..] else { panic!("{db}: one exchange") };
        let [call] = named(&received.spans, "POST Xero")[..] else { panic!("{db}: one call") };
        assert!(click.parent_span_id.is_empty(), "{db}: nobody said that it was part of anything");
        assert!(is_child(exchange, click) && is_child(call, exchange), "{db}: {:?}", received.spans);
        assert_eq!((click.kind, call.kind), (2, 3), "{db}: a server's and a client's");
        assert_eq!(traced.journalled().await, Some(hex(&click.trace_id)), "{db}");

        assert_eq!(said(&click.attributes, "http.response.status_code").as_deref(), Some("200"), "{db}");
        assert_eq!(said(&exchange.attributes, "grant").as_deref(), Some(traced.connected.grant.as_str()), "{db}");
        assert_eq!(said(&call.attributes, "url.path").as_deref(), Some("/connect/token"), "{db}");
        assert!(said(&call.attributes, "xero.correlation_id").is_some(), "{db}");
        assert_eq!(said(&received.resource, "service.name").as_deref(), Some("evergrant"), "{db}");
        assert_eq!(received.authorization.as_deref(), Some("Bearer collect"), "{db}");

        let headers = traced.provider.headers.lock().unwrap();
        assert!(headers.contains("authorization"), "{db}: {headers:?}");
        for told in ["traceparent", "tracestate", "baggage", "x-request-id"] {
            assert!(!headers.contains(told), "{db}: Xero was told {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_says_its_trace_is_in_it_and_who_joins_an_exchange_links_to_it() {
    for database in TestDatabase::each().await {
        let db = database.name;
        let traced = Traced::on(database, &[]).await;
        traced.provider.control("hold", json!({})).await;
        let traceparent = format!("00-{TRACE}-{CLICK}-01");
        let joiner = async {
            traced.provider.waiting(1).await;
            let joins = traced.click(None);
            let release = async {
                while traced.joined().await == 0 {}
                traced.provider.control("release", json!({})).await;
            };
            tokio::join!(joins, release).0
        };
        let (first, second) = tokio::join!(traced.click(Some(&traceparent)), joiner);
        assert_eq!((&first["success"], &second["success"]), (&json!(true), &json!(true)), "{db}");

        let all = |spans: &[Span]| named(spans, REFRESH).len() == 2 && named(spans, "exchange").len() == 1;
        let received = traced.collector.when(all).await;
        let clicks = named(&received.spans, REFRESH);
        let (said, joins): (Vec<&Span>, Vec<&Span>) =
            clicks.into_iter().partition(|click| hex(&click.trace_id) == TRACE);
        let exchange = named(&received.spans, "exchange")[0];
        assert_eq!(hex(&said[0].parent_span_id), CLICK, "{db}");
        assert!(is_child(exchange, said[0]), "{db}");
        assert_eq!(traced.journalled().await.as_deref(), Some(TRACE), "{db}");
        let links: Vec<&[u8]> = joins[0].links.iter().map(|link| link.span_id.as_slice()).collect();
        assert_eq!(links, [exchange.span_id.as_slice()], "{db}: the one that joined has a trace of its own");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_sampled_or_not_wanted_is_neither_sent_nor_named_and_everything_works() {
    for settings in [("OTEL_TRACES_SAMPLER", "always_off"), ("OTEL_SDK_DISABLED", "true")] {
        let traced = Traced::on(TestDatabase::sqlite(), &[settings]).await;
        assert_eq!(traced.click(None).await["success"], true, "{settings:?}");
        assert_eq!(traced.journalled().await, None, "{settings:?}");
        let mut instance = traced.instance;
        instance.ask_to_stop();
        assert!(instance.ended().success());
        assert!(traced.collector.received().spans.is_empty(), "{settings:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_sends_what_is_left() {
    // Far longer than the test: what arrives was sent by the stop.
    let traced = Traced::on(TestDatabase::sqlite(), &[("OTEL_BSP_SCHEDULE_DELAY", "600000")]).await;
    traced.click(None).await;
    let mut instance = traced.instance;
    instance.ask_to_stop();
    assert!(instance.ended().success());
    let received = traced.collector.received();
    assert_eq!((named(&received.spans, REFRESH).len(), named(&received.spans, "exchange").len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_is_told_of_once_and_keeps_nobody_waiting() {
    // Nobody listens at port 9.
    let away = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    let mut traced = Traced::on(TestDatabase::sqlite(), &[away]).await;
    let is_told = |line: &Value| line["fields"]["message"].as_str().is_some_and(|said| said.contains("collector"));
    assert_eq!(traced.click(None).await["success"], true);
    traced.instance.line(is_told);
    for _ in 0..20 {
        assert_eq!(traced.click(None).await["success"], true);
    }
    traced.instance.ask_to_stop();
    assert!(traced.instance.ended().success());
    let more = traced.instance.rest_of_the_log().iter().filter(|line| is_told(line)).count();
    assert_eq!(more, 0, "once is enough");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_cannot_be_one_keeps_nobody_from_serving() {
    let wrong = ("OTEL_EXPORTER_OTLP_ENDPOINT", "not an address");
    let traced = Traced::on(TestDatabase::sqlite(), &[wrong]).await;
    assert_eq!(traced.click(None).await["success"], true);
}
