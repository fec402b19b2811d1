//! Tests of `evergrant encryption-key rotate` while servers run.

mod load;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use evergrant::server::domain::{AccessToken, AttemptEnd, RefreshToken, TokenSet};
use evergrant::server::tokens::{Spool, SpooledRotation};
use serde_json::{Value, json};
use sqlx::Row as _;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use self::load::BackgroundLoad;
use super::{CommandOutput, OperatorEnv};
use crate::support::consents::{ConnectedOrg, TestConsent};
use crate::support::databases::TestDatabase;
use crate::support::instance::{Instance, seed_ana};
use crate::support::wait::{MAX_WAIT, within};

/// Number of grants that exist only to be resealed.
const IDLE_GRANTS: usize = 250;
/// The setting for a key ring in a file instead of the environment.
pub(super) const KEYS_FROM_FILE: (&str, &str) = ("EVERGRANT_KEYS", "");

fn key_file(env: &OperatorEnv) -> PathBuf {
    env.folder.path().join("data/keys")
}

/// Creates an environment whose key ring is in a file.
pub(super) async fn env_with_key_file(database: TestDatabase) -> OperatorEnv {
    let env = OperatorEnv::on(database).await;
    std::fs::write(key_file(&env), format!("test:{}=\n", "A".repeat(43))).unwrap();
    std::fs::set_permissions(key_file(&env), std::fs::Permissions::from_mode(0o600)).unwrap();
    env
}

fn key_ids(env: &OperatorEnv) -> Vec<String> {
    let text = std::fs::read_to_string(key_file(env)).unwrap();
    text.lines().map(|line| line.split(':').next().unwrap().to_owned()).collect()
}

/// Counts the tokens that are sealed with each of these keys, at one moment: servers seal meanwhile.
async fn count_sealed_with<const N: usize>(env: &OperatorEnv, kids: [&str; N]) -> [usize; N] {
    let all = sqlx::query("SELECT access_token_enc, refresh_token_enc FROM integration_grants");
    let rows = all.fetch_all(env.store.database().pool()).await.unwrap();
    let sealed: Vec<String> = rows.iter().flat_map(|row| [row.get(0), row.get(1)]).collect();
    kids.map(|kid| sealed.iter().filter(|sealed| sealed.starts_with(&format!("v1.{kid}."))).count())
}

/// Parses the last line of the output: the result, after the progress lines.
fn final_result(output: &CommandOutput) -> Value {
    serde_json::from_str(output.stdout.lines().last().unwrap_or_default())
        .unwrap_or_else(|_| panic!("{}", output.combined))
}

/// Returns the key with this id from a result.
fn key_with_id<'a>(result: &'a Value, kid: &str) -> &'a Value {
    let keys = result["keys"].as_array().unwrap();
    keys.iter().find(|key| key["kid"] == kid).unwrap_or_else(|| panic!("no {kid} in {result}"))
}

async fn insert_idle_grants(env: &OperatorEnv) {
    let org = env.store.add_org("Idle").await.unwrap();
    for _ in 0..IDLE_GRANTS {
        let consent = TestConsent::new(&env.store, &env.provider).access_seconds_left(1800);
        consent.insert_grant(&org).await;
    }
}

