//! What each failure of the provider does to a grant, and what it doesn't.

use axum::http::StatusCode;
use evergrant::model::{BindingStatus, GrantStatus, Trigger};
use evergrant::server::tokens::{Ask, Failed, Landed, TokenError, Why};
use serde_json::{Value, json};

use crate::support::keeper::{Connected, Keeper};

async fn refresh(keeper: &Keeper, connected: &Connected) -> Landed {
    keeper.service.refresh_grant_single_flight(&connected.grant, Ask::automatic(Trigger::Client)).await
}

async fn binding_status(keeper: &Keeper, connected: &Connected) -> Vec<BindingStatus> {
    let bound = keeper.store.bindings_of_org(&connected.org).await.unwrap();
    bound.into_iter().map(|bound| bound.binding.status).collect()
}

fn why(landed: &Landed) -> Option<Why> {
    match landed {
        Landed::Failed(Failed { why, .. }) => Some(*why),
        _ => None,
    }
}

async fn fault(keeper: &Keeper, fault: Value) {
    keeper.provider.control("faults", fault).await;
}

#[tokio::test]
async fn invalid_grant_ends_the_grant_and_its_bindings_once() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour", "kauri"], 60).await;
        let other = keeper.connect("Other", &["demo"], 60).await;
        assert!(keeper.provider.sandbox.forget_grant(&connected.minted.refresh_token).unwrap());
        assert_eq!(why(&refresh(&keeper, &connected).await), Some(Why::Reconnect), "{db}");
        assert_eq!(keeper.read(&connected.grant).await.status, GrantStatus::RefreshFailed, "{db}");
        assert_eq!(binding_status(&keeper, &connected).await, [BindingStatus::NeedsReauth; 2], "{db}");
        assert_eq!(binding_status(&keeper, &other).await, [BindingStatus::Active], "{db}");
        assert_eq!(why(&refresh(&keeper, &connected).await), Some(Why::Reconnect), "{db}");
        assert_eq!(keeper.exchanges().await, 1, "{db}: a dead grant is not asked about again");
        let attempts = keeper.store.attempts_of_binding(&connected.org, &connected.bindings[0], 9).await.unwrap();
        assert_eq!(attempts.len(), 1, "{db}");
        assert_eq!(attempts[0].outcome.as_deref(), Some("reconnect"), "{db}");
        assert_eq!(attempts[0].error_code.as_deref(), Some("invalid_grant"), "{db}");
        assert_eq!(attempts[0].http_status, Some(400), "{db}");
    }
}

#[tokio::test]
async fn no_passing_trouble_ends_a_grant() {
    let troubles = [
        json!({"endpoint": "token", "kind": "status", "status": 500, "times": 1}),
        json!({"endpoint": "token", "kind": "status", "status": 503, "times": 1}),
        json!({"endpoint": "token", "kind": "status", "status": 429, "retry_after": 120, "times": 1}),
        json!({"endpoint": "token", "kind": "status", "status": 429, "times": 1}),
        json!({"endpoint": "token", "kind": "timeout_before", "times": 1}),
        json!({"endpoint": "token", "kind": "reset_before", "times": 1}),
        json!({"endpoint": "token", "kind": "malformed", "times": 1}),
        json!({"endpoint": "token", "kind": "truncated", "times": 1}),
        json!({"endpoint": "token", "kind": "wrong_content_type", "times": 1}),
    ];
    for keeper in Keeper::each().await {
        for (number, trouble) in troubles.iter().enumerate() {
            let case = format!("{}: {trouble}", keeper.database.name);
            let connected = keeper.connect(&format!("Org {number}"), &["harbour"], 60).await;
            fault(&keeper, trouble.clone()).await;
            let landed = refresh(&keeper, &connected).await;
            assert_eq!(why(&landed), Some(Why::Transient), "{case}: {landed:?}");
            let after = keeper.read(&connected.grant).await;
            assert_eq!((after.status, after.failure_count, after.generation), (GrantStatus::Active, 1, 0), "{case}");
            assert_eq!(binding_status(&keeper, &connected).await, [BindingStatus::Active], "{case}");
            if trouble["retry_after"] == 120 {
                assert!(
                    after.next_attempt_at.unwrap() >= keeper.clock.now() + 120,
                    "{case}: Retry-After was passed over"
                );
            }
            keeper.advance(1000);
            let landed = refresh(&keeper, &connected).await;
            assert_eq!(landed, Landed::Exchanged, "{case}: the same token again");
            assert_eq!(keeper.read(&connected.grant).await.failure_count, 0, "{case}");
        }
    }
}

