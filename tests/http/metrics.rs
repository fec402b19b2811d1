//! `/metrics`: who may read it, and what it contains.

use evergrant::server::startup::seed::DEMO_EMAIL;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, WWW_AUTHENTICATE};

use crate::sandbox::Provider;
use crate::support::databases::TestDatabase;
use crate::support::demo_server::{DemoServer, METRICS_TOKEN};
use crate::support::instance::Instance;
use crate::support::test_server::{PASSWORD, TestServer};

async fn scrape(app: &DemoServer) -> String {
    let answer = app.client.get(format!("{}/metrics", app.base)).bearer_auth(METRICS_TOKEN).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
    answer.text().await.unwrap()
}

#[track_caller]
fn assert_has_line(page: &str, line: &str) {
    assert!(page.lines().any(|existing| existing == line), "no {line} in {page}");
}

#[apply(each_database!)]
async fn metrics_require_their_token_and_count_requests_and_exchanges(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    for token in ["", "wrong", "scrape-m", "scrape-me-not"] {
        let answer = app.client.get(format!("{}/metrics", app.base)).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{token}");
        assert_eq!(answer.headers()[WWW_AUTHENTICATE], "Bearer");
    }
    let page = scrape(&app).await;
    for line in [
        "evergrant_database_up 1",
        "evergrant_grants{health=\"active\"} 1",
        "evergrant_grants{health=\"needs_reauth\"} 1",
        "evergrant_alarm_raised 0",
        "evergrant_breaker_open 0",
        "evergrant_spool_token_sets 0",
        "evergrant_commits_fenced_total 0",
    ] {
        assert_has_line(&page, line);
    }

    let demo = app.demo_in("Harbour Group").await;
    let org = demo.org_id("Harbour Group").await;
    demo.page_text("/settings/integrations").await;
    demo.get("/settings/integrations/some-id").await;
    let (status, report) = demo.call_server_fn("/api/integrations/xero/refresh", &[("clicked", "false")]).await;
    assert_eq!((status, &report["refreshedCount"]), (StatusCode::OK, &1.into()), "{report}");
    demo.call_server_fn("/api/no/such/function", &[]).await;
    let page = scrape(&app).await;
    for line in [
        "evergrant_exchanges_total{trigger=\"org_switch\",outcome=\"refreshed\"} 1",
        "evergrant_exchange_duration_seconds_count 1",
        "evergrant_http_requests_total{method=\"POST\",route=\"/api/integrations/xero/refresh\",status=\"200\"} 1",
        "evergrant_http_requests_total{method=\"GET\",route=\"/settings/integrations\",status=\"200\"} 1",
        "evergrant_http_requests_total{method=\"GET\",route=\"/metrics\",status=\"401\"} 4",
    ] {
        assert_has_line(&page, line);
    }
    for private in [org.as_str(), DEMO_EMAIL, METRICS_TOKEN, "some-id", "no/such", "v1.", "eyJ"] {
        assert!(!page.contains(private), "{private} in {page}");
    }
}

#[tokio::test]
async fn metrics_are_not_found_without_a_configured_token() {
    let web = TestServer::start().await;
    let answer = web.browser().client.get(format!("{}/metrics", web.base)).bearer_auth("").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn separate_listener_serves_only_metrics_and_without_a_token() {
    let (database, provider) = (TestDatabase::sqlite(), Provider::start().await);
    let folder = tempfile::TempDir::new().unwrap();
    let settings = [("EVERGRANT_METRICS_LISTEN", "127.0.0.1:0"), ("EVERGRANT_METRICS_TOKEN", "")];
    let instance = Instance::start(&database, &provider, folder.path(), &settings);
    let address = instance.startup_log.iter().find_map(|line| line["fields"]["metrics"].as_str()).unwrap();
    let get = async |address: String| provider.client.get(address).send().await.unwrap();
    let answer = get(format!("http://{address}/metrics")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_has_line(&answer.text().await.unwrap(), "evergrant_database_up 1");
    for elsewhere in [format!("http://{address}/healthz"), format!("{}/metrics", instance.base)] {
        assert_eq!(get(elsewhere.clone()).await.status(), StatusCode::NOT_FOUND, "{elsewhere}");
    }
}

#[tokio::test]
async fn refused_attempts_and_proofs_are_counted() {
    let flags = [("--metrics-token", METRICS_TOKEN)];
    let web = TestServer::with_flags(TestDatabase::sqlite(), &flags).await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let eve = web.browser();
    for _ in 0..11 {
        eve.set_cookie("evergrant_invited", "a-guess");
        eve.post("/api/invitations/accept", &[("email", "eve@example.com"), ("password", PASSWORD)]).await;
        ann.post("/api/session/proof", &[("proof", "wrong")]).await;
    }
    ann.post("/api/session/code", &[("code", "123456")]).await;
    ann.set_cookie("evergrant_sign_in", "of-yesterday");
    ann.post("/api/session/code", &[("code", "123456")]).await;
    let request = reqwest::Client::new().get(format!("{}/metrics", web.base)).bearer_auth(METRICS_TOKEN);
    let page = request.send().await.unwrap().text().await.unwrap();
    for line in [
        "evergrant_limited_attempts_total{purpose=\"invitation\",limit=\"account_and_network\"} 1",
        "evergrant_limited_attempts_total{purpose=\"login\",limit=\"known_browser\"} 1",
        "evergrant_limited_attempts_total{purpose=\"connect_link\",limit=\"account\"} 0",
        "evergrant_proofs_total{outcome=\"wrong_password\"} 10",
        "evergrant_proofs_total{outcome=\"limited\"} 1",
        "evergrant_sign_ins_total{outcome=\"limited\",limit=\"network\"} 0",
        "evergrant_sign_ins_total{outcome=\"wrong_code\",limit=\"\"} 0",
        "evergrant_sign_ins_total{outcome=\"expired\",limit=\"\"} 1",
    ] {
        assert_has_line(&page, line);
    }
    web.stop().await;
}
