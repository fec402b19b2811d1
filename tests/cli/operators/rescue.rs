//! Tests of `evergrant grants rescue`, which replaces a grant's tokens with an operator's.

use evergrant::model::{BindingStatus, GrantStatus, Outcome};
use evergrant::server::domain::Grant;
use serde_json::{Value, json};

use super::grants::rename_table;
use super::{CommandOutput, OperatorEnv};
use crate::support::consents::ConnectedOrg;
use crate::support::databases::TestDatabase;

/// Returns the refresh token of another consent, as an operator might have it from elsewhere.
pub(super) async fn mint_refresh_token(env: &OperatorEnv, person: &'static str, tenant: &'static str) -> String {
    let sandbox = env.provider.sandbox.clone();
    let minted = tokio::task::spawn_blocking(move || sandbox.mint(person, &[tenant], 1800).unwrap()).await.unwrap();
    minted.refresh_token
}

/// Connects a grant that then ends at Xero.
pub(super) async fn connect_ended_grant(env: &OperatorEnv) -> ConnectedOrg {
    let shop = env.connect("Corner Shop", &["southerly"], 60).await;
    let (sandbox, token) = (env.provider.sandbox.clone(), shop.minted.refresh_token.clone());
    tokio::task::spawn_blocking(move || sandbox.revoke_grant(&token)).await.unwrap().unwrap();
    assert_eq!(env.run(&["grants", "refresh", "--all-due"]).await.code, Some(1));
    assert_eq!(read_grant(env, &shop).await.status, GrantStatus::RefreshFailed);
    shop
}

async fn read_grant(env: &OperatorEnv, connected: &ConnectedOrg) -> Grant {
    env.store.grant(&connected.grant).await.unwrap().unwrap()
}

async fn rescue(env: &OperatorEnv, connected: &ConnectedOrg, extra_arguments: &[&str], token: &str) -> CommandOutput {
    let arguments = [&["grants", "rescue", "--grant", connected.grant.as_str()], extra_arguments].concat();
    let output = env.run_with_input(&arguments, &format!("{token}\n")).await;
    assert!(!output.combined.contains(token), "{}", output.combined);
    output
}