#[tokio::test]
async fn a_reply_lost_after_the_rotation_is_made_good_by_sending_the_same_token_again() {
    for keeper in Keeper::each().await {
        for (number, (kind, mode)) in [
            ("timeout_after", "same"),
            ("timeout_after", "sibling"),
            ("reset_after", "same"),
            ("reset_after", "sibling"),
        ]
        .into_iter()
        .enumerate()
        {
            let case = format!("{}: {kind} {mode}", keeper.database.name);
            keeper.provider.control("settings", json!({"replay": mode})).await;
            let connected = keeper.connect(&format!("Org {number}"), &["harbour"], 60).await;
            fault(&keeper, json!({"endpoint": "token", "kind": kind, "times": 1})).await;
            assert_eq!(why(&refresh(&keeper, &connected).await), Some(Why::Transient), "{case}");
            let wait = keeper.read(&connected.grant).await.next_attempt_at.unwrap() - keeper.clock.now();
            assert!((1..=900).contains(&wait), "{case}: {wait}");
            assert_eq!(why(&refresh(&keeper, &connected).await), Some(Why::Transient), "{case}: it waits its turn");
            keeper.advance(15 * 60);
            // Once more, and still inside the 30 minutes.
            fault(&keeper, json!({"endpoint": "token", "kind": kind, "times": 1})).await;
            assert_eq!(why(&refresh(&keeper, &connected).await), Some(Why::Transient), "{case}");
            keeper.advance(14 * 60);
            assert_eq!(refresh(&keeper, &connected).await, Landed::Exchanged, "{case}");
            let ledger = keeper.provider.ledger().await;
            let sent: Vec<_> = ledger.iter().rev().take(3).map(|line| &line["token_fingerprint"]).collect();
            assert!(sent.iter().all(|token| token == &sent[0]), "{case}: the same token, three times: {sent:?}");
            assert_eq!(ledger.len(), 3 * (number + 1), "{case}: and no more often");
            let client =
                keeper.service.get_client_for_tenant_binding(&connected.bindings[0], &connected.org).await.unwrap();
            assert_eq!(client.api.organisation().await.unwrap().name, "Harbour Coffee", "{case}");
        }
    }
}

#[tokio::test]
async fn a_click_on_a_fresh_grant_that_loses_its_reply_is_made_good_by_whoever_comes_next() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 1800).await;
        fault(&keeper, json!({"endpoint": "token", "kind": "reset_after", "times": 1})).await;
        let click = Ask::by("ana@example.com", true);
        let landed = keeper.service.refresh_grant_single_flight(&connected.grant, click).await;
        assert_eq!(why(&landed), Some(Why::Transient), "{db}");
        // Inside the grace, and long before the access token is due.
        keeper.advance(10 * 60);
        assert_eq!(refresh(&keeper, &connected).await, Landed::Exchanged, "{db}");
        assert_eq!(refresh(&keeper, &connected).await, Landed::Fresh, "{db}: once is enough");
    }
}

#[tokio::test]
async fn a_fresh_grant_whose_holder_died_is_sent_again() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 1800).await;
        let until = keeper.clock.now() + 60;
        assert!(
            keeper.store.take_lease(&connected.grant, "a holder that dies", until).await.unwrap().is_some(),
            "{db}"
        );
        assert_eq!(refresh(&keeper, &connected).await, Landed::Fresh, "{db}: it may be alive");
        keeper.advance(61);
        assert_eq!(refresh(&keeper, &connected).await, Landed::Exchanged, "{db}");
        assert_eq!(refresh(&keeper, &connected).await, Landed::Fresh, "{db}");
    }
}

