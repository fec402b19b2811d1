//! A lease that has to be renewed, and one that went to another holder.

use std::time::Duration;

use evergrant::model::{BindingStatus, GrantStatus, Trigger};
use evergrant::server::tokens::{Ask, Landed, TokenService, Why};
use serde_json::json;
use sqlx::AssertSqlSafe;
use tokio::task::JoinHandle;

use crate::sandbox::START;
use crate::support::keeper::{Connected, Keeper, Pace};

/// How often a row is looked at for what must come.
const LOOK: Duration = Duration::from_millis(10);

fn patient(lease: u64) -> Pace {
    Pace { lease: Duration::from_secs(lease), timeout: Duration::from_secs(60), ..Pace::default() }
}

fn ask(service: &TokenService, connected: &Connected) -> JoinHandle<Landed> {
    let (service, grant) = (service.clone(), connected.grant.clone());
    tokio::spawn(async move { service.refresh_grant_single_flight(&grant, Ask::automatic(Trigger::Client)).await })
}

async fn run(keeper: &Keeper, statement: String) {
    sqlx::query(AssertSqlSafe(statement)).execute(keeper.store.database().pool()).await.unwrap();
}

/// The journal's outcomes for the binding, newest first.
async fn outcomes(keeper: &Keeper, connected: &Connected) -> Vec<Option<String>> {
    let attempts = keeper.store.attempts_of_binding(&connected.org, &connected.bindings[0], 9).await.unwrap();
    attempts.into_iter().map(|attempt| attempt.outcome).collect()
}

/// An exchange whose answer the provider holds back.
async fn held(keeper: &Keeper, connected: &Connected) -> JoinHandle<Landed> {
    keeper.provider.control("hold", json!({})).await;
    let flight = ask(&keeper.service, connected);
    assert_eq!(keeper.provider.waiting(1).await, 1);
    flight
}

async fn until_superseded(keeper: &Keeper, connected: &Connected) {
    while outcomes(keeper, connected).await != [Some("superseded".to_owned())] {
        tokio::time::sleep(LOOK).await;
    }
}

#[tokio::test]
async fn a_lease_is_renewed_for_as_long_as_its_exchange_runs() {
    let each = Keeper::each_at(patient(2)).await;
    futures::future::join_all(each.iter().map(|keeper| async move {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        let other = keeper.another().await;
        let winner = held(keeper, &connected).await;
        let loser = ask(&other, &connected);
        // Three times the lease's life, and at every moment of it the row shows a lease in time.
        for second in 1..=6 {
            keeper.advance(1);
            let renewed = START + second + 2;
            while keeper.read(&connected.grant).await.lease.map(|lease| lease.until) != Some(renewed) {
                tokio::time::sleep(LOOK).await;
            }
        }
        assert!(!winner.is_finished() && !loser.is_finished(), "{db}: both wait for the one answer");
        assert_eq!(outcomes(keeper, &connected).await, [None], "{db}: nobody else began an exchange");
        keeper.provider.control("release", json!({})).await;
        assert_eq!(winner.await.unwrap(), Landed::Exchanged, "{db}");
        assert_eq!(loser.await.unwrap(), Landed::Adopted, "{db}");
        assert_eq!(keeper.exchanges().await, 1, "{db}");
        let after = keeper.read(&connected.grant).await;
        assert_eq!((after.generation, after.lease), (1, None), "{db}");
    }))
    .await;
}

#[tokio::test]
async fn a_holder_that_lost_its_lease_commits_nothing() {
    for keeper in Keeper::each_at(patient(60)).await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        let flight = held(&keeper, &connected).await;
        let lost = format!("UPDATE integration_grants SET lease_owner = 'another', lease_until = {}", START + 60);
        run(&keeper, lost).await;
        let before = keeper.read(&connected.grant).await;
        keeper.provider.control("release", json!({})).await;
        until_superseded(&keeper, &connected).await;
        assert_eq!(keeper.read(&connected.grant).await, before, "{db}: the other one's lease, and the old token");
        // The other one commits.
        run(&keeper, "UPDATE integration_grants SET generation = 1, lease_owner = NULL, lease_until = NULL".into())
            .await;
        assert_eq!(flight.await.unwrap(), Landed::Adopted, "{db}");
        let after = keeper.read(&connected.grant).await;
        assert_eq!((after.generation, &after.sealed), (1, &before.sealed), "{db}: what the other put there stays");
        assert_eq!(keeper.service.spooled(), 0, "{db}");
    }
}

