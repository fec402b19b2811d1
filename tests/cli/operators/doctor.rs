//! Tests of `evergrant doctor`.

use std::os::unix::fs::PermissionsExt as _;

use evergrant::model::{Role, Trigger};
use evergrant::server::domain::Secret;
use evergrant::server::store::{NewAttempt, NewUser};
use serde_json::Value;

use super::{CommandOutput, OperatorEnv};
use crate::support::databases::TestDatabase;
use crate::support::http::CLOSED_ADDRESS;
use crate::support::instance::Instance;
use crate::support::oidc::FakeOidc;

/// Returns the verdict and the text (finding and remedy) of one check of a report.
pub fn verdict_and_text(report: &Value, name: &str) -> (String, String) {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}"));
    let text = format!("{} {}", check["found"].as_str().unwrap(), check["toDo"].as_str().unwrap_or_default());
    (check["verdict"].as_str().unwrap().to_owned(), text)
}

/// Asserts the verdict and words of one check, and that every other check passed.
pub fn assert_only_finding(output: &CommandOutput, name: &str, verdict: &str, words: &[&str]) {
    let report = output.json();
    let (got, text) = verdict_and_text(&report, name);
    assert_eq!(got, verdict, "{report}");
    for word in words {
        assert!(text.contains(word), "{name}: {text}");
    }
    assert_eq!(report["verdict"], verdict, "{report}");
    assert_eq!(output.code, Some(i32::from(verdict == "fail")), "{}", output.combined);
    let others = report["checks"].as_array().unwrap().iter().filter(|check| check["name"] != name);
    for other in others {
        assert_eq!(other["verdict"], "ok", "{report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clerk_settings_are_checked_and_local_users_are_refused_with_clerk() {
    let env = OperatorEnv::on(TestDatabase::sqlite()).await;
    // Nothing listens on port 9, so the key set cannot be fetched.
    let settings = [("EVERGRANT_AUTH", "clerk"), ("CLERK_PUBLISHABLE_KEY", "pk_test_MTI3LjAuMC4xOjkk")];
    let report = env.run_with_settings(&["doctor", "--json"], &settings).await.json();
    let (verdict, text) = verdict_and_text(&report, "Clerk");
    assert!(verdict == "fail" && text.contains(CLOSED_ADDRESS) && text.contains("CLERK_JWT_KEY"), "{text}");
    assert_eq!(verdict_and_text(&report, "Clerk's webhooks").0, "warn");
    assert_eq!(verdict_and_text(&report, "Clerk's parties").0, "ok");
    let foreign = [settings[0], settings[1], ("CLERK_AUTHORIZED_PARTIES", "https://elsewhere.example")];
    let report = env.run_with_settings(&["doctor", "--json"], &foreign).await.json();
    assert_eq!(verdict_and_text(&report, "Clerk's parties").0, "fail");

    let add = ["user", "add", "--email", "ann@example.com", "--password", "correct horse battery"];
    let output = env.run_with_settings(&add, &settings).await;
    assert!(output.code == Some(1) && output.combined.contains("invite them there"), "{}", output.combined);
    let output = env.run_with_settings(&["user", "add", "--email", "a@b.c"], &[settings[0]]).await;
    assert!(output.code == Some(2) && output.combined.contains("needs CLERK_PUBLISHABLE_KEY"), "{}", output.combined);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_in_provider_is_asked_for_its_keys() {
    let provider = FakeOidc::on(TestDatabase::sqlite(), &[]).await;
    let env = OperatorEnv::on(TestDatabase::sqlite()).await;
    let issuer = ("EVERGRANT_OIDC_ISSUER", provider.issuer());
    let settings = [issuer, ("EVERGRANT_OIDC_CLIENT_ID", "evergrant"), ("EVERGRANT_OIDC_CLIENT_SECRET", "x")];
    let report = env.run_with_settings(&["doctor", "--json"], &settings).await.json();
    let (verdict, text) = verdict_and_text(&report, "OpenID Connect");
    assert!(verdict == "ok" && text.contains("1 key"), "{text}");

    provider.set_down(true);
    let report = env.run_with_settings(&["doctor", "--json"], &settings).await.json();
    let (verdict, text) = verdict_and_text(&report, "OpenID Connect");
    assert!(verdict == "fail" && text.contains("EVERGRANT_OIDC_ISSUER"), "{text}");
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn healthy_installation_passes_every_check(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let shop = env.connect("Corner Shop", &["southerly"], 1800).await;
    let output = env.run(&["doctor", "--json"]).await;
    let report = output.json();
    assert_eq!((output.code, &report["verdict"]), (Some(0), &Value::from("ok")), "{}", output.combined);
    let names: Vec<&str> =
        report["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect();
    let expected = [
        "settings",
        "data directory",
        "key file",
        "database",
        "database clock",
        "key ring",
        "key uses",
        "keys in use",
        "sealed texts",
        "attempts",
        "app",
        "refusals",
        "grants",
        "scopes",
        "email",
        "proxies",
        "spool",
        "Xero",
        "clock",
    ];
    assert_eq!(names, expected);
    assert!(verdict_and_text(&report, "database").1.contains(env.database.name), "{report}");
    assert!(
        verdict_and_text(&report, "grants").1.starts_with("1 active, 0 of them failing; 0 need reconnecting"),
        "{report}"
    );

    let table = env.run(&["doctor"]).await;
    assert!(table.code == Some(0) && table.stdout.starts_with("ok    settings "), "{}", table.combined);
    assert_eq!(table.stdout.lines().count(), expected.len(), "{}", table.stdout);
    for output in [output, table] {
        output.assert_contains_no_secrets(&[&shop]);
    }
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_and_missing_encryption_keys_are_reported(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let shop = env.connect("Corner Shop", &["southerly"], 1800).await;
    let other = format!("other:{}=", "I".repeat(43));
    let output = env.run_with_settings(&["doctor", "--json"], &[("EVERGRANT_KEYS", &other)]).await;
    assert_only_finding(
        &output,
        "key ring",
        "fail",
        &["sealed with key test", shop.grant.as_str(), "Restore the keys"],
    );
    assert!(!output.combined.contains(&other[6..]), "{}", output.combined);

    // Without any key, the missing file is named and none is created.
    let output = env.run_with_settings(&["doctor", "--json"], &[("EVERGRANT_KEYS", "")]).await;
    assert_only_finding(&output, "key ring", "fail", &["data/keys doesn't exist", "Restore the keys"]);
    assert!(!env.folder.path().join("data/keys").exists());
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapped_sealed_column_is_reported_with_its_grant(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let shop = env.connect("Corner Shop", &["southerly"], 1800).await;
    sqlx::query("UPDATE integration_grants SET access_token_enc = refresh_token_enc")
        .execute(env.store.database().pool())
        .await
        .unwrap();
    let output = env.run(&["doctor", "--json"]).await;
    assert_only_finding(&output, "sealed texts", "fail", &[shop.grant.as_str(), "doesn't open", "or reconnect them"]);
    output.assert_contains_no_secrets(&[&shop]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_skew_is_reported() {
    for (ahead, verdict) in [(90, "warn"), (900, "fail")] {
        let env =
            OperatorEnv::with_sandbox_options(TestDatabase::sqlite(), |options| options.clock_ahead = ahead).await;
        let output = env.run(&["doctor", "--json"]).await;
        assert_only_finding(&output, "clock", verdict, &["seconds behind Xero's", "NTP"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_or_wrong_provider_fails_with_a_remedy() {
    let env = OperatorEnv::on(TestDatabase::sqlite()).await;
    let unreachable = format!("http://{CLOSED_ADDRESS}");
    let output = env.run_with_settings(&["doctor", "--json"], &[("XERO_IDENTITY_URL", &unreachable)]).await;
    assert_only_finding(
        &output,
        "Xero",
        "fail",
        &[&unreachable, "can't be reached (connect)", "Check XERO_IDENTITY_URL"],
    );

    let elsewhere = format!("{}/elsewhere", env.provider.base);
    let output = env.run_with_settings(&["doctor", "--json"], &[("XERO_IDENTITY_URL", &elsewhere)]).await;
    assert_only_finding(&output, "Xero", "fail", &["isn't Xero (http_404)"]);
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_attempts_and_expiring_grants_are_counted(database: TestDatabase) {
    const DAY: i64 = 24 * 60 * 60;
    let env = OperatorEnv::on(database).await;
    let shop = env.connect("Corner Shop", &["southerly"], 1800).await;
    let pool = env.store.database().pool();
    let now = env.clock.now();
    let lease = env.store.acquire_lease(&shop.grant, "dies", now + 60).await.unwrap().unwrap();
    env.store.start_attempt(&lease, NewAttempt::by(Trigger::Sweep)).await.unwrap();
    env.store.release_lease(&lease).await.unwrap();
    sqlx::query("UPDATE refresh_attempts SET started_at = $1").bind(now - 120).execute(pool).await.unwrap();
    let output = env.run(&["doctor", "--json"]).await;
    assert_only_finding(
        &output,
        "attempts",
        "warn",
        &["1 exchange started", shop.grant.as_str(), "grants refresh --grant"],
    );
    sqlx::query("DELETE FROM refresh_attempts").execute(pool).await.unwrap();

    for (days, verdict, to_do) in [(47, "warn", "--all-due"), (56, "fail", "sixty days")] {
        sqlx::query("UPDATE integration_grants SET refresh_token_issued_at = $1")
            .bind(now - days * DAY)
            .execute(pool)
            .await
            .unwrap();
        let output = env.run(&["doctor", "--json"]).await;
        assert_only_finding(&output, "grants", verdict, &[to_do, shop.grant.as_str()]);
    }
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn email_that_no_server_sends_is_reported(database: TestDatabase) {
    const HOUR: i64 = 60 * 60;
    let env = OperatorEnv::on(database).await;
    let shop = env.connect("Corner Shop", &["southerly"], 1800).await;
    let new = NewUser { email: "ann@example.com", password_hash: &Secret::new("hash"), org: None };
    let ann = env.store.add_user(new).await.unwrap().user;
    env.store.add_member(&shop.org, &ann, Role::Owner).await.unwrap();
    env.store.record_mailer_heartbeat().await.unwrap();
    env.store.raise_credentials_alarm("invalid_client").await.unwrap();
    env.store.fan_out(10).await.unwrap();
    assert_eq!(verdict_and_text(&env.run(&["doctor", "--json"]).await.json(), "email").0, "ok");

    let pool = env.store.database().pool();
    let long_ago = env.clock.now() - 2 * HOUR;
    sqlx::query("UPDATE deliveries SET next_attempt_at = $1").bind(long_ago).execute(pool).await.unwrap();
    let output = env.run(&["doctor", "--json"]).await;
    assert_only_finding(&output, "email", "warn", &["1 message has waited", "although", "the mail server answers"]);
    sqlx::query("UPDATE mailer_heartbeat SET seen_at = $1").bind(long_ago).execute(pool).await.unwrap();
    let output = env.run(&["doctor", "--json"]).await;
    assert_only_finding(&output, "email", "warn", &["no server with a mail server has run", "EVERGRANT_SMTP_URL"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readable_data_directory_and_unreadable_spool_file_are_warnings() {
    let env = OperatorEnv::on(TestDatabase::sqlite()).await;
    let data = env.folder.path().join("data");
    let allow = |mode| std::fs::set_permissions(&data, std::fs::Permissions::from_mode(mode)).unwrap();
    allow(0o755);
    let output = env.run(&["doctor", "--json"]).await;
    assert_only_finding(&output, "data directory", "warn", &["mode 0755", "chmod 700 data"]);
    allow(0o700);

    std::fs::create_dir(data.join("spool")).unwrap();
    std::fs::write(data.join("spool/g.json"), "{").unwrap();
    let output = env.run(&["doctor", "--json"]).await;
    assert_only_finding(&output, "spool", "warn", &["1 file can't be read", "data/spool/g.json"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_creates_nothing_and_reports_invalid_settings() {
    let env = OperatorEnv::on(TestDatabase::sqlite()).await;
    let empty = [("EVERGRANT_DATA_DIR", "elsewhere"), ("DATABASE_URL", ""), ("EVERGRANT_KEYS", "")];
    let sandbox = [("XERO_CLIENT_ID", ""), ("XERO_CLIENT_SECRET", "")];
    let output = env.run_with_settings(&["doctor", "--json"], &[empty.as_slice(), &sandbox].concat()).await;
    assert_only_finding(&output, "database", "warn", &["none yet", "evergrant migrate"]);
    assert!(verdict_and_text(&output.json(), "Xero").1.contains("Sandbox mode"), "{}", output.combined);
    assert!(!env.folder.path().join("elsewhere").exists());

    let half = env.run_with_settings(&["doctor", "--json"], &[("XERO_CLIENT_SECRET", "")]).await;
    assert_only_finding(&half, "settings", "fail", &["XERO_CLIENT_SECRET isn't set"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_database_is_reported_without_its_password() {
    let env = OperatorEnv::on(TestDatabase::sqlite()).await;
    let unreachable = format!("postgres://evergrant:hunter2@{CLOSED_ADDRESS}/evergrant");
    let output = env.run_with_settings(&["doctor", "--json"], &[("DATABASE_URL", &unreachable)]).await;
    assert_only_finding(&output, "database", "fail", &["refused", "Check DATABASE_URL"]);
    assert!(!output.combined.contains("hunter2"), "{}", output.combined);
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schema_mismatch_is_reported_with_a_remedy(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let pool = env.store.database().pool();
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 SELECT 999999, 'more columns', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
    sqlx::query(later).execute(pool).await.unwrap();
    let output = env.run(&["doctor", "--json"]).await;
    assert_only_finding(&output, "database", "warn", &["has only added", "install it here too"]);
    let breaking = "UPDATE _sqlx_migrations SET description = 'breaking: tokens' WHERE version = 999999";
    sqlx::query(breaking).execute(pool).await.unwrap();
    let output = env.run(&["doctor", "--json"]).await;
    assert_only_finding(&output, "database", "fail", &["can't work with", "Install", "restore"]);
    sqlx::query("DELETE FROM _sqlx_migrations").execute(pool).await.unwrap();
    let output = env.run(&["doctor", "--json"]).await;
    assert_only_finding(&output, "database", "fail", &["older than this Evergrant", "evergrant migrate"]);
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_that_forwards_without_being_trusted_is_named_once_in_the_log_and_by_doctor(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let mut instance = Instance::start(&env.database, &env.provider, env.folder.path(), &[]);
    let client = reqwest::Client::new();
    for _ in 0..3 {
        let login = client.post(format!("{}/api/session/login", instance.base)).header("x-forwarded-for", "192.0.2.1");
        login.form(&[("email", "nobody@example.com"), ("password", "wrong")]).send().await.unwrap();
    }
    instance.send_sigterm();
    let log = instance.log_until_exit();
    let text = |line: &Value| line["fields"]["message"].as_str().unwrap_or_default().to_owned();
    let named = log.iter().filter(|line| text(line).starts_with("X-Forwarded-For from an untrusted peer"));
    let named: Vec<_> = named.map(|line| line["fields"]["peer"].as_str().unwrap_or_default()).collect();
    assert_eq!(named, ["127.0.0.1"], "{log:?}");

    let output = env.run(&["doctor", "--json"]).await;
    assert_only_finding(&output, "proxies", "warn", &["127.0.0.1", "EVERGRANT_TRUSTED_PROXIES"]);
    let trusted = [("EVERGRANT_TRUSTED_PROXIES", "127.0.0.1")];
    let report = env.run_with_settings(&["doctor", "--json"], &trusted).await.json();
    assert_eq!(verdict_and_text(&report, "proxies").0, "ok");
}