#[tokio::test]
async fn refused_credentials_raise_one_alarm_and_end_nothing() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        for (number, kind) in ["invalid_client", "unauthorized_client"].into_iter().enumerate() {
            let connected = keeper.connect(&format!("Org {number}"), &["harbour"], 60).await;
            fault(&keeper, json!({"endpoint": "token", "kind": kind, "times": 1})).await;
            assert_eq!(keeper.service.alarm(), None, "{db}");
            assert_eq!(why(&refresh(&keeper, &connected).await), Some(Why::Operator), "{db} {kind}");
            assert_eq!(keeper.service.alarm().as_deref(), Some(kind), "{db}");
            assert_eq!(keeper.read(&connected.grant).await.status, GrantStatus::Active, "{db} {kind}");
            keeper.advance(1000);
            assert_eq!(refresh(&keeper, &connected).await, Landed::Exchanged, "{db} {kind}");
            assert_eq!(keeper.service.alarm(), None, "{db}: it is cleared by what works");
        }
    }
}

#[tokio::test]
async fn a_still_valid_token_is_served_with_a_warning() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 300).await;
        fault(&keeper, json!({"endpoint": "token", "kind": "status", "status": 503, "times": null})).await;
        let get = || keeper.service.get_client_for_tenant_binding(&connected.bindings[0], &connected.org);
        let client = get().await.unwrap();
        assert!(client.warning.is_some_and(|warning| warning.contains("safe")), "{db}");
        assert_eq!(client.api.access_token().expose(), connected.minted.access_token, "{db}");
        keeper.advance(290);
        match get().await.err() {
            Some(TokenError::NotFresh(failed)) => {
                assert_eq!(failed.why, Why::Transient, "{db}");
                assert!(failed.next_attempt_at.is_some(), "{db}: an error names the next try");
            }
            other => panic!("{db}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn automatic_triggers_wait_where_a_click_does_not() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        fault(&keeper, json!({"endpoint": "token", "kind": "status", "status": 429, "retry_after": 600, "times": 1}))
            .await;
        refresh(&keeper, &connected).await;
        assert_eq!(why(&refresh(&keeper, &connected).await), Some(Why::Transient), "{db}");
        assert_eq!(keeper.exchanges().await, 1, "{db}: Xero asked us to wait");
        let click = Ask::by("ana@example.com", false);
        assert_eq!(
            keeper.service.refresh_grant_single_flight(&connected.grant, click).await,
            Landed::Exchanged,
            "{db}"
        );
    }
}

#[tokio::test]
async fn a_persons_clicks_are_limited() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        fault(&keeper, json!({"endpoint": "token", "kind": "status", "status": 503, "times": null})).await;
        for _ in 0..20 {
            keeper.service.refresh_grant_single_flight(&connected.grant, Ask::by("ana@example.com", true)).await;
        }
        assert_eq!(keeper.exchanges().await, 6, "{db}");
    }
}

#[tokio::test]
async fn errors_are_told_per_binding_and_the_rest_goes_on() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour", "kauri"], 60).await;
        fault(&keeper, json!({"endpoint": "token", "kind": "status", "status": 503, "times": 1})).await;
        let ask = Ask::automatic(Trigger::OrgSwitch);
        let report = keeper.service.proactive_refresh_for_org(&connected.org, &ask).await.unwrap();
        assert!(!report.success && report.has_active_bindings, "{db}");
        let mut bindings = connected.bindings.clone();
        bindings.sort();
        let named: Vec<_> = report.errors.iter().map(|error| error.binding_id.clone()).collect();
        assert_eq!(named, bindings, "{db}");
        let wire = serde_json::to_value(&report).unwrap();
        assert!(wire["errors"][0]["bindingId"].is_string() && wire["refreshedCount"] == 0, "{db}: {wire}");
    }
}

#[tokio::test]
async fn a_tenant_disconnected_inside_xero_keeps_its_token_and_is_named() {
    for keeper in Keeper::each().await {
        let db = keeper.database.name;
        let connected = keeper.connect("Harbour", &["harbour"], 60).await;
        let tenant = &connected.minted.connections[0].tenant_id;
        keeper.provider.control("disconnect", json!({"tenant_id": tenant})).await;
        assert_eq!(refresh(&keeper, &connected).await, Landed::Exchanged, "{db}");
        let client =
            keeper.service.get_client_for_tenant_binding(&connected.bindings[0], &connected.org).await.unwrap();
        let error = client.api.organisation().await.unwrap_err();
        assert_eq!(error.status, Some(StatusCode::FORBIDDEN.as_u16()), "{db}");
        assert_eq!(error.kind, evergrant::server::xero::ErrorKind::TenantGone, "{db}");
    }
}
