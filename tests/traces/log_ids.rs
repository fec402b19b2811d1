//! Lines of a process's JSON log have the ids of their request and trace.

use evergrant::server::clock::Clock;
use evergrant::server::store::Store;
use reqwest::header::COOKIE;
use serde_json::Value;
use tempfile::TempDir;

use crate::sandbox::Provider;
use crate::support::collector::Collector;
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::instance::{Instance, seed_ana};
use crate::support::test_service::test_key_ring;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exchange_log_lines_have_the_request_and_trace_ids(database: TestDatabase) {
    let collector = Collector::start().await;
    let provider = Provider::on_system_time().await;
    let store = Store::new(database.open().await, test_key_ring(), Clock::system());
    let org = seed_ana(&store).await;
    let connected = TestConsent::new(&store, &provider).connect(org).await;
    let data = TempDir::new().unwrap();
    for traces in [false, true] {
        // Only warnings, except for the line with the address on which the server listens.
        let mut settings = vec![("RUST_LOG", "warn,evergrant::server::startup=info")];
        if traces {
            settings.push(("OTEL_EXPORTER_OTLP_ENDPOINT", collector.base.as_str()));
        }
        let mut instance =
            tokio::task::block_in_place(|| Instance::start(&database, &provider, data.path(), &settings));
        let cookie = instance.sign_in(&provider).await;
        provider.inject_fault(serde_json::json!({"endpoint": "token", "kind": "status", "status": 503})).await;
        let address = format!("{}/api/integrations/xero/refresh", instance.base);
        let click = provider.client.post(address).header(COOKIE, &cookie).form(&[("clicked", "true")]);
        let click =
            click.header("x-request-id", "proxy-4711").header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
        let answer = click.send().await.unwrap();
        assert_eq!(answer.headers()["x-request-id"], "proxy-4711");

        let line = instance.wait_for_log_line(|line| line["fields"]["message"] == "refresh failed");
        assert_eq!(line["fields"]["grant"], connected.grant.as_str(), "{line}");
        assert_eq!(line["span"]["request_id"], "proxy-4711", "{line}");
        let trace = if traces { Value::from(TRACE) } else { Value::Null };
        assert_eq!(line["span"]["trace_id"], trace, "{line}");
    }
}
