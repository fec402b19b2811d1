//! Connecting, driven as a browser drives it: Connect, Xero's consent page, and back.

use axum::http::StatusCode;
use evergrant::model::{BindingStatus, GrantStatus};
use serde_json::json;

use crate::sandbox::Provider;
use crate::support::databases::TestDatabase;
use crate::support::web::{Browser, Web};

const MERE: &str = "1f0c7c1e-6a3b-4b0e-9d52-3f1b6f0a2c11";
const JONAS: &str = "2a9d4e57-0c84-4f6f-8b7e-5d2c9e1b7a22";

/// Answers Xero's page and returns the address that it sends the browser back to.
pub async fn consent(provider: &Provider, asked: &[(String, String)], answer: &[(&str, &str)]) -> String {
    let mut form: Vec<(&str, &str)> = asked
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| !answer.iter().any(|(answered, _)| answered == name))
        .collect();
    form.extend_from_slice(answer);
    let address = format!("{}/identity/connect/authorize", provider.base);
    let response = provider.client.post(address).form(&form).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    response.headers()["location"].to_str().unwrap().to_owned()
}

/// The whole way for one person at Xero and one tenant; returns the message that is shown in the end.
async fn connect_as(web: &Web, browser: &Browser, person: &str, tenant: &str) -> String {
    let asked = browser.connect().await;
    let back = consent(&web.provider, &asked, &[("person", person), ("tenant", tenant), ("decision", "allow")]).await;
    browser.come_back(&back).await
}

#[tokio::test]
async fn a_consent_binds_its_tenants_and_a_second_one_keeps_the_binding() {
    for database in TestDatabase::each().await {
        let web = Web::on(database).await;
        let (ann, org) = web.person("ann@example.com", "Harbour Group").await;
        assert_eq!(connect_as(&web, &ann, "mere", "harbour").await, "connected.1");
        let first = web.bindings(&org).await.remove(0);
        assert_eq!(first.binding.tenant_name, "Harbour Coffee");
        assert_eq!(first.connected_by_email.as_deref(), Some("ann@example.com"));
        let grant = first.grant.unwrap();
        assert_eq!((grant.status, grant.xero_user_id.as_str()), (GrantStatus::Active, MERE));

        assert_eq!(connect_as(&web, &ann, "mere", "harbour").await, "reconnected.1");
        let again = web.bindings(&org).await;
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].binding.id, first.binding.id, "the binding stays");
        let renewed = again[0].grant.as_ref().unwrap();
        assert_ne!(renewed.id, grant.id, "its grant is another");
        assert_eq!(web.store.grant(&grant.id).await.unwrap().unwrap().status, GrantStatus::Revoked);

        // Another consent of the same person brings another tenant; the first one's stays with its own grant.
        assert_eq!(connect_as(&web, &ann, "mere", "kauri").await, "connected.1");
        let both = web.bindings(&org).await;
        assert_eq!(both.len(), 2);
        assert_eq!(both[0].grant.as_ref().unwrap().id, renewed.id, "only this consent's tenants are bound");
        web.stop().await;
    }
}

#[tokio::test]
async fn the_message_is_shown_once() {
    let web = Web::start().await;
    let (ann, _) = web.person("ann@example.com", "Harbour Group").await;
    connect_as(&web, &ann, "mere", "harbour").await;
    let page = ann.get("/settings/integrations").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("Connected to Xero.") && page.text.contains("Harbour Coffee"));
    assert!(!ann.get("/settings/integrations").await.text.contains("Connected to Xero."));
}

