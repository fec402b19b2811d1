//! Sweeps that run concurrently with other sweeps and with manual refreshes, and at shutdown.

use crate::support::databases::TestDatabase;
use std::collections::HashSet;
use std::pin::pin;

use evergrant::model::{GrantId, Trigger};
use evergrant::server::domain::KeepHot;
use evergrant::server::jobs::sweeper::SweepReport;
use evergrant::server::tokens::{RefreshOutcome, RefreshRequest};
use serde_json::json;

use crate::support::test_service::{ServiceOptions, TestService};

/// Options under which every grant is due after twenty minutes and a slow provider does not time out.
fn slow_and_hot_options() -> ServiceOptions {
    ServiceOptions { keep_hot: KeepHot::All, ..ServiceOptions::default() }
}

async fn connect_due_grants(harness: &TestService, number: usize) -> Vec<GrantId> {
    let mut grants = Vec::new();
    for one in 0..number {
        grants.push(harness.connect(&format!("Org {one}"), &["harbour"], 1800).await.grant);
    }
    harness.advance(20 * 60 + 1);
    grants
}

#[apply(each_database!)]
async fn instances_share_a_sweep_without_overlap(database: TestDatabase) {
    let harness = TestService::on(database, slow_and_hot_options()).await;
    let db = harness.database.name;
    let grants = connect_due_grants(&harness, 60).await;
    let others = [harness.second_service().await, harness.second_service().await];
    let (a, b, c) =
        (harness.sweeper(&harness.service, 4), harness.sweeper(&others[0], 4), harness.sweeper(&others[1], 4));
    let swept = tokio::join!(a.sweep_once(), b.sweep_once(), c.sweep_once());
    let swept = [swept.0.unwrap(), swept.1.unwrap(), swept.2.unwrap()];
    assert_eq!(swept.iter().map(|one| one.refreshed).sum::<usize>(), 60, "{db}: {swept:?}");
    assert!(swept.iter().all(|one| one.failed == 0 && one.handled_elsewhere == 0), "{db}: {swept:?}");
    assert_eq!(harness.exchange_count().await, 60, "{db}");
    for grant in grants {
        assert_eq!(harness.read_grant(&grant).await.generation, 1, "{db}");
    }
}

#[apply(each_database!)]
async fn manual_refreshes_do_not_wait_for_a_sweep_or_repeat_its_exchanges(database: TestDatabase) {
    let harness = TestService::on(database, slow_and_hot_options()).await;
    let db = harness.database.name;
    let grants = connect_due_grants(&harness, 6).await;
    harness.provider.control("hold", json!({})).await;
    let sweeper = harness.sweeper(&harness.service, 2);
    let sweep = tokio::spawn(async move { sweeper.sweep_once().await.unwrap() });
    // The sweep runs two exchanges.
    harness.provider.waiting(2).await;

    // The grants that the sweep has leased.
    let mut in_hand = HashSet::new();
    for grant in &grants {
        if harness.read_grant(grant).await.lease.is_some() {
            in_hand.insert(grant.clone());
        }
    }
    assert_eq!(in_hand.len(), 2, "{db}");
    let spawn_refresh = |grant: &GrantId| {
        let (service, grant) = (harness.service.clone(), grant.clone());
        tokio::spawn(async move {
            service.refresh_grant_single_flight(&grant, RefreshRequest::manual("ann").forced()).await
        })
    };
    let other = spawn_refresh(grants.iter().find(|grant| !in_hand.contains(*grant)).unwrap());
    // A manual exchange starts at once.
    harness.provider.waiting(3).await;
    // The first poll joins the exchange that the sweep runs.
    let request = RefreshRequest::manual("ann").forced();
    let mut joined = pin!(harness.service.refresh_grant_single_flight(in_hand.iter().next().unwrap(), request));
    assert!(futures::poll!(&mut joined).is_pending(), "{db}");
    harness.provider.control("release", json!({})).await;
    assert_eq!(other.await.unwrap(), RefreshOutcome::Refreshed, "{db}");
    assert_eq!(joined.await, RefreshOutcome::Refreshed, "{db}");
    let swept = sweep.await.unwrap();
    assert_eq!((swept.refreshed, swept.failed), (5, 0), "{db}: {swept:?}");
    assert_eq!(harness.exchange_count().await, 6, "{db}: the refresh that joined causes none");
}

#[apply(each_database!)]
async fn claim_on_a_grant_in_flight_with_an_expired_lease_is_released(database: TestDatabase) {
    let harness = TestService::on(database, slow_and_hot_options()).await;
    let db = harness.database.name;
    let grant = connect_due_grants(&harness, 1).await.remove(0);
    harness.provider.control("hold", json!({})).await;
    let (service, asked) = (harness.service.clone(), grant.clone());
    let flight = tokio::spawn(async move {
        service.refresh_grant_single_flight(&asked, RefreshRequest::automatic(Trigger::Client)).await
    });
    harness.provider.waiting(1).await;
    harness.advance(61);
    let swept = harness.sweep().await;
    assert_eq!(swept, SweepReport { handled_elsewhere: 1, ..SweepReport::default() }, "{db}");
    harness.provider.control("release", json!({})).await;
    assert_eq!(flight.await.unwrap(), RefreshOutcome::Refreshed, "{db}");
    let after = harness.read_grant(&grant).await;
    assert_eq!((after.generation, after.lease), (1, None), "{db}");
    assert_eq!(harness.exchange_count().await, 1, "{db}");
}

#[apply(each_database!)]
async fn shutdown_finishes_running_exchanges_and_starts_no_new_ones(database: TestDatabase) {
    let harness = TestService::on(database, slow_and_hot_options()).await;
    let db = harness.database.name;
    let grants = connect_due_grants(&harness, 5).await;
    harness.provider.control("hold", json!({})).await;
    let sweeper = harness.sweeper(&harness.service, 2);
    let sweep = tokio::spawn(async move { sweeper.sweep_once().await.unwrap() });
    harness.provider.waiting(2).await;
    harness.lifecycle.begin_stop();
    harness.provider.control("release", json!({})).await;
    assert_eq!(sweep.await.unwrap(), SweepReport { refreshed: 2, ..SweepReport::default() }, "{db}");
    assert_eq!(harness.exchange_count().await, 2, "{db}");
    let mut held = 0;
    for grant in grants {
        held += usize::from(harness.read_grant(&grant).await.lease.is_some());
    }
    assert_eq!(held, 0, "{db}: every lease must be released");
}
