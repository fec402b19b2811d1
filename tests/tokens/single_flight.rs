//! One exchange for many callers, in one process and across several.

use evergrant::model::Trigger;
use evergrant::server::tokens::{Ask, Landed};
use serde_json::json;

use crate::support::keeper::Keeper;

#[tokio::test]
async fn two_hundred_callers_on_one_due_grant_make_one_exchange() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        keeper.provider.control("hold", json!({})).await;
        let callers: Vec<_> = (0..200)
            .map(|_| {
                let (service, grant) = (keeper.service.clone(), connected.grant.clone());
                tokio::spawn(async move {
                    service.refresh_grant_single_flight(&grant, Ask::automatic(Trigger::Client)).await
                })
            })
            .collect();
        keeper.provider.waiting(1).await;
        keeper.provider.control("release", json!({})).await;
        for caller in callers {
            let landed = caller.await.unwrap();
            assert!(matches!(landed, Landed::Exchanged | Landed::Fresh), "{db}: {landed:?}");
        }
        assert_eq!(keeper.exchanges().await, 1, "{db}");
        assert_eq!(keeper.read(&connected.grant).await.generation, 1, "{db}");
    }
}

#[tokio::test]
async fn a_loser_adopts_the_winners_token() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        let others = [keeper.another().await, keeper.another().await];
        keeper.provider.control("hold", json!({})).await;
        let ask = |service: &evergrant::server::tokens::TokenService| {
            let (service, grant) = (service.clone(), connected.grant.clone());
            tokio::spawn(
                async move { service.refresh_grant_single_flight(&grant, Ask::automatic(Trigger::Client)).await },
            )
        };
        let winner = ask(&keeper.service);
        keeper.provider.waiting(1).await;
        let losers = [ask(&others[0]), ask(&others[1])];
        keeper.provider.control("release", json!({})).await;
        assert_eq!(winner.await.unwrap(), Landed::Exchanged, "{db}");
        for loser in losers {
            let landed = loser.await.unwrap();
            assert!(matches!(landed, Landed::Adopted | Landed::Fresh), "{db}: {landed:?}");
        }
        assert_eq!(keeper.exchanges().await, 1, "{db}");
        let client = others[0].get_client_for_tenant_binding(&connected.bindings[0], &connected.org).await.unwrap();
        assert_ne!(client.api.access_token().expose(), connected.minted.access_token, "{db}: still the old token");
        assert_eq!(client.warning, None, "{db}");
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_nothing() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        keeper.provider.control("hold", json!({})).await;
        let (service, org) = (keeper.service.clone(), connected.org.clone());
        let caller = tokio::spawn(async move {
            service.proactive_refresh_for_org(&org, &Ask::automatic(Trigger::OrgSwitch)).await.unwrap()
        });
        keeper.provider.waiting(1).await;
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        keeper.provider.control("release", json!({})).await;
        keeper.tasks.close();
        keeper.tasks.wait().await;
        let after = keeper.read(&connected.grant).await;
        assert_eq!((after.generation, after.lease), (1, None), "{db}");
    }
}

#[tokio::test]
async fn each_grant_is_refreshed_once_whatever_it_serves() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour", "kauri"], 60).await;
        assert_eq!(connected.bindings.len(), 2);
        let ask = Ask::automatic(Trigger::OrgSwitch);
        let report = keeper.service.proactive_refresh_for_org(&connected.org, &ask).await.unwrap();
        assert!(report.success && report.has_active_bindings && report.errors.is_empty(), "{db}: {report:?}");
        assert_eq!((report.refreshed_count, keeper.exchanges().await), (1, 1), "{db}");
        let again = keeper.service.proactive_refresh_for_org(&connected.org, &ask).await.unwrap();
        assert_eq!((again.refreshed_count, keeper.exchanges().await), (0, 1), "{db}: nothing was due");
    }
}

#[tokio::test]
async fn an_organisation_without_connections_has_nothing_to_refresh() {
    for keeper in Keeper::each().await {
        let org = keeper.store.add_org("Empty").await.unwrap().unwrap();
        let report = keeper.service.proactive_refresh_for_org(&org, &Ask::automatic(Trigger::OrgSwitch)).await.unwrap();
        assert!(report.success && !report.has_active_bindings && report.refreshed_count == 0);
    }
}

#[tokio::test]
async fn a_refresh_token_past_its_roll_age_is_exchanged_though_the_access_token_is_fresh() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let two_months = 60 * 24 * 60 * 60;
        let connected = keeper.connect("Harbour", &["harbour"], two_months).await;
        let ask = Ask::automatic(Trigger::Sweep);
        keeper.advance(45 * 24 * 60 * 60);
        assert_eq!(
            keeper.service.refresh_grant_single_flight(&connected.grant, ask.clone()).await,
            Landed::Fresh,
            "{db}"
        );
        keeper.advance(1);
        assert_eq!(keeper.service.refresh_grant_single_flight(&connected.grant, ask).await, Landed::Exchanged, "{db}");
    }
}

#[tokio::test]
async fn a_click_exchanges_what_is_fresh_and_passes_the_wait() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 1800).await;
        let click = Ask::by("ana@example.com", true);
        let report = keeper.service.refresh_binding(&connected.org, &connected.bindings[0], &click).await.unwrap();
        assert_eq!((report.refreshed_count, keeper.exchanges().await), (1, 1), "{db}");
        let attempts = keeper.store.attempts_of_binding(&connected.org, &connected.bindings[0], 9).await.unwrap();
        assert_eq!(
            (attempts[0].trigger.as_str(), attempts[0].actor.as_deref()),
            ("manual", Some("ana@example.com")),
            "{db}"
        );
        assert!(attempts[0].correlation_id.is_some(), "{db}: Xero's correlation id is kept");
    }
}