#[tokio::test]
async fn each_way_a_consent_can_fail_has_its_own_outcome_and_binds_nothing() {
    let web = Web::start().await;
    let (ann, org) = web.person("ann@example.com", "Harbour Group").await;
    let allow = [("person", "mere"), ("tenant", "harbour"), ("decision", "allow")];

    let back = consent(&web.provider, &ann.connect().await, &[("decision", "cancel")]).await;
    assert_eq!(ann.come_back(&back).await, "consent-refused");
    assert_eq!(ann.come_back(&back).await, "state-expired", "a refusal uses the state up too");

    let asked = ann.connect().await;
    let state = asked.iter().find(|(name, _)| name == "state").unwrap().1.clone();
    let with = |rest: &str| ann.at(&format!("/api/integrations/xero/callback?state={state}{rest}"));
    assert_eq!(ann.come_back(&with("&error=server_error")).await, "consent-failed");
    assert_eq!(ann.come_back(&ann.at("/api/integrations/xero/callback?code=c")).await, "state-expired");
    assert_eq!(ann.come_back(&ann.at("/api/integrations/xero/callback?state=guess&code=c")).await, "state-expired");

    let back = consent(&web.provider, &ann.connect().await, &allow).await;
    web.advance(10 * 60);
    assert_eq!(ann.come_back(&back).await, "state-expired", "ten minutes are over");

    let lasting: [(&str, &str); 4] = [allow[0], allow[1], allow[2], ("scope", "openid accounting.settings.read")];
    let back = consent(&web.provider, &ann.connect().await, &lasting).await;
    assert_eq!(ann.come_back(&back).await, "no-refresh-token");

    let back = consent(&web.provider, &ann.connect().await, &allow).await;
    web.provider.control("faults", json!({"endpoint": "token", "kind": "status", "status": 503})).await;
    assert_eq!(ann.come_back(&back).await, "exchange-failed");

    let back = consent(&web.provider, &ann.connect().await, &allow).await;
    web.provider.control("faults", json!({"endpoint": "connections", "kind": "status", "status": 503})).await;
    assert_eq!(ann.come_back(&back).await, "connections-unread");

    web.provider.control("settings", json!({"bulk_connections": true})).await;
    let back = consent(&web.provider, &ann.connect().await, &[("person", "mere"), ("decision", "allow")]).await;
    assert_eq!(ann.come_back(&back).await, "no-tenants");
    assert!(web.bindings(&org).await.is_empty());
}

#[tokio::test]
async fn a_state_is_its_own_sessions_and_counts_once() {
    let web = Web::start().await;
    let (ann, org) = web.person("ann@example.com", "Harbour Group").await;
    let (eve, theirs) = web.person("eve@example.com", "Elsewhere").await;
    let asked = ann.connect().await;
    let back =
        consent(&web.provider, &asked, &[("person", "mere"), ("tenant", "harbour"), ("decision", "allow")]).await;

    assert_eq!(eve.come_back(&back).await, "state-foreign");
    let nobody = web.browser().get(back.strip_prefix(&web.base).unwrap()).await;
    assert_eq!(nobody.location(), "/login?next=%2Fsettings%2Fintegrations");
    assert_eq!(ann.come_back(&back).await, "connected.1", "the foreign session spoilt nothing");
    assert_eq!(ann.come_back(&back).await, "state-expired", "a replay");
    assert_eq!(web.bindings(&org).await.len(), 1);
    assert!(web.bindings(&theirs).await.is_empty());
    let codes = web.provider.ledger().await;
    assert_eq!(codes.iter().filter(|entry| entry["grant_type"] == "authorization_code").count(), 1);
}

#[tokio::test]
async fn a_browser_that_leaves_during_the_exchange_loses_nothing() {
    let web = Web::start().await;
    let (ann, org) = web.person("ann@example.com", "Harbour Group").await;
    let asked = ann.connect().await;
    let back =
        consent(&web.provider, &asked, &[("person", "mere"), ("tenant", "harbour"), ("decision", "allow")]).await;
    web.provider.control("hold", json!({})).await;
    tokio::select! {
        page = ann.get(back.strip_prefix(&web.base).unwrap()) => panic!("Xero was held back: {}", page.status),
        waiting = web.provider.waiting(1) => assert_eq!(waiting, 1),
    }
    web.provider.control("release", json!({})).await;
    let store = web.store.clone();
    web.stop().await;
    let bound = store.bindings_of_org(&org).await.unwrap();
    assert_eq!(bound.len(), 1, "the consent was finished without its browser");
}