#[tokio::test]
async fn a_token_set_outlives_the_holder_that_took_its_lease() {
    for keeper in Keeper::each_at(patient(60)).await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        let flight = held(&keeper, &connected).await;
        let lost = format!("UPDATE integration_grants SET lease_owner = 'another', lease_until = {}", START + 60);
        run(&keeper, lost).await;
        keeper.provider.control("release", json!({})).await;
        until_superseded(&keeper, &connected).await;
        // The other one died before it sent anything, and the spent token's grace passes.
        keeper.advance(31 * 60);
        assert_eq!(flight.await.unwrap(), Landed::Exchanged, "{db}");
        let after = keeper.read(&connected.grant).await;
        assert_eq!((after.generation, after.lease), (1, None), "{db}");
        keeper.advance(31 * 60);
        assert_eq!(ask(&keeper.service, &connected).await.unwrap(), Landed::Exchanged, "{db}: it works");
    }
}

#[tokio::test]
async fn a_shutdown_leaves_an_overtaken_token_set_to_the_next_start() {
    for keeper in Keeper::each_at(patient(60)).await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        let flight = held(&keeper, &connected).await;
        let lost = format!("UPDATE integration_grants SET lease_owner = 'another', lease_until = {}", START + 60);
        run(&keeper, lost).await;
        keeper.provider.control("release", json!({})).await;
        until_superseded(&keeper, &connected).await;
        keeper.stopping.cancel();
        assert!(matches!(flight.await.unwrap(), Landed::Failed(failed) if failed.why == Why::Transient), "{db}");
        assert_eq!((keeper.read(&connected.grant).await.generation, keeper.service.spooled()), (0, 1), "{db}");
        keeper.advance(31 * 60);
        assert_eq!(keeper.another().await.replay_spool().await.unwrap(), 1, "{db}");
        assert_eq!(keeper.read(&connected.grant).await.generation, 1, "{db}");
    }
}

#[tokio::test]
async fn a_token_set_brings_a_grant_back_that_another_holder_found_dead() {
    for keeper in Keeper::each_at(patient(60)).await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        let flight = held(&keeper, &connected).await;
        // While this process stood still, another sent the spent token past its grace.
        keeper.advance(31 * 60);
        let dead = "UPDATE integration_grants SET status = 'refresh_failed', lease_owner = NULL, lease_until = NULL";
        run(&keeper, dead.into()).await;
        run(&keeper, "UPDATE integration_tenant_bindings SET status = 'needs_reauth'".into()).await;
        keeper.provider.control("release", json!({})).await;
        assert_eq!(flight.await.unwrap(), Landed::Exchanged, "{db}");
        let after = keeper.read(&connected.grant).await;
        assert_eq!((after.status, after.generation), (GrantStatus::Active, 1), "{db}");
        let bound = keeper.store.binding(&connected.org, &connected.bindings[0]).await.unwrap().unwrap();
        assert_eq!(bound.binding.status, BindingStatus::Active, "{db}");
        keeper.advance(31 * 60);
        assert_eq!(ask(&keeper.service, &connected).await.unwrap(), Landed::Exchanged, "{db}: it works");
    }
}

#[tokio::test]
async fn an_invalid_grant_for_a_generation_that_moved_on_changes_nothing() {
    for keeper in Keeper::each_at(patient(60)).await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        assert!(keeper.provider.sandbox.forget_grant(&connected.minted.refresh_token).unwrap());
        let flight = held(&keeper, &connected).await;
        // Xero's refusal is on its way; another holder's exchange had been first.
        run(&keeper, "UPDATE integration_grants SET generation = 1, lease_owner = NULL, lease_until = NULL".into())
            .await;
        let before = keeper.read(&connected.grant).await;
        keeper.provider.control("release", json!({})).await;
        assert_eq!(flight.await.unwrap(), Landed::Adopted, "{db}");
        assert_eq!(keeper.read(&connected.grant).await, before, "{db}");
        let bound = keeper.store.binding(&connected.org, &connected.bindings[0]).await.unwrap().unwrap();
        assert_eq!(bound.binding.status, BindingStatus::Active, "{db}");
        assert_eq!(outcomes(&keeper, &connected).await, [Some("superseded".to_owned())], "{db}: the evidence stays");
    }
}
