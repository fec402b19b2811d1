//! The files of `deploy/` fit the server they are for.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use evergrant::server::metrics;
use reqwest::StatusCode;

use crate::support::app::{App, METRICS_TOKEN};
use crate::support::databases::TestDatabase;

/// Shows only once something has waited for another process.
const RARE: &str = "evergrant_lease_wait_seconds";

/// The metrics that a text names.
fn named(file: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)).unwrap();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| word.starts_with("evergrant_") || word.starts_with("process_"));
    names.map(|name| name.trim_end_matches("_bucket").trim_end_matches("_count").to_owned()).collect()
}

#[test]
fn rules_and_dashboard_name_metrics_that_there_are() {
    let known: BTreeSet<String> = metrics::names().map(str::to_owned).collect();
    for file in ["prometheus/evergrant.rules.yml", "prometheus/evergrant.rules.test.yml", "grafana/evergrant.json"] {
        let named = named(file);
        assert!(named.len() >= 5, "{file} names {named:?}");
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}, which nothing exports");
    }
    let shown = named("grafana/evergrant.json");
    let unseen: Vec<_> = known.difference(&shown).collect();
    assert!(unseen.is_empty(), "the dashboard leaves out {unseen:?}");
}

#[tokio::test]
async fn a_running_server_exports_every_metric() {
    for app in App::each().await {
        let mut demo = app.demo().await;
        let org = demo.org_id("Harbour Group").await;
        demo.form("/api/session/switch-organization", &[("org_id", &org)]).await;
        let (status, _) = demo.call("/api/integrations/xero/refresh", &[("clicked", "false")]).await;
        assert_eq!(status, StatusCode::OK);
        let page = app.client.get(format!("{}/metrics", app.base)).bearer_auth(METRICS_TOKEN).send().await.unwrap();
        let page = page.text().await.unwrap();
        for name in metrics::names().filter(|name| *name != RARE) {
            assert!(page.contains(&format!("# TYPE {name} ")), "no {name} in {page}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_health_check_tells_a_ready_server_from_none() {
    let app = App::start(TestDatabase::sqlite()).await;
    let check = |port: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evergrant"));
        command.arg("healthcheck").env("EVERGRANT_LISTEN", format!("0.0.0.0:{port}"));
        tokio::task::block_in_place(|| command.output().unwrap())
    };
    let here = check(app.base.rsplit(':').next().unwrap());
    assert_eq!((here.status.code(), here.stdout.as_slice()), (Some(0), &b"ready\n"[..]));
    let nobody = check("1");
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("no answer from 127.0.0.1:1"));
}