/// Returns outcome and error code of the newest attempt that did not end in `reconnect`.
async fn last_attempt_result(env: &OperatorEnv, connected: &ConnectedOrg) -> (Outcome, Option<String>) {
    let attempts = env.store.attempts_of_binding(&connected.org, &connected.bindings[0], 50).await.unwrap();
    assert!(
        attempts.iter().all(|attempt| attempt.trigger.as_str() == "cli" && attempt.finished_at.is_some()),
        "{attempts:?}"
    );
    let last = attempts.into_iter().find(|attempt| attempt.outcome != Outcome::Reconnect).unwrap();
    (last.outcome, last.error_code)
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rescue_restores_an_ended_grant_and_its_bindings(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let shop = connect_ended_grant(&env).await;
    let token = mint_refresh_token(&env, "mere", "southerly").await;
    let output = rescue(&env, &shop, &["--json"], &token).await;
    let expected = json!({"grantId": shop.grant, "outcome": "rescued", "generation": 1, "notConnected": []});
    assert_eq!((output.code, output.json()), (Some(0), expected), "{}", output.combined);
    let bound = env.store.binding(&shop.org, &shop.bindings[0]).await.unwrap().unwrap();
    let grant = bound.grant.unwrap();
    assert_eq!((bound.binding.status, grant.status), (BindingStatus::Active, GrantStatus::Active));
    assert_eq!((grant.generation, grant.failure_count, &grant.lease, &grant.last_error), (1, 0, &None, &None));
    assert_ne!(grant.auth_event_id, shop.minted.auth_event_id, "the grant belongs to another consent now");
    assert_eq!(last_attempt_result(&env, &shop).await, (Outcome::Refreshed, None));
    // Xero replays its response to the same token. The row already has it, so the generation stays.
    let again = rescue(&env, &shop, &["--json"], &token).await;
    assert_eq!(
        (again.code, again.json(), read_grant(&env, &shop).await),
        (Some(0), output.json(), grant),
        "{}",
        again.combined
    );
    // The stored token is the successor, and it works.
    let refreshed = env.run(&["grants", "refresh", "--grant", shop.grant.as_str()]).await;
    assert!(refreshed.code == Some(0) && refreshed.stdout.contains("refreshed."), "{}", refreshed.combined);
    output.assert_contains_no_secrets(&[&shop]);
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_token_changes_nothing_and_is_explained(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let shop = connect_ended_grant(&env).await;
    let before = read_grant(&env, &shop).await;
    let refused = rescue(&env, &shop, &[], "never-issued-to-anybody").await;
    assert!(
        refused.code == Some(1) && refused.combined.contains("Xero refused this token (invalid_grant)"),
        "{}",
        refused.combined
    );
    assert_eq!(last_attempt_result(&env, &shop).await, (Outcome::Refused, Some("invalid_grant".into())));

    env.provider.inject_fault(json!({"endpoint": "token", "kind": "status", "status": 503})).await;
    let token = mint_refresh_token(&env, "mere", "southerly").await;
    let unavailable = rescue(&env, &shop, &[], &token).await;
    assert!(
        unavailable.code == Some(1) && unavailable.combined.contains("with the same token within 30 minutes"),
        "{}",
        unavailable.combined
    );

    let other_users_token = mint_refresh_token(&env, "jonas", "southerly").await;
    let other_user = rescue(&env, &shop, &[], &other_users_token).await;
    assert!(
        other_user.code == Some(1) && other_user.combined.contains("another Xero user ("),
        "{}",
        other_user.combined
    );
    assert_eq!(read_grant(&env, &shop).await, before);

    // With the flag it is accepted: Xero honors the same token again within its replay window.
    let accepted = rescue(&env, &shop, &["--another-user"], &other_users_token).await;
    assert!(
        accepted.code == Some(0) && accepted.stdout.contains("its connections work again"),
        "{}",
        accepted.combined
    );
    let grant = read_grant(&env, &shop).await;
    assert!(grant.status == GrantStatus::Active && grant.xero_user_id != before.xero_user_id);
    let bound = env.store.binding(&shop.org, &shop.bindings[0]).await.unwrap().unwrap();
    assert_ne!(
        bound.binding.tenant.connection_id, shop.minted.connections[0].id,
        "the binding names the new user's connection"
    );

    for (arguments, words) in [
        (["grants", "rescue", "--grant", "no-such"], "there is no grant no-such"),
        (["grants", "rescue", "--grant", shop.grant.as_str()], "expected one line with nothing else on it"),
    ] {
        let input = if words.starts_with("there") { "a-token\n" } else { "two words\n" };
        let output = env.run_with_input(&arguments, input).await;
        assert!(output.code == Some(1) && output.combined.contains(words), "{}", output.combined);
    }
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rescue_waits_for_a_running_exchange_and_never_overwrites_a_newer_token(database: TestDatabase) {
    let env = OperatorEnv::on(database).await;
    let shop = env.connect("Corner Shop", &["southerly"], 60).await;
    let token = mint_refresh_token(&env, "mere", "southerly").await;
    env.provider.control("hold", json!({})).await;
    let refreshing = env.run(&["grants", "refresh", "--all-due"]);
    let rescuing = async {
        env.provider.waiting(1).await;
        let rescuing = rescue(&env, &shop, &[], &token);
        let release = async {
            // The refresh holds the lease, so no other request reaches Xero until it is released.
            env.provider.waiting(1).await;
            env.provider.control("release", json!({})).await;
        };
        tokio::join!(rescuing, release).0
    };
    let (refreshed, rescued) = tokio::join!(refreshing, rescuing);
    assert_eq!((refreshed.code, rescued.code), (Some(0), Some(0)), "{}{}", refreshed.combined, rescued.combined);
    assert_eq!(read_grant(&env, &shop).await.generation, 2);

    // A row that another process advances in the meantime is not overwritten.
    let token = mint_refresh_token(&env, "mere", "southerly").await;
    env.provider.control("hold", json!({})).await;
    let rescuing = rescue(&env, &shop, &[], &token);
    let moving = async {
        env.provider.waiting(1).await;
        let moved = "UPDATE integration_grants SET generation = generation + 1, access_token_enc = 'newer', \
                     lease_owner = NULL, lease_until = NULL";
        sqlx::query(moved).execute(env.store.database().pool()).await.unwrap();
        env.provider.control("release", json!({})).await;
    };
    let (output, ()) = tokio::join!(rescuing, moving);
    assert!(output.code == Some(1) && output.combined.contains("refreshed by another process"), "{}", output.combined);
    let grant = read_grant(&env, &shop).await;
    assert_eq!((grant.generation, grant.sealed.access.as_str()), (3, "newer"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exchanged_token_set_is_spooled_if_it_cannot_be_committed() {
    let env = OperatorEnv::on(TestDatabase::sqlite()).await;
    let shop = connect_ended_grant(&env).await;
    let token = mint_refresh_token(&env, "mere", "southerly").await;
    env.provider.control("hold", json!({})).await;
    let rescuing = rescue(&env, &shop, &[], &token);
    let breaking = async {
        env.provider.waiting(1).await;
        rename_table(&env, "integration_grants", "gone").await;
        env.provider.control("release", json!({})).await;
    };
    let (output, ()) = tokio::join!(rescuing, breaking);
    assert!(
        output.code == Some(1) && output.combined.contains("Xero accepted the token, but a token set is waiting in"),
        "{}",
        output.combined
    );
    rename_table(&env, "gone", "integration_grants").await;
    assert_eq!(read_grant(&env, &shop).await.status, GrantStatus::RefreshFailed);

    let next = env.run(&["grants", "refresh", "--all-due"]).await;
    assert_eq!(next.code, Some(0), "{}", next.combined);
    let grant = read_grant(&env, &shop).await;
    assert_eq!((grant.status, grant.generation), (GrantStatus::Active, 1));
    let listed = env.run(&["grants", "list", "--json"]).await.json();
    assert_eq!(listed["grants"][0]["status"], Value::from("active"));
}
