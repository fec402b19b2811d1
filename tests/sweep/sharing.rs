//! Sweeps beside other sweeps, beside people, and at shutdown.

use std::collections::HashSet;
use std::time::Duration;

use evergrant::model::{GrantId, Trigger};
use evergrant::server::domain::KeepHot;
use evergrant::server::sweeper::Swept;
use evergrant::server::tokens::{Ask, Landed};
use serde_json::json;

use crate::support::keeper::{Keeper, Pace};

/// Everything is due twenty minutes after its consent; the provider may take its time.
fn hot() -> Pace {
    Pace { keep_hot: KeepHot::All, timeout: Duration::from_secs(60), ..Pace::default() }
}

async fn due(keeper: &Keeper, number: usize) -> Vec<GrantId> {
    let mut grants = Vec::new();
    for one in 0..number {
        grants.push(keeper.connect(&format!("Org {one}"), &["harbour"], 1800).await.grant);
    }
    keeper.advance(20 * 60 + 1);
    grants
}

#[tokio::test]
async fn instances_share_the_work_and_meet_nowhere() {
    for keeper in Keeper::each_at(hot()).await {
        let db = keeper.database.name;
        let grants = due(&keeper, 60).await;
        let others = [keeper.another().await, keeper.another().await];
        let (a, b, c) =
            (keeper.sweeper(&keeper.service, 4), keeper.sweeper(&others[0], 4), keeper.sweeper(&others[1], 4));
        let swept = tokio::join!(a.sweep_once(), b.sweep_once(), c.sweep_once());
        let swept = [swept.0.unwrap(), swept.1.unwrap(), swept.2.unwrap()];
        assert_eq!(swept.iter().map(|one| one.refreshed).sum::<usize>(), 60, "{db}: {swept:?}");
        assert!(swept.iter().all(|one| one.failed == 0 && one.left_to_others == 0), "{db}: {swept:?}");
        assert_eq!(keeper.exchanges().await, 60, "{db}");
        for grant in grants {
            assert_eq!(keeper.read(&grant).await.generation, 1, "{db}");
        }
    }
}

#[tokio::test]
async fn people_neither_queue_behind_a_sweep_nor_exchange_again_what_it_is_about() {
    for keeper in Keeper::each_at(hot()).await {
        let db = keeper.database.name;
        let grants = due(&keeper, 6).await;
        keeper.provider.control("hold", json!({})).await;
        let sweeper = keeper.sweeper(&keeper.service, 2);
        let sweep = tokio::spawn(async move { sweeper.sweep_once().await.unwrap() });
        assert_eq!(keeper.provider.waiting(2).await, 2, "{db}: two at a time");

        // Whichever the sweep has, and one that it hasn't got to.
        let mut in_hand = HashSet::new();
        for grant in &grants {
            if keeper.read(grant).await.lease.is_some() {
                in_hand.insert(grant.clone());
            }
        }
        assert_eq!(in_hand.len(), 2, "{db}");
        let ask = |grant: &GrantId| {
            let (service, grant) = (keeper.service.clone(), grant.clone());
            tokio::spawn(async move { service.refresh_grant_single_flight(&grant, Ask::by("ann", true)).await })
        };
        let other = ask(grants.iter().find(|grant| !in_hand.contains(*grant)).unwrap());
        assert_eq!(keeper.provider.waiting(3).await, 3, "{db}: a person's exchange begins at once");
        let joined = ask(in_hand.iter().next().unwrap());
        keeper.provider.control("release", json!({})).await;
        assert_eq!(other.await.unwrap(), Landed::Exchanged, "{db}");
        assert!(matches!(joined.await.unwrap(), Landed::Exchanged), "{db}");
        let swept = sweep.await.unwrap();
        assert_eq!((swept.refreshed, swept.failed), (5, 0), "{db}: {swept:?}");
        assert!(
            (6..=7).contains(&keeper.exchanges().await),
            "{db}: the one who joined may have come after the landing"
        );
    }
}

#[tokio::test]
async fn a_grant_in_flight_whose_lease_ran_out_is_claimed_and_given_back() {
    for keeper in Keeper::each_at(hot()).await {
        let db = keeper.database.name;
        let grant = due(&keeper, 1).await.remove(0);
        keeper.provider.control("hold", json!({})).await;
        let (service, asked) = (keeper.service.clone(), grant.clone());
        let flight =
            tokio::spawn(
                async move { service.refresh_grant_single_flight(&asked, Ask::automatic(Trigger::Client)).await },
            );
        assert_eq!(keeper.provider.waiting(1).await, 1);
        keeper.advance(61);
        let swept = keeper.sweep().await;
        assert_eq!(swept, Swept { left_to_others: 1, ..Swept::default() }, "{db}");
        keeper.provider.control("release", json!({})).await;
        assert_eq!(flight.await.unwrap(), Landed::Exchanged, "{db}");
        let after = keeper.read(&grant).await;
        assert_eq!((after.generation, after.lease), (1, None), "{db}");
        assert_eq!(keeper.exchanges().await, 1, "{db}");
    }
}

#[tokio::test]
async fn shutdown_lets_land_what_flies_and_starts_nothing_new() {
    for keeper in Keeper::each_at(hot()).await {
        let db = keeper.database.name;
        let grants = due(&keeper, 5).await;
        keeper.provider.control("hold", json!({})).await;
        let sweeper = keeper.sweeper(&keeper.service, 2);
        let sweep = tokio::spawn(async move { sweeper.sweep_once().await.unwrap() });
        assert_eq!(keeper.provider.waiting(2).await, 2);
        keeper.stopping.cancel();
        keeper.provider.control("release", json!({})).await;
        assert_eq!(sweep.await.unwrap(), Swept { refreshed: 2, ..Swept::default() }, "{db}");
        assert_eq!(keeper.exchanges().await, 2, "{db}");
        let mut held = 0;
        for grant in grants {
            held += usize::from(keeper.read(&grant).await.lease.is_some());
        }
        assert_eq!(held, 0, "{db}: nobody has to wait for a lease to end");
    }
}
