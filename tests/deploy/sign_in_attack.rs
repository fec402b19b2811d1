//! A real process under hundreds of wrong passwords: its memory, its metrics and its log.

use futures::StreamExt;
use futures::stream;
use reqwest::StatusCode;
use tempfile::TempDir;

use crate::sandbox::Provider;
use crate::support::databases::TestDatabase;
use crate::support::instance::Instance;

/// How many passwords are tried, each for another account and from another network.
const TRIES: usize = 200;

/// The most memory that the process may hold afterwards, without the pages of its own file: the code of a build without
/// optimization takes 50 MB more than a release's.
const MAX_ALLOCATED_KIB: u64 = 64 * 1024;

fn allocated_kib(instance: &Instance) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", instance.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_wrong_passwords_leave_memory_below_100_megabytes() {
    let database = TestDatabase::sqlite();
    let provider = Provider::start().await;
    let data = TempDir::new().unwrap();
    let settings = [("EVERGRANT_TRUSTED_PROXIES", "127.0.0.1"), ("EVERGRANT_METRICS_TOKEN", "scrape-me")];
    let mut instance = Instance::start(&database, &provider, data.path(), &settings);
    let login = format!("{}/api/session/login", instance.base);
    let attempt = async |n: usize| {
        let email = format!("person{n}@example.com");
        let request = provider.client.post(&login).header("x-forwarded-for", format!("198.51.{}.{}", n / 250, n % 250));
        let answer = request.form(&[("email", email.as_str()), ("password", "a wrong password")]).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(answer.headers()["location"], "/login?problem=credentials");
    };
    stream::iter(0..TRIES).for_each_concurrent(32, attempt).await;
    let allocated = allocated_kib(&instance);
    assert!(allocated < MAX_ALLOCATED_KIB, "{allocated} KiB");

    let metrics = provider.client.get(format!("{}/metrics", instance.base)).bearer_auth("scrape-me");
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    let counted = format!("evergrant_sign_ins_total{{outcome=\"wrong_credentials\",limit=\"\"}} {TRIES}");
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
    instance.wait_for_log_line(|line| line["fields"]["message"] == "sign-in refused: wrong address or password");
}
