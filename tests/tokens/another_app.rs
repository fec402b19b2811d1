//! A grant's tokens are sent only to the app and the provider that issued them.

use evergrant::server::domain::RefreshToken;
use evergrant::server::jobs::sweeper::SweepReport;
use evergrant::server::tokens::{FailureCause, RefreshOutcome, RefreshRequest, RescueError, UserCheck};
use sqlx::AssertSqlSafe;

use crate::support::databases::TestDatabase;
use crate::support::test_service::TestService;

#[apply(each_database!)]
async fn tokens_of_another_app_or_provider_are_sent_nowhere(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    for (name, column) in [("Harbour", "client_id"), ("Southerly", "issuer")] {
        let connected = harness.connect(name, &["harbour"], 60).await;
        let change =
            format!("UPDATE integration_grants SET {column} = 'another', connections_due_at = 0 WHERE id = $1");
        let query = sqlx::query(AssertSqlSafe(change)).bind(connected.grant.as_str());
        query.execute(harness.store.database().pool()).await.unwrap();
        let before = harness.read_grant(&connected.grant).await;

        assert_eq!(harness.sweep().await, SweepReport::default(), "{db} {column}");
        let refresh = RefreshRequest::cli().forced();
        let RefreshOutcome::Failed(failed) =
            harness.service.refresh_grant_single_flight(&connected.grant, refresh).await
        else {
            panic!("{db} {column}: refreshed")
        };
        assert_eq!(failed.cause, FailureCause::Operator, "{db} {column}");
        assert!(failed.message.contains("isn't the app that Evergrant uses now"), "{db} {column}: {}", failed.message);
        let token = RefreshToken::new(connected.minted.refresh_token.clone());
        let rescued = harness.service.rescue(&connected.grant, token, UserCheck::AnyUser).await;
        assert!(matches!(rescued, Err(RescueError::AnotherApp(_))), "{db} {column}: {rescued:?}");
        harness.service.reconcile_due().await.unwrap();
        assert_eq!(harness.read_grant(&connected.grant).await, before, "{db} {column}: the row changed");
        assert_eq!(harness.exchange_count().await, 0, "{db} {column}");
    }
}

#[apply(each_database!)]
async fn valid_token_is_served_although_another_app_of_the_provider_issued_it(database: TestDatabase) {
    let harness = TestService::start(database).await;
    let db = harness.database.name;
    let connected = harness.connect("Harbour", &["harbour"], 60).await;
    let pool = harness.store.database().pool();
    sqlx::query("UPDATE integration_grants SET client_id = 'another'").execute(pool).await.unwrap();
    let read = async || harness.store.binding(&connected.org, &connected.bindings[0]).await.unwrap().unwrap();
    let served = harness.service.get_token_for(read().await, 0).await.unwrap_or_else(|error| panic!("{db}: {error}"));
    assert_eq!(served.access.expose(), connected.minted.access_token, "{db}");

    sqlx::query("UPDATE integration_grants SET issuer = 'https://identity.xero.com'").execute(pool).await.unwrap();
    let refused = harness.service.get_token_for(read().await, 0).await;
    assert!(refused.is_err(), "{db}: a token of another provider was handed out");
}
