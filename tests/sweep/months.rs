//! Four months without a login: a provider that is down for a week, two restarts, and no refresh token lost.

use evergrant::model::GrantStatus;
use evergrant::server::sweeper::Sweeper;
use serde_json::json;
use sqlx::Row;

use crate::support::keeper::{Connected, DAY, Keeper, Pace, consent};

/// How often somebody looks, in seconds.
const STEP: i64 = 6 * 60 * 60;
/// Consents are given over the first month, a share of them each day.
const CONSENTS_UNTIL: i64 = 25;
const OUTAGE: std::ops::Range<i64> = 44..51;
/// One of them while the provider is down.
const RESTARTS: [i64; 2] = [40, 47];
const DAYS: i64 = 120;
/// Six of our Xero's tenants in each organisation, a consent for each.
const TENANTS: [&str; 6] = ["harbour", "kauri", "demo", "southerly", "fernhill", "practice"];

#[tokio::test]
async fn nothing_dies_in_four_months_that_nobody_looks_at() {
    let grants = std::env::var("EVERGRANT_MONTHS_GRANTS").map_or(240, |number| number.parse().unwrap());
    let each = Keeper::each_at(Pace { timeout: std::time::Duration::from_secs(60), ..Pace::default() }).await;
    futures::future::join_all(each.iter().map(|keeper| four_months(keeper, grants))).await;
}

#[tokio::test]
#[ignore = "takes minutes: make torture runs it"]
async fn nor_at_thousands_of_them() {
    let each = Keeper::each_at(Pace { timeout: std::time::Duration::from_secs(60), ..Pace::default() }).await;
    futures::future::join_all(each.iter().map(|keeper| four_months(keeper, 5000))).await;
}

async fn four_months(keeper: &Keeper, grants: usize) {
    let db = keeper.database.name;
    let mut sweeper = keeper.sweeper(&keeper.service, 32);
    let mut connected: Vec<Connected> = Vec::new();
    for step in 0..DAYS * DAY / STEP {
        let day = step * STEP / DAY;
        if step * STEP % DAY == 0 {
            if day < CONSENTS_UNTIL {
                connect(keeper, &mut connected, grants * (day as usize + 1) / CONSENTS_UNTIL as usize).await;
            }
            if day == OUTAGE.start {
                let down = json!({"endpoint": "any", "kind": "status", "status": 503, "times": null});
                keeper.provider.control("faults", down).await;
            }
            if day == OUTAGE.end {
                let clear = keeper.provider.client.delete(format!("{}/_control/faults", keeper.provider.base));
                assert!(clear.send().await.unwrap().status().is_success());
            }
            if RESTARTS.contains(&day) {
                sweeper = restarted(keeper).await;
            }
            keeper.service.tidy().await.unwrap();
        }
        sweeper.sweep_once().await.unwrap();
        keeper.service.read_due_connections().await.unwrap();
        let oldest = oldest(keeper).await;
        assert!(oldest < 60 * DAY, "{db}, day {day}: a refresh token of {} days", oldest / DAY);
        // As whoever tells people does.
        keeper.store.warn_of_ageing(46 * DAY, 10_000).await.unwrap();
        assert_eq!(count(keeper, OVERDUE_UNTOLD).await, 0, "{db}, day {day}");
        keeper.advance(STEP);
    }
    let mut rolls = 0;
    for one in &connected {
        let grant = keeper.read(&one.grant).await;
        assert_eq!((grant.status, grant.failure_count), (GrantStatus::Active, 0), "{db}: {}", grant.id);
        assert!(grant.generation >= 2, "{db}: rolled {} times", grant.generation);
        rolls += usize::try_from(grant.generation).unwrap();
    }
    // Rolled at 45 days, and not more often than that calls for.
    assert!((2 * grants..=3 * grants).contains(&rolls), "{db}: {rolls} rolls of {grants} grants");
    let (warned, recovered) = (count(keeper, WARNINGS).await, count(keeper, RECOVERIES).await);
    let of_the_first_days = i64::try_from(grants).unwrap() * (OUTAGE.end - 47) / CONSENTS_UNTIL;
    assert!(warned >= of_the_first_days && warned == recovered, "{db}: {warned} warned, {recovered} recovered");
    let ledger = keeper.provider.ledger().await;
    let exchanged =
        ledger.iter().filter(|entry| entry["grant_type"] == "refresh_token" && entry["outcome"] == "rotated");
    assert_eq!(exchanged.count(), rolls, "{db}: an exchange that no row has");
    assert!(ledger.iter().all(|entry| entry["outcome"] != "invalid_grant"), "{db}");
}

/// A new process on the same database.
async fn restarted(keeper: &Keeper) -> Sweeper {
    let service = keeper.another().await;
    service.plan_all().await.unwrap();
    keeper.sweeper(&service, 32)
}

async fn connect(keeper: &Keeper, connected: &mut Vec<Connected>, wanted: usize) {
    while connected.len() < wanted {
        let number = connected.len();
        let org = match number % TENANTS.len() {
            0 => keeper.store.add_org(&format!("Organisation {number}")).await.unwrap().unwrap(),
            _ => connected[number - 1].org.clone(),
        };
        let tenant = [TENANTS[number % TENANTS.len()]];
        connected.push(consent(&keeper.store, &keeper.provider, org, &tenant, 1800).await);
    }
}

/// The age of the oldest refresh token that is still counted on.
async fn oldest(keeper: &Keeper) -> i64 {
    let now = keeper.clock.now();
    now - count(
        keeper,
        "SELECT COALESCE(MIN(refresh_token_issued_at), $1) FROM integration_grants WHERE status = 'active'",
    )
    .await
}

const OVERDUE_UNTOLD: &str = "SELECT COUNT(*) FROM integration_grants WHERE status = 'active' \
    AND refresh_token_issued_at <= $1 - 46 * 86400 AND told_ageing_day IS NULL";
const WARNINGS: &str =
    "SELECT COUNT(DISTINCT binding_id) FROM outbox WHERE kind = 'connection.will_expire_soon' AND occurred_at <= $1";
const RECOVERIES: &str =
    "SELECT COUNT(DISTINCT binding_id) FROM outbox WHERE kind = 'connection.recovered' AND occurred_at <= $1";

/// One number; `$1` is now.
async fn count(keeper: &Keeper, query: &'static str) -> i64 {
    let query = sqlx::query(query).bind(keeper.clock.now());
    query.fetch_one(keeper.store.database().pool()).await.unwrap().try_get(0).unwrap()
}
