//! Four simulated months without a login, with a week's provider outage and two restarts: no refresh token is lost.

use evergrant::model::GrantStatus;
use evergrant::server::jobs::sweeper::Sweeper;
use serde_json::json;
use sqlx::Row;

use crate::support::consents::{ConnectedOrg, TestConsent};
use crate::support::databases::TestDatabase;
use crate::support::test_service::{DAY, TestService};

/// The time between sweeps, in seconds.
const STEP_SECONDS: i64 = 6 * 60 * 60;
/// The days over which the consents are spread.
const CONSENTS_UNTIL: i64 = 25;
const OUTAGE: std::ops::Range<i64> = 44..51;
/// The days of the restarts. The second is during the outage.
const RESTARTS: [i64; 2] = [40, 47];
const DAYS: i64 = 120;
/// The sandbox's tenants. Each organization has one consent per tenant.
const TENANTS: [&str; 6] = ["harbour", "kauri", "demo", "southerly", "fernhill", "practice"];

#[apply(each_database!)]
async fn no_grant_dies_in_four_months_without_a_login(database: TestDatabase) {
    let grants = std::env::var("EVERGRANT_MONTHS_GRANTS").map_or(120, |number| number.parse().unwrap());
    four_months(database, grants).await;
}

#[tokio::test]
#[ignore = "takes minutes: make torture runs it"]
async fn thousands_of_grants_survive_four_months_without_a_login_on_sqlite() {
    four_months(TestDatabase::sqlite(), 5000).await;
}

#[tokio::test]
#[ignore = "takes minutes: make torture runs it"]
async fn thousands_of_grants_survive_four_months_without_a_login_on_postgresql() {
    if let Some(database) = TestDatabase::postgres().await {
        four_months(database, 5000).await;
    }
}

async fn four_months(database: TestDatabase, grants: usize) {
    let harness = &TestService::start(database).await;
    let db = harness.database.name;
    let mut sweeper = harness.sweeper(&harness.service, 32);
    let mut connected: Vec<ConnectedOrg> = Vec::new();
    for step in 0..DAYS * DAY / STEP_SECONDS {
        let day = step * STEP_SECONDS / DAY;
        if step * STEP_SECONDS % DAY == 0 {
            if day < CONSENTS_UNTIL {
                connect_until(harness, &mut connected, grants * (day as usize + 1) / CONSENTS_UNTIL as usize).await;
            }
            if day == OUTAGE.start {
                let down = json!({"endpoint": "any", "kind": "status", "status": 503, "times": null});
                harness.provider.inject_fault(down).await;
            }
            if day == OUTAGE.end {
                harness.provider.clear_faults().await;
            }
            if RESTARTS.contains(&day) {
                sweeper = restart(harness).await;
            }
            harness.service.cleanup().await.unwrap();
        }
        sweeper.sweep_once().await.unwrap();
        harness.service.reconcile_due().await.unwrap();
        let oldest = oldest_token_age(harness).await;
        assert!(oldest < 60 * DAY, "{db}, day {day}: a refresh token is {} days old", oldest / DAY);
        // The notifier does this in a server.
        harness.store.warn_of_expiring_grants(46 * DAY, 10_000).await.unwrap();
        assert_eq!(count(harness, OVERDUE_WITHOUT_WARNING).await, 0, "{db}, day {day}");
        harness.advance(STEP_SECONDS);
    }
    let mut rolls = 0;
    for one in &connected {
        let grant = harness.read_grant(&one.grant).await;
        assert_eq!((grant.status, grant.failure_count), (GrantStatus::Active, 0), "{db}: {}", grant.id);
        assert!(grant.generation >= 2, "{db}: rolled {} times", grant.generation);
        rolls += usize::try_from(grant.generation).unwrap();
    }
    // Rolled at 45 days, and not more often than that requires.
    assert!((2 * grants..=3 * grants).contains(&rolls), "{db}: {rolls} rolls of {grants} grants");
    let (warned, recovered) = (count(harness, WARNINGS).await, count(harness, RECOVERIES).await);
    let of_the_first_days = i64::try_from(grants).unwrap() * (OUTAGE.end - 47) / CONSENTS_UNTIL;
    assert!(warned >= of_the_first_days && warned == recovered, "{db}: {warned} warned, {recovered} recovered");
    let ledger = harness.provider.ledger().await;
    let exchanged =
        ledger.iter().filter(|entry| entry["grant_type"] == "refresh_token" && entry["outcome"] == "rotated");
    assert_eq!(exchanged.count(), rolls, "{db}: an exchange is missing from the rows");
    assert!(ledger.iter().all(|entry| entry["outcome"] != "invalid_grant"), "{db}");
}

/// Restarts: creates another service and sweeper on the same database.
async fn restart(harness: &TestService) -> Sweeper {
    let service = harness.second_service().await;
    service.plan_all().await.unwrap();
    harness.sweeper(&service, 32)
}

async fn connect_until(harness: &TestService, connected: &mut Vec<ConnectedOrg>, wanted: usize) {
    while connected.len() < wanted {
        let number = connected.len();
        let org = match number % TENANTS.len() {
            0 => harness.store.add_org(&format!("Organisation {number}")).await.unwrap(),
            _ => connected[number - 1].org.clone(),
        };
        let tenant = [TENANTS[number % TENANTS.len()]];
        connected.push(
            TestConsent::new(&harness.store, &harness.provider)
                .tenants(&tenant)
                .access_seconds_left(1800)
                .connect(org)
                .await,
        );
    }
}

/// Returns the age of the oldest refresh token of an active grant, in seconds.
async fn oldest_token_age(harness: &TestService) -> i64 {
    let now = harness.clock.now();
    now - count(
        harness,
        "SELECT COALESCE(MIN(refresh_token_issued_at), $1) FROM integration_grants WHERE status = 'active'",
    )
    .await
}

const OVERDUE_WITHOUT_WARNING: &str = "SELECT COUNT(*) FROM integration_grants WHERE status = 'active' \
    AND refresh_token_issued_at <= $1 - 46 * 86400 AND ageing_notified_day IS NULL";
const WARNINGS: &str =
    "SELECT COUNT(DISTINCT binding_id) FROM outbox WHERE kind = 'connection.will_expire_soon' AND occurred_at <= $1";
const RECOVERIES: &str =
    "SELECT COUNT(DISTINCT binding_id) FROM outbox WHERE kind = 'connection.recovered' AND occurred_at <= $1";

/// Runs a query that returns one number. `$1` is the current time.
async fn count(harness: &TestService, query: &'static str) -> i64 {
    let query = sqlx::query(query).bind(harness.clock.now());
    query.fetch_one(harness.store.database().pool()).await.unwrap().try_get(0).unwrap()
}