/// Starts a rotation and kills it after its first progress line about resealing.
async fn rotate_and_kill(env: &OperatorEnv) {
    let mut command =
        tokio::process::Command::from(env.command(&["encryption-key", "rotate", "--json"], &[KEYS_FROM_FILE]));
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = Vec::new();
    let sealing = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            seen.push(line);
            if seen.last().is_some_and(|line| line.contains("resealed")) {
                return true;
            }
        }
        false
    };
    let is_sealing = within("progress of the resealing", MAX_WAIT, sealing).await;
    child.kill().await.unwrap();
    assert!(is_sealing && seen[0].contains(r#""progress":"made""#), "{seen:?}");
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_under_load_fails_no_request_and_resumes_after_a_kill(database: TestDatabase) {
    let db = database.name;
    let env = env_with_key_file(database).await;
    // Shorter than the refresh buffer, so every call finds the grant due.
    env.provider.control("settings", json!({ "access_ttl": 300 })).await;
    let org = seed_ana(&env.store).await;
    let connected = TestConsent::new(&env.store, &env.provider).access_seconds_left(300).connect(org).await;
    insert_idle_grants(&env).await;
    let another = TempDir::new().unwrap();
    let shared = key_file(&env).display().to_string();
    let settings = [KEYS_FROM_FILE, ("EVERGRANT_KEYS_FILE", shared.as_str())];
    let mut servers = vec![Instance::start(&env.database, &env.provider, env.folder.path(), &settings)];
    if db == "PostgreSQL" {
        servers.push(Instance::start(&env.database, &env.provider, another.path(), &settings));
    }
    let load = BackgroundLoad::on(&env, &servers).await;
    load.wait_for_rounds(2).await;

    rotate_and_kill(&env).await;
    let ring = key_ids(&env);
    assert_eq!((ring.len(), ring[1].as_str()), (2, "test"), "{db}");
    let [new, old] = count_sealed_with(&env, [&ring[0], "test"]).await;
    assert!(new > 0 && old > 0 && new + old == 2 * (IDLE_GRANTS + 1), "{db}: {new}, {old}");
    load.wait_for_rounds(4).await;

    let output = env.run_with_settings(&["encryption-key", "rotate", "--json"], &[KEYS_FROM_FILE]).await;
    assert_eq!(output.code, Some(0), "{db}: {}", output.combined);
    assert!(output.stdout.starts_with(r#"{"kid":"#) && output.stdout.contains("resumed"), "{db}: {}", output.combined);
    let ended = final_result(&output);
    assert_eq!((key_ids(&env), &ended["kid"]), (ring.clone(), &json!(ring[0])), "{db}: no second key is created");
    assert_eq!((count_sealed_with(&env, ["test"]).await, &ended["refused"]), ([0], &json!([])), "{db}");
    assert_eq!(
        (&key_with_id(&ended, "test")["mayGo"], &key_with_id(&ended, &ring[0])["mayGo"]),
        (&json!(true), &json!(false))
    );
    load.wait_for_rounds(4).await;
    assert_eq!(count_sealed_with(&env, ["test"]).await, [0], "{db}: the servers seal with the new key");

    let soon = env.run_with_settings(&["encryption-key", "rotate", "--retire"], &[KEYS_FROM_FILE]).await;
    assert!(soon.code == Some(1) && soon.combined.contains("again in a minute"), "{db}: {}", soon.combined);
    sqlx::query("UPDATE instances SET sealing_since = 0").execute(env.store.database().pool()).await.unwrap();
    let retired = env.run_with_settings(&["encryption-key", "rotate", "--retire", "--json"], &[KEYS_FROM_FILE]).await;
    assert_eq!(
        (retired.code, final_result(&retired)),
        (Some(0), json!({ "retired": ["test"] })),
        "{db}: {}",
        retired.combined
    );
    assert_eq!(key_ids(&env), ring[..1], "{db}");
    load.wait_for_rounds(2).await;
    load.stop_and_assert_no_failures(db).await;

    // A server starts with only the new key.
    servers.clear();
    let server = [Instance::start(&env.database, &env.provider, env.folder.path(), &settings)];
    let load = BackgroundLoad::on(&env, &server).await;
    load.wait_for_rounds(1).await;
    load.stop_and_assert_no_failures(db).await;
    for output in [output, soon, retired] {
        output.assert_contains_no_secrets(&[&connected]);
    }
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sealed_with_a_key_that_a_running_server_lacks(database: TestDatabase) {
    let env = env_with_key_file(database).await;
    let shop = env.connect("Corner Shop", &["southerly"], 1800).await;
    let elsewhere = TempDir::new().unwrap();
    // This server has its own copy of the old key ring.
    let mut server = Instance::start(&env.database, &env.provider, elsewhere.path(), &[]);
    let output = env.run_with_settings(&["encryption-key", "rotate", "--wait", "1s"], &[KEYS_FROM_FILE]).await;
    let who = server.base.trim_start_matches("http://");
    assert!(
        output.code == Some(1) && output.combined.contains(&format!("{who} can't use key k")),
        "{}",
        output.combined
    );
    assert_eq!((key_ids(&env).len(), count_sealed_with(&env, ["test"]).await), (2, [2]), "{}", env.database.name);
    let doctor = env.run_with_settings(&["doctor"], &[KEYS_FROM_FILE]).await;
    assert!(doctor.stdout.contains(&format!("yet: {who}")) && doctor.code == Some(0), "{}", doctor.combined);

    server.kill();
    let ring = std::fs::read_to_string(key_file(&env)).unwrap();
    let _server = Instance::start(&env.database, &env.provider, elsewhere.path(), &[("EVERGRANT_KEYS", &ring)]);
    let output = env.run_with_settings(&["encryption-key", "rotate"], &[KEYS_FROM_FILE]).await;
    assert!(output.code == Some(0) && output.stdout.starts_with("Resuming with key k"), "{}", output.combined);
    assert!(output.stdout.contains("Nothing needs test any more"), "{}", output.combined);
    assert_eq!((key_ids(&env).len(), count_sealed_with(&env, ["test"]).await), (2, [0]));
    output.assert_contains_no_secrets(&[&shop]);
}

/// Spools a successor token set of the grant, sealed with the key `test`.
async fn spool_successor(env: &OperatorEnv, connected: &ConnectedOrg) {
    let held = env.store.grant(&connected.grant).await.unwrap().unwrap();
    let tokens = TokenSet {
        access_token: AccessToken::new("a2"),
        refresh_token: RefreshToken::new("r2"),
        expires_at: held.expires_at,
        scopes: String::new(),
    };
    let rotation = env.store.seal_rotation(&held, &tokens).unwrap();
    let end = AttemptEnd::refreshed(Some(200), None);
    let kept = SpooledRotation { rotation, attempt: "an attempt".into(), end, lease_owner: None };
    Spool::open(&env.folder.path().join("data/spool")).unwrap().insert(&kept).unwrap();
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_is_not_retired_while_a_spooled_token_set_needs_it(database: TestDatabase) {
    let env = env_with_key_file(database).await;
    let shop = env.connect("Corner Shop", &["southerly"], 1800).await;
    spool_successor(&env, &shop).await;
    let output = env.run_with_settings(&["encryption-key", "rotate"], &[KEYS_FROM_FILE]).await;
    assert!(
        output.code == Some(0) && output.stdout.contains("Keep test. It is needed by token sets"),
        "{}",
        output.combined
    );
    let retired = env.run_with_settings(&["encryption-key", "rotate", "--retire"], &[KEYS_FROM_FILE]).await;
    assert!(retired.code == Some(0) && retired.stdout.starts_with("No key can be removed"), "{}", retired.combined);
    let doctor = env.run_with_settings(&["doctor"], &[KEYS_FROM_FILE]).await;
    assert!(
        doctor.stdout.contains(&format!("1 token set is waiting for the database, of {}", shop.grant)),
        "{}",
        doctor.combined
    );

    // A refresh commits it, still sealed with the old key. The next rotation reseals it.
    let refreshed = env.run_with_settings(&["grants", "refresh", "--all-due"], &[KEYS_FROM_FILE]).await;
    assert_eq!((refreshed.code, count_sealed_with(&env, ["test"]).await), (Some(0), [2]), "{}", refreshed.combined);
    let doctor = env.run_with_settings(&["doctor"], &[KEYS_FROM_FILE]).await;
    assert!(doctor.stdout.contains("encryption-key rotate to seal the rest"), "{}", doctor.combined);
    let again = env.run_with_settings(&["encryption-key", "rotate"], &[KEYS_FROM_FILE]).await;
    assert!(again.code == Some(0) && again.stdout.contains("Nothing needs test any more"), "{}", again.combined);
    let retired = env.run_with_settings(&["encryption-key", "rotate", "--retire"], &[KEYS_FROM_FILE]).await;
    assert!(retired.code == Some(0) && retired.stdout.starts_with("Removed test from"), "{}", retired.combined);
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_ring_in_the_environment_is_edited_by_hand_and_resealed_by_the_command(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    env.connect("Corner Shop", &["southerly"], 1800).await;
    let output = env.run(&["encryption-key", "rotate"]).await;
    assert!(output.code == Some(1) && output.combined.contains("Put a new key before it"), "{}", output.combined);
    let both = format!("next:{}=,test:{}=", "I".repeat(43), "A".repeat(43));
    let output = env.run_with_settings(&["encryption-key", "rotate"], &[("EVERGRANT_KEYS", &both)]).await;
    assert!(output.code == Some(0) && output.stdout.starts_with("Resuming with key next"), "{}", output.combined);
    assert_eq!(count_sealed_with(&env, ["test", "next"]).await, [0, 2]);
    let output = env.run_with_settings(&["encryption-key", "rotate", "--retire"], &[("EVERGRANT_KEYS", &both)]).await;
    assert!(output.code == Some(1) && output.combined.contains("Remove from it: test"), "{}", output.combined);
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapped_and_truncated_sealed_columns_are_reported_and_left_unchanged(database: TestDatabase) {
    let env = env_with_key_file(database).await;
    let shop = env.connect("Corner Shop", &["southerly"], 1800).await;
    let group = env.connect("Harbour Group", &["harbour"], 1800).await;
    let rename = [
        // One access token is another grant's, and one refresh token is truncated.
        format!(
            "UPDATE integration_grants SET access_token_enc = (SELECT access_token_enc FROM integration_grants \
             WHERE id = '{}') WHERE id = '{}'",
            group.grant, shop.grant
        ),
        format!(
            "UPDATE integration_grants SET refresh_token_enc = SUBSTR(refresh_token_enc, 1, 60) WHERE id = '{}'",
            group.grant
        ),
    ];
    for statement in rename {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(env.store.database().pool()).await.unwrap();
    }
    let named = [format!("access token of grant {}", shop.grant), format!("refresh token of grant {}", group.grant)];
    let doctor = env.run_with_settings(&["doctor"], &[KEYS_FROM_FILE]).await;
    let rotated = env.run_with_settings(&["encryption-key", "rotate", "--json"], &[KEYS_FROM_FILE]).await;
    assert_eq!((doctor.code, rotated.code), (Some(1), Some(1)), "{}{}", doctor.combined, rotated.combined);
    let ended = final_result(&rotated);
    for name in named {
        assert!(doctor.stdout.contains(&name) && ended["refused"].to_string().contains(&name), "{}", doctor.combined);
    }
    assert_eq!((&ended["resealed"], &key_with_id(&ended, "test")["mayGo"]), (&json!(2), &json!(false)), "{ended}");
    let refused =
        env.run_with_settings(&["grants", "refresh", "--grant", group.grant.as_str()], &[KEYS_FROM_FILE]).await;
    assert!(
        refused.code == Some(1) && refused.combined.contains("failed to open refresh token"),
        "{}",
        refused.combined
    );
    for output in [doctor, rotated, refused] {
        output.assert_contains_no_secrets(&[&shop, &group]);
    }
}
