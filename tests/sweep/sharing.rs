//! Sweeps that run concurrently with other sweeps and with manual refreshes, and at shutdown.

use crate::support::databases::TestDatabase;
use std::collections::HashSet;
use std::time::Duration;

use evergrant::model::{GrantId, Trigger};
use evergrant::server::domain::KeepHot;
use evergrant::server::jobs::sweeper::SweepReport;
use evergrant::server::tokens::{RefreshOutcome, RefreshRequest};
use serde_json::json;

use crate::support::keeper::{ServiceOptions, TestService};

/// Options under which every grant is due after twenty minutes and a slow provider does not time out.
fn slow_and_hot_options() -> ServiceOptions {
    ServiceOptions { keep_hot: KeepHot::All, xero_timeout: Duration::from_secs(60), ..ServiceOptions::default() }
}

async fn connect_due_grants(keeper: &TestService, number: usize) -> Vec<GrantId> {
    let mut grants = Vec::new();
    for one in 0..number {
        grants.push(keeper.connect(&format!("Org {one}"), &["harbour"], 1800).await.grant);
    }
    keeper.advance(20 * 60 + 1);
    grants
}

#[apply(each_database!)]
async fn instances_share_a_sweep_without_overlap(database: TestDatabase) {
    let keeper = TestService::on(database, slow_and_hot_options()).await;
    let db = keeper.database.name;
    let grants = connect_due_grants(&keeper, 60).await;
    let others = [keeper.second_service().await, keeper.second_service().await];
    let (a, b, c) = (keeper.sweeper(&keeper.service, 4), keeper.sweeper(&others[0], 4), keeper.sweeper(&others[1], 4));
    let swept = tokio::join!(a.sweep_once(), b.sweep_once(), c.sweep_once());
    let swept = [swept.0.unwrap(), swept.1.unwrap(), swept.2.unwrap()];
    assert_eq!(swept.iter().map(|one| one.refreshed).sum::<usize>(), 60, "{db}: {swept:?}");
    assert!(swept.iter().all(|one| one.failed == 0 && one.handled_elsewhere == 0), "{db}: {swept:?}");
    assert_eq!(keeper.exchange_count().await, 60, "{db}");
    for grant in grants {
        assert_eq!(keeper.read_grant(&grant).await.generation, 1, "{db}");
    }
}

#[apply(each_database!)]
async fn manual_refreshes_do_not_wait_for_a_sweep_or_repeat_its_exchanges(database: TestDatabase) {
    let keeper = TestService::on(database, slow_and_hot_options()).await;
    let db = keeper.database.name;
    let grants = connect_due_grants(&keeper, 6).await;
    keeper.provider.control("hold", json!({})).await;
    let sweeper = keeper.sweeper(&keeper.service, 2);
    let sweep = tokio::spawn(async move { sweeper.sweep_once().await.unwrap() });
    assert_eq!(keeper.provider.waiting(2).await, 2, "{db}: the sweep must run two exchanges");

    // The grants that the sweep has leased.
    let mut in_hand = HashSet::new();
    for grant in &grants {
        if keeper.read_grant(grant).await.lease.is_some() {
            in_hand.insert(grant.clone());
        }
    }
    assert_eq!(in_hand.len(), 2, "{db}");
    let ask = |grant: &GrantId| {
        let (service, grant) = (keeper.service.clone(), grant.clone());
        tokio::spawn(
            async move { service.refresh_grant_single_flight(&grant, RefreshRequest::manual("ann", true)).await },
        )
    };
    let other = ask(grants.iter().find(|grant| !in_hand.contains(*grant)).unwrap());
    assert_eq!(keeper.provider.waiting(3).await, 3, "{db}: a manual exchange must start at once");
    let joined = ask(in_hand.iter().next().unwrap());
    keeper.provider.control("release", json!({})).await;
    assert_eq!(other.await.unwrap(), RefreshOutcome::Refreshed, "{db}");
    assert!(matches!(joined.await.unwrap(), RefreshOutcome::Refreshed), "{db}");
    let swept = sweep.await.unwrap();
    assert_eq!((swept.refreshed, swept.failed), (5, 0), "{db}: {swept:?}");
    assert!(
        (6..=7).contains(&keeper.exchange_count().await),
        "{db}: the joining refresh may have started after the exchange"
    );
}

#[apply(each_database!)]
async fn claim_on_a_grant_in_flight_with_an_expired_lease_is_released(database: TestDatabase) {
    let keeper = TestService::on(database, slow_and_hot_options()).await;
    let db = keeper.database.name;
    let grant = connect_due_grants(&keeper, 1).await.remove(0);
    keeper.provider.control("hold", json!({})).await;
    let (service, asked) = (keeper.service.clone(), grant.clone());
    let flight = tokio::spawn(async move {
        service.refresh_grant_single_flight(&asked, RefreshRequest::automatic(Trigger::Client)).await
    });
    assert_eq!(keeper.provider.waiting(1).await, 1);
    keeper.advance(61);
    let swept = keeper.sweep().await;
    assert_eq!(swept, SweepReport { handled_elsewhere: 1, ..SweepReport::default() }, "{db}");
    keeper.provider.control("release", json!({})).await;
    assert_eq!(flight.await.unwrap(), RefreshOutcome::Refreshed, "{db}");
    let after = keeper.read_grant(&grant).await;
    assert_eq!((after.generation, after.lease), (1, None), "{db}");
    assert_eq!(keeper.exchange_count().await, 1, "{db}");
}

#[apply(each_database!)]
async fn shutdown_finishes_running_exchanges_and_starts_no_new_ones(database: TestDatabase) {
    let keeper = TestService::on(database, slow_and_hot_options()).await;
    let db = keeper.database.name;
    let grants = connect_due_grants(&keeper, 5).await;
    keeper.provider.control("hold", json!({})).await;
    let sweeper = keeper.sweeper(&keeper.service, 2);
    let sweep = tokio::spawn(async move { sweeper.sweep_once().await.unwrap() });
    assert_eq!(keeper.provider.waiting(2).await, 2);
    keeper.stopping.cancel();
    keeper.provider.control("release", json!({})).await;
    assert_eq!(sweep.await.unwrap(), SweepReport { refreshed: 2, ..SweepReport::default() }, "{db}");
    assert_eq!(keeper.exchange_count().await, 2, "{db}");
    let mut held = 0;
    for grant in grants {
        held += usize::from(keeper.read_grant(&grant).await.lease.is_some());
    }
    assert_eq!(held, 0, "{db}: every lease must be released");
}
