//! The files of `deploy/` match the server.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use evergrant::server::telemetry::metrics;
use reqwest::StatusCode;

use crate::support::databases::TestDatabase;
use crate::support::demo_server::{DemoServer, METRICS_TOKEN};
use crate::support::wait::run;

/// Exported only after a wait for another process's lease.
const LEASE_WAIT_METRIC: &str = "evergrant_lease_wait_seconds";

/// Returns the metric names that occur in a file, from the project's folder.
fn metric_names(file: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| word.starts_with("evergrant_") || word.starts_with("process_"));
    names.map(|name| name.trim_end_matches("_bucket").trim_end_matches("_count").to_owned()).collect()
}

#[test]
fn rules_dashboard_and_documentation_use_only_exported_metrics() {
    let known: BTreeSet<String> = metrics::metric_names().map(str::to_owned).collect();
    for file in [
        "deploy/prometheus/evergrant.rules.yml",
        "deploy/prometheus/evergrant.rules.test.yml",
        "deploy/grafana/evergrant.json",
        "docs/sizing.md",
    ] {
        let named = metric_names(file);
        assert!(named.len() >= 5, "{file} has only {named:?}");
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} uses {unknown:?}, which the server does not export");
    }
    let shown = metric_names("deploy/grafana/evergrant.json");
    let unseen: Vec<_> = known.difference(&shown).collect();
    assert!(unseen.is_empty(), "the dashboard lacks {unseen:?}");
}

#[apply(each_database!)]
async fn running_server_exports_every_metric(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let demo = app.demo_in("Harbour Group").await;
    let (status, _) = demo.call_server_fn("/api/integrations/xero/refresh", &[("clicked", "false")]).await;
    assert_eq!(status, StatusCode::OK);
    let page = app.client.get(format!("{}/metrics", app.base)).bearer_auth(METRICS_TOKEN).send().await.unwrap();
    let page = page.text().await.unwrap();
    for name in metrics::metric_names().filter(|name| *name != LEASE_WAIT_METRIC) {
        assert!(page.contains(&format!("# TYPE {name} ")), "no {name} in {page}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn healthcheck_distinguishes_a_ready_server_from_none() {
    let app = DemoServer::start(TestDatabase::sqlite()).await;
    let check = async |port: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evergrant"));
        command.arg("healthcheck").env("EVERGRANT_LISTEN", format!("0.0.0.0:{port}"));
        run(command).await
    };
    let here = check(app.base.rsplit(':').next().unwrap()).await;
    assert_eq!((here.status.code(), here.stdout.as_slice()), (Some(0), &b"ready\n"[..]));
    let nobody = check("1").await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("no answer from 127.0.0.1:1"));
}
