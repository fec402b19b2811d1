//! Tests of `evergrant export`, which hands refresh tokens over to another system.

use std::io::Read as _;
use std::process::Output;

use age::x25519::Identity;
use evergrant::model::{BindingStatus, GrantStatus};
use evergrant::server::store::Labels;
use serde_json::Value;
use sqlx::AssertSqlSafe;

use super::{CommandOutput, OperatorEnv};
use crate::support::databases::TestDatabase;
use crate::support::wait;

async fn export(env: &OperatorEnv, identity: &Identity, arguments: &[&str]) -> Output {
    let recipient = identity.to_public().to_string();
    let arguments = [&["export", "--yes", "--to", recipient.as_str()], arguments].concat();
    wait::run(env.command(&arguments, &[("EVERGRANT_XERO_TIMEOUT", "1s")])).await
}

fn stderr_of(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn decrypt(file: &[u8], identity: &Identity) -> String {
    let mut text = String::new();
    let decryptor = age::Decryptor::new(file).unwrap();
    decryptor.decrypt(std::iter::once(identity as &dyn age::Identity)).unwrap().read_to_string(&mut text).unwrap();
    text
}

async fn status_of(env: &OperatorEnv, grant: &evergrant::model::GrantId) -> GrantStatus {
    env.store.grant(grant).await.unwrap().unwrap().status
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exported_connections_go_on_in_a_second_database_and_stop_here(database: TestDatabase) {
    let second = database.empty_sibling().await;
    let env = OperatorEnv::on(database).await;
    let shop = env.connect("Harbour", &["harbour", "kauri"], 60).await;
    let labels = Labels { external_id: Some("customer-1".into()), tags: vec!["nz".into()], version: 0 };
    env.store.set_labels(&shop.org, &shop.bindings[0], &labels).await.unwrap();

    let identity = Identity::generate();
    let exported = export(&env, &identity, &["--org", "Harbour"]).await;
    assert_eq!(exported.status.code(), Some(0), "{}", stderr_of(&exported));
    let token = &shop.minted.refresh_token;
    assert!(!exported.stdout.windows(token.len()).any(|bytes| bytes == token.as_bytes()));
    let rows = decrypt(&exported.stdout, &identity);
    assert_eq!(rows.lines().filter(|row| row.contains(token.as_str())).count(), 2, "a row for each connection");

    // Here it is stopped: nothing is sent any more, and nobody is alarmed.
    let before = env.provider.exchange_count().await;
    assert_eq!(status_of(&env, &shop.grant).await, GrantStatus::RefreshFailed);
    let refused = env.run(&["grants", "refresh", "--grant", shop.grant.as_str()]).await;
    assert_ne!(refused.code, Some(0), "{}", refused.combined);
    let nothing = env.run(&["grants", "retry", "--all"]).await;
    assert!(nothing.code == Some(0) && nothing.stdout.contains("nothing to retry"), "{}", nothing.combined);
    let listed = env.run(&["grants", "list"]).await;
    assert!(
        listed.stdout.contains("exported") && listed.stdout.contains("Moved to another system"),
        "{}",
        listed.stdout
    );
    let doctor = env.run(&["doctor"]).await;
    assert!(doctor.stdout.contains("0 need reconnecting") && doctor.stdout.contains("1 exported"), "{}", doctor.stdout);
    assert_eq!(env.provider.exchange_count().await, before);

    // The second database goes on with the same app.
    let there = [("DATABASE_URL", second.url.as_str()), ("EVERGRANT_DATA_DIR", "second")];
    std::fs::write(env.folder.path().join("rows.jsonl"), &rows).unwrap();
    for (arguments, expected) in [
        (&["migrate"][..], ""),
        (&["org", "add", "--name", "Harbour"], ""),
        (&["import", "rows.jsonl", "--org", "Harbour", "--old-system-stopped"], "2 rows are done"),
        (&["grants", "refresh", "--org", "Harbour"], ""),
    ] {
        let output = env.run_with_settings(arguments, &there).await;
        assert!(output.code == Some(0) && output.stdout.contains(expected), "{arguments:?}: {}", output.combined);
    }
    assert_eq!(env.provider.exchange_count().await, before + 2, "the import's, and the refresh");
    let pool = second.open().await;
    let moved: Vec<(String, Option<String>)> = sqlx::query_as(
        "SELECT status, external_id FROM integration_tenant_bindings ORDER BY COALESCE(external_id, '')",
    )
    .fetch_all(pool.pool())
    .await
    .unwrap();
    assert_eq!(moved, [("active".to_owned(), None), ("active".to_owned(), Some("customer-1".to_owned()))]);
    let grants: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM integration_grants").fetch_one(pool.pool()).await.unwrap();
    assert_eq!(grants, 1, "both connections have the one token");
    pool.close().await;
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn export_is_taken_back_by_name_or_on_request(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let shop = env.connect("Harbour", &["harbour"], 60).await;
    let identity = Identity::generate();
    for arguments in
        [&["grants", "retry", "--grant", shop.grant.as_str()][..], &["grants", "retry", "--all", "--exported"]]
    {
        let exported = export(&env, &identity, &["--org-id", shop.org.as_str()]).await;
        assert_eq!(exported.status.code(), Some(0), "{}", stderr_of(&exported));
        let again = export(&env, &identity, &["--org-id", shop.org.as_str()]).await;
        assert!(again.status.code() == Some(1) && stderr_of(&again).contains("no working connection"));
        let back = env.run(arguments).await;
        assert!(back.code == Some(0) && back.stdout.contains("works again"), "{}", back.combined);
        let bound = env.store.binding(&shop.org, &shop.bindings[0]).await.unwrap().unwrap();
        assert_eq!((bound.binding.status, bound.binding.moved_at), (BindingStatus::Active, None));
        assert_eq!(status_of(&env, &shop.grant).await, GrantStatus::Active);
    }
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_stopped_by_an_export_that_is_refused(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let shop = env.connect("Harbour", &["harbour", "kauri"], 60).await;
    env.store.add_org("Empty").await.unwrap();
    let recipient = Identity::generate().to_public().to_string();
    let to = recipient.as_str();
    let (first, refused) = (shop.bindings[0].as_str(), "AGE-SECRET-KEY-1PASTEDBYMISTAKE");
    for (arguments, expected) in [
        (&["--org", "Harbour", "--to", refused, "--yes"][..], "isn't an age public key"),
        (&["--org", "Harbour", "--to", to], "pass --yes"),
        (&["--org", "Empty", "--to", to, "--yes"], "no working connection"),
        (&["--org", "Harbour", "--to", to, "--yes", "--binding", "none"], "no connection none"),
        (&["--org", "Harbour", "--to", to, "--yes", "--binding", first], "would stop too"),
    ] {
        let output = env.run(&[&["export"], arguments].concat()).await;
        assert!(output.code == Some(1) && output.combined.contains(expected), "{expected}: {}", output.combined);
        assert!(output.stdout.is_empty() && !output.combined.contains(refused), "{}", output.combined);
    }
    // The Xero user also connects another organization.
    let other = env.connect("Other", &["southerly"], 60).await;
    let output = env.run(&["export", "--org", "Harbour", "--to", to, "--yes"]).await;
    assert!(output.code == Some(1) && output.combined.contains("--allow-shared-users"), "{}", output.combined);
    for grant in [&shop.grant, &other.grant] {
        assert_eq!(status_of(&env, grant).await, GrantStatus::Active);
    }
    let identity = Identity::generate();
    let allowed = export(&env, &identity, &["--org", "Harbour", "--allow-shared-users"]).await;
    assert_eq!(allowed.status.code(), Some(0), "{}", stderr_of(&allowed));
    assert_eq!(status_of(&env, &other.grant).await, GrantStatus::Active);
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grant_whose_lease_stays_held_is_left_out_and_named(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let busy = env.connect("Harbour", &["harbour"], 60).await;
    let free = crate::support::consents::TestConsent::new(&env.store, &env.provider);
    let free = free.tenants(&["kauri"]).connect(busy.org.clone()).await;
    let until = env.clock.now() + 300;
    let held = format!(
        "UPDATE integration_grants SET lease_owner = 'another', lease_until = {until} WHERE id = '{}'",
        busy.grant
    );
    sqlx::query(AssertSqlSafe(held)).execute(env.store.database().pool()).await.unwrap();

    let identity = Identity::generate();
    let exported = export(&env, &identity, &["--org", "Harbour"]).await;
    let told = stderr_of(&exported);
    assert!(
        exported.status.code() == Some(1) && told.contains("left out") && told.contains(busy.grant.as_str()),
        "{told}"
    );
    let rows = decrypt(&exported.stdout, &identity);
    let tokens: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert_eq!(tokens.len(), 1, "{told}");
    assert_eq!(tokens[0]["refreshToken"], free.minted.refresh_token.as_str());
    assert_eq!(status_of(&env, &busy.grant).await, GrantStatus::Active);
    assert_eq!(status_of(&env, &free.grant).await, GrantStatus::RefreshFailed);
    let output = CommandOutput { code: exported.status.code(), stdout: String::new(), combined: told };
    output.assert_contains_no_secrets(&[&busy, &free]);
}