#[tokio::test]
async fn another_xero_user_takes_a_tenant_over_only_when_a_person_says_so() {
    let web = Web::start().await;
    let (ann, org) = web.person("ann@example.com", "Harbour Group").await;
    connect_as(&web, &ann, "mere", "harbour").await;
    let before = web.bindings(&org).await.remove(0);

    for decision in ["keep", "replace"] {
        assert_eq!(connect_as(&web, &ann, "jonas", "harbour").await, "confirm");
        assert_eq!(connect_as(&web, &ann, "jonas", "harbour").await, "confirm", "asked again");
        let held = web.bindings(&org).await.remove(0);
        assert_eq!(held.binding, before.binding, "nothing changes before the answer");
        let questions = web.store.pending_confirmations(&org).await.unwrap();
        assert_eq!(questions.len(), 1, "the newer question takes the older one's place");
        assert_eq!(questions[0].tenant_names, ["Harbour Coffee"]);
        let new_grant = web.store.pending_of_org(&org).await.unwrap().remove(0).1.grant;

        let form = [("id", questions[0].id.as_str()), ("decision", decision)];
        ann.post("/api/integrations/xero/confirm", &form).await;
        let new_status = web.store.grant(&new_grant).await.unwrap().unwrap().status;
        let now = web.bindings(&org).await.remove(0);
        if decision == "keep" {
            assert_eq!(ann.notice(), "kept");
            assert_eq!(now.binding, before.binding);
            assert_eq!(new_status, GrantStatus::Revoked);
            let jonas = web.provider.sandbox.mint("jonas", &["kauri"], 600).unwrap();
            let left = web.provider.connections(&jonas.access_token).await;
            assert_eq!(left.len(), 1, "what his consent opened is closed at Xero too: {left:?}");
        } else {
            assert_eq!(ann.notice(), "reconnected.1");
            assert_eq!(now.binding.id, before.binding.id);
            assert_eq!(now.grant.unwrap().xero_user_id, JONAS);
            assert_eq!(new_status, GrantStatus::Active);
        }
        ann.post("/api/integrations/xero/confirm", &form).await;
        assert_eq!(ann.notice(), "not-found", "a question is answered once");
    }
    assert_eq!(web.bindings(&org).await[0].binding.status, BindingStatus::Active);
}

#[tokio::test]
async fn only_owners_and_admins_connect_and_only_their_own_organisations() {
    let web = Web::start().await;
    let (ann, org) = web.person("ann@example.com", "Harbour Group").await;
    connect_as(&web, &ann, "mere", "harbour").await;
    let binding = web.bindings(&org).await.remove(0).binding.id;
    let member = web.add("bob@example.com", "Harbour Group").await;
    let demote = "UPDATE memberships SET role = 'member' WHERE user_id = $1";
    sqlx::query(demote).bind(member.user.as_str()).execute(web.store.database().pool()).await.unwrap();

    let bob = web.browser();
    bob.sign_in("bob@example.com").await;
    for (path, form) in [
        ("/api/integrations/xero/connect", vec![]),
        ("/api/integrations/xero/confirm", vec![("id", "x"), ("decision", "keep")]),
    ] {
        let page = bob.post(path, &form).await;
        assert_eq!((page.location(), bob.notice().as_str()), ("/settings/integrations", "not-allowed"));
    }
    let (eve, _) = web.person("eve@example.com", "Elsewhere").await;
    eve.post("/api/integrations/xero/connect", &[("binding_id", binding.as_str())]).await;
    assert_eq!(eve.notice(), "not-found");
    let nobody = web.browser().post("/api/integrations/xero/connect", &[]).await;
    assert_eq!(nobody.location(), "/login?next=%2Fsettings%2Fintegrations");
}
