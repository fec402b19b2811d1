//! The connect flow as a browser runs it: the Connect form, Xero's consent page, and the callback.

use axum::http::{Method, StatusCode};
use evergrant::model::{BindingStatus, GrantStatus, paths};
use serde_json::json;

use crate::sandbox::Provider;
use crate::support::browser::Browser;
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

const MERE_USER_ID: &str = "1f0c7c1e-6a3b-4b0e-9d52-3f1b6f0a2c11";
const JONAS_USER_ID: &str = "2a9d4e57-0c84-4f6f-8b7e-5d2c9e1b7a22";

/// The choices of Mere on the consent page, who connects Harbour Coffee.
pub const ALLOW_HARBOUR: [(&str, &str); 3] = [("person", "mere"), ("tenant", "harbour"), ("decision", "allow")];

/// Submits Xero's consent page and returns the URL to which it redirects the browser.
pub async fn submit_consent(
    provider: &Provider,
    authorize_params: &[(String, String)],
    choices: &[(&str, &str)],
) -> String {
    let mut form: Vec<(&str, &str)> = authorize_params
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| !choices.iter().any(|(answered, _)| answered == name))
        .collect();
    form.extend_from_slice(choices);
    let address = format!("{}/identity/connect/authorize", provider.base);
    let response = provider.client.post(address).form(&form).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    response.headers()["location"].to_str().unwrap().to_owned()
}

/// Runs the whole flow for one Xero user and one tenant. Returns the name of the message shown at the end.
pub async fn connect_as(web: &TestServer, browser: &Browser, person: &str, tenant: &str) -> String {
    let authorize_params = browser.connect().await;
    let callback = submit_consent(
        &web.provider,
        &authorize_params,
        &[("person", person), ("tenant", tenant), ("decision", "allow")],
    )
    .await;
    browser.follow_callback(&callback).await
}

#[apply(each_database!)]
async fn consent_binds_its_tenants_and_a_repeated_consent_keeps_the_binding(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let flash = connect_as(&web, &ann, "mere", "harbour").await;
    let first = web.bindings(&org).await.remove(0);
    assert_eq!(flash, format!("connected.1.{}", first.binding.id));
    assert_eq!(first.binding.tenant.name, "Harbour Coffee");
    assert_eq!(first.connected_by_email.as_deref(), Some("ann@example.com"));
    let grant = first.grant.unwrap();
    assert_eq!((grant.status, grant.xero_user_id.as_str()), (GrantStatus::Active, MERE_USER_ID));

    let flash = connect_as(&web, &ann, "mere", "harbour").await;
    assert_eq!(flash, format!("reconnected.1.{}", first.binding.id));
    let again = web.bindings(&org).await;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].binding.id, first.binding.id, "the binding stays");
    let renewed = again[0].grant.as_ref().unwrap();
    assert_ne!(renewed.id, grant.id, "the grant is new");
    assert_eq!(web.store.grant(&grant.id).await.unwrap().unwrap().status, GrantStatus::Revoked);

    // A later consent by the same user adds another tenant. The first binding keeps its grant.
    let flash = connect_as(&web, &ann, "mere", "kauri").await;
    let both = web.bindings(&org).await;
    assert_eq!(both.len(), 2);
    let added = both.iter().find(|one| one.binding.id != first.binding.id).unwrap();
    assert_eq!(flash, format!("connected.1.{}", added.binding.id));
    assert_eq!(both[0].grant.as_ref().unwrap().id, renewed.id, "only this consent's tenants are bound");
    web.stop().await;
}

#[tokio::test]
async fn connected_message_is_shown_once() {
    let web = TestServer::start().await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    connect_as(&web, &ann, "mere", "harbour").await;
    let page = ann.get("/settings/integrations").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("Harbour Coffee is connected."));
    assert!(!ann.get("/settings/integrations").await.text.contains("Harbour Coffee is connected."));
}

#[tokio::test]
async fn each_consent_failure_has_its_own_message_and_binds_nothing() {
    let web = TestServer::start().await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let allow = [("person", "mere"), ("tenant", "harbour"), ("decision", "allow")];

    let callback = submit_consent(&web.provider, &ann.connect().await, &[("decision", "cancel")]).await;
    assert_eq!(ann.follow_callback(&callback).await, "consent-refused");
    assert_eq!(ann.follow_callback(&callback).await, "consent-refused", "and so when it comes again");

    let authorize_params = ann.connect().await;
    let state = authorize_params.iter().find(|(name, _)| name == "state").unwrap().1.clone();
    let with = |rest: &str| ann.url(&format!("/api/integrations/xero/callback?state={state}{rest}"));
    assert_eq!(ann.follow_callback(&with("&error=server_error")).await, "consent-failed");
    assert_eq!(ann.follow_callback(&ann.url("/api/integrations/xero/callback?code=c")).await, "state-expired");
    for (without_state, expected) in [
        ("error=access_denied", "consent-refused"),
        ("error=access_denied&error_description=wrong+scopes", "scopes-refused"),
        ("error=server_error", "consent-failed"),
    ] {
        let callback = ann.url(&format!("/api/integrations/xero/callback?{without_state}"));
        assert_eq!(ann.follow_callback(&callback).await, expected, "{without_state}");
    }
    assert_eq!(
        ann.follow_callback(&ann.url("/api/integrations/xero/callback?state=guess&code=c")).await,
        "state-expired"
    );

    let callback = submit_consent(&web.provider, &ann.connect().await, &allow).await;
    web.advance(10 * 60);
    assert_eq!(ann.follow_callback(&callback).await, "state-expired", "the state expires after ten minutes");

    let lasting: [(&str, &str); 4] = [allow[0], allow[1], allow[2], ("scope", "openid accounting.settings.read")];
    let callback = submit_consent(&web.provider, &ann.connect().await, &lasting).await;
    assert_eq!(ann.follow_callback(&callback).await, "no-refresh-token");

    let callback = submit_consent(&web.provider, &ann.connect().await, &allow).await;
    web.provider.inject_fault(json!({"endpoint": "token", "kind": "status", "status": 503})).await;
    assert_eq!(ann.follow_callback(&callback).await, "exchange-failed");

    let callback = submit_consent(&web.provider, &ann.connect().await, &allow).await;
    web.provider.inject_fault(json!({"endpoint": "connections", "kind": "status", "status": 503})).await;
    assert_eq!(ann.follow_callback(&callback).await, "connections-unread");

    web.provider.control("settings", json!({"bulk_connections": true})).await;
    let callback =
        submit_consent(&web.provider, &ann.connect().await, &[("person", "mere"), ("decision", "allow")]).await;
    assert_eq!(ann.follow_callback(&callback).await, "no-tenants");
    assert!(web.bindings(&org).await.is_empty());
}

#[tokio::test]
async fn oauth_state_is_bound_to_its_session_and_single_use() {
    let web = TestServer::start().await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let (eve, theirs) = web.signed_in_user("eve@example.com", "Elsewhere").await;
    let authorize_params = ann.connect().await;
    let callback = submit_consent(&web.provider, &authorize_params, &ALLOW_HARBOUR).await;

    assert_eq!(eve.follow_callback(&callback).await, "state-foreign");
    let nobody = web.browser().get(callback.strip_prefix(&web.base).unwrap()).await;
    assert_eq!(nobody.location(), "/login?next=%2Fapi%2Fintegrations%2Fxero%2Fcallback");
    let flash = ann.follow_callback(&callback).await;
    let [connected] = &web.bindings(&org).await[..] else { panic!("{flash}") };
    let wanted = format!("connected.1.{}", connected.binding.id);
    assert_eq!(flash, wanted, "the foreign session did not consume the state");
    assert_eq!(ann.follow_callback(&callback).await, wanted, "the outcome is repeated");
    assert_eq!(eve.follow_callback(&callback).await, "state-foreign", "and told to nobody else");
    assert_eq!(web.bindings(&org).await.len(), 1);
    assert!(web.bindings(&theirs).await.is_empty());
    let codes = web.provider.ledger().await;
    assert_eq!(codes.iter().filter(|entry| entry["grant_type"] == "authorization_code").count(), 1);
}

#[apply(each_database!)]
async fn callback_that_comes_twice_at_once_has_one_outcome(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let callback = submit_consent(&web.provider, &ann.connect().await, &ALLOW_HARBOUR).await;
    web.provider.control("hold", json!({})).await;
    let release = async {
        web.provider.waiting(1).await;
        web.provider.control("release", json!({})).await;
    };
    let path = callback.strip_prefix(&web.base).unwrap();
    let (one, other, ()) = tokio::join!(ann.get(path), ann.get(path), release);
    let connected = web.bindings(&org).await.remove(0).binding.id;
    for page in [one, other] {
        let cookies = page.header("set-cookie");
        assert!(cookies.contains(&format!("connected.1.{connected}")), "{cookies}");
    }
    let codes = web.provider.ledger().await;
    assert_eq!(codes.iter().filter(|entry| entry["grant_type"] == "authorization_code").count(), 1);
}

#[tokio::test]
async fn person_whose_session_ended_at_xero_learns_the_outcome_after_signing_in_again() {
    let web = TestServer::start().await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let used = submit_consent(&web.provider, &ann.connect().await, &ALLOW_HARBOUR).await;
    let connected = ann.follow_callback(&used).await;
    let unused = submit_consent(&web.provider, &ann.connect().await, &ALLOW_HARBOUR).await;
    for (callback, outcome) in [(used, connected.as_str()), (unused, "state-foreign")] {
        ann.post("/api/session/logout", &[]).await;
        let page = ann.get(callback.strip_prefix(&web.base).unwrap()).await;
        assert_eq!(page.location(), "/login?next=%2Fapi%2Fintegrations%2Fxero%2Fcallback");
        ann.sign_in("ann@example.com").await;
        assert_eq!(ann.follow_callback(&ann.url(paths::CALLBACK)).await, outcome);
    }
    assert_eq!(web.bindings(&org).await.len(), 1);
}

#[tokio::test]
async fn page_asked_for_by_another_name_of_this_machine_is_at_the_public_url() {
    let web = TestServer::start().await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let path = "/settings/integrations?disconnect=b-1";
    let other = web.base.replace("http://127.0.0.1", "localhost");
    let page = ann.send(ann.request(Method::GET, path, "text/html").header("host", other)).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, ann.url(path).as_str()));
}

#[tokio::test]
async fn message_about_a_connection_names_what_still_needs_reconnecting() {
    let web = TestServer::start().await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    connect_as(&web, &ann, "mere", "kauri").await;
    let breaks = "UPDATE integration_tenant_bindings SET status = 'needs_reauth'";
    sqlx::query(breaks).execute(web.store.database().pool()).await.unwrap();
    connect_as(&web, &ann, "mere", "harbour").await;
    let page = ann.get("/settings/integrations").await.text;
    assert!(page.contains("Harbour Coffee is connected. Kauri Joinery still needs reconnecting."), "{page}");
}

#[tokio::test]
async fn consent_completes_after_the_browser_disconnects() {
    let web = TestServer::start().await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let authorize_params = ann.connect().await;
    let callback = submit_consent(&web.provider, &authorize_params, &ALLOW_HARBOUR).await;
    web.provider.control("hold", json!({})).await;
    tokio::select! {
        page = ann.get(callback.strip_prefix(&web.base).unwrap()) => panic!("the callback was answered while Xero was held: {}", page.status),
        () = web.provider.waiting(1) => {}
    }
    web.provider.control("release", json!({})).await;
    let store = web.store.clone();
    web.stop().await;
    let bound = store.bindings_of_org(&org).await.unwrap();
    assert_eq!(bound.len(), 1, "the consent was completed without its browser");
}

#[tokio::test]
async fn another_xero_user_replaces_a_grant_only_after_confirmation() {
    let web = TestServer::start().await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    connect_as(&web, &ann, "mere", "harbour").await;
    let before = web.bindings(&org).await.remove(0);

    for decision in ["keep", "replace"] {
        assert_eq!(connect_as(&web, &ann, "jonas", "harbour").await, "confirm");
        assert_eq!(connect_as(&web, &ann, "jonas", "harbour").await, "confirm", "the second consent asks again");
        let held = web.bindings(&org).await.remove(0);
        assert_eq!(held.binding, before.binding, "nothing changes before the decision");
        let questions = web.store.pending_confirmations(&org).await.unwrap();
        assert_eq!(questions.len(), 1, "the newer confirmation replaces the older one");
        assert_eq!(questions[0].tenant_names, ["Harbour Coffee"]);
        let new_grant = web.store.pending_consents(&org).await.unwrap().remove(0).1.grant;

        let form = [("id", questions[0].id.as_str()), ("decision", decision)];
        ann.post("/api/integrations/xero/confirm", &form).await;
        let new_status = web.store.grant(&new_grant).await.unwrap().unwrap().status;
        let now = web.bindings(&org).await.remove(0);
        if decision == "keep" {
            assert_eq!(ann.flash(), "kept");
            assert_eq!(now.binding, before.binding);
            assert_eq!(new_status, GrantStatus::Revoked);
            let jonas = web.provider.sandbox.mint("jonas", &["kauri"], 600).unwrap();
            let left = web.provider.connections(&jonas.access_token).await;
            assert_eq!(left.len(), 1, "the connection of his consent is deleted at Xero too: {left:?}");
        } else {
            assert_eq!(ann.flash(), format!("reconnected.1.{}", now.binding.id));
            assert_eq!(now.binding.id, before.binding.id);
            assert_eq!(now.grant.unwrap().xero_user_id, JONAS_USER_ID);
            assert_eq!(new_status, GrantStatus::Active);
        }
        ann.post("/api/integrations/xero/confirm", &form).await;
        assert_eq!(ann.flash(), "confirmation-over", "a confirmation is decided once");
    }
    assert_eq!(web.bindings(&org).await[0].binding.status, BindingStatus::Active);
}

#[tokio::test]
async fn rejected_consent_leaves_a_connection_that_another_organization_stands_on() {
    let web = TestServer::start().await;
    let (bob, others) = web.signed_in_user("bob@example.com", "Bob's Books").await;
    connect_as(&web, &bob, "jonas", "harbour").await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    connect_as(&web, &ann, "mere", "harbour").await;
    assert_eq!(connect_as(&web, &ann, "jonas", "harbour").await, "confirm");
    let question = web.store.pending_confirmations(&org).await.unwrap().remove(0);
    ann.post("/api/integrations/xero/confirm", &[("id", question.id.as_str()), ("decision", "keep")]).await;
    assert_eq!(ann.flash(), "kept");

    let theirs = web.bindings(&others).await.remove(0);
    let form = [("binding_id", theirs.binding.id.as_str())];
    bob.post("/api/integrations/xero/test", &form).await;
    assert_eq!(bob.flash(), "test-passed", "their connection goes on working");
}

#[tokio::test]
async fn only_owners_and_admins_can_connect_and_only_their_own_organization() {
    let web = TestServer::start().await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    connect_as(&web, &ann, "mere", "harbour").await;
    let binding = web.bindings(&org).await.remove(0).binding.id;
    let member = web.add_user("bob@example.com", "Harbour Group").await;
    let demote = "UPDATE memberships SET role = 'member' WHERE user_id = $1";
    sqlx::query(demote).bind(member.user.as_str()).execute(web.store.database().pool()).await.unwrap();

    let bob = web.browser();
    bob.sign_in("bob@example.com").await;
    for (path, form) in [
        ("/api/integrations/xero/connect", vec![]),
        ("/api/integrations/xero/confirm", vec![("id", "x"), ("decision", "keep")]),
    ] {
        let page = bob.post(path, &form).await;
        assert_eq!((page.location(), bob.flash().as_str()), ("/settings/integrations", "not-allowed"));
    }
    let (eve, _) = web.signed_in_user("eve@example.com", "Elsewhere").await;
    eve.post("/api/integrations/xero/connect", &[("binding_id", binding.as_str())]).await;
    assert_eq!(eve.flash(), "not-found");
    let nobody = web.browser().post("/api/integrations/xero/connect", &[]).await;
    assert_eq!(nobody.location(), "/login?next=%2Fsettings%2Fintegrations");
}

#[apply(each_database!)]
async fn connections_page_shows_the_configured_roll_age(database: TestDatabase) {
    let web = TestServer::with_flags(database, &[("--roll-after", "30d")]).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour").await;
    TestConsent::new(&web.store, &web.provider).access_seconds_left(1800).connect(org).await;
    let page = ann.get("/settings/integrations").await.text;
    assert!(page.contains("renewed by day 30"), "{page}");
    assert!(page.contains("x=\"50%\""), "the mark stands at half of sixty days");
}

#[apply(each_database!)]
async fn reconnect_whose_connection_keeps_its_first_consent_gets_the_new_grant(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let (bob, other) = web.signed_in_user("bob@example.com", "Kauri Group").await;
    connect_as(&web, &ann, "mere", "harbour").await;
    // The same Xero user connects another organization, which the page asks about.
    assert_eq!(connect_as(&web, &bob, "mere", "kauri").await, "confirm");
    let (question, _) = web.store.pending_consents(&other).await.unwrap().remove(0);
    bob.post(paths::CONFIRM, &[("id", &question), ("decision", "replace")]).await;
    let before = web.bindings(&org).await.remove(0);
    let theirs = web.bindings(&other).await;
    web.provider.control("settings", json!({ "keep_auth_event_id": true })).await;

    let flash = connect_as(&web, &ann, "mere", "harbour").await;
    assert_eq!(flash, format!("reconnected.1.{}", before.binding.id));
    let [after] = &web.bindings(&org).await[..] else { panic!("another organization's tenant was bound") };
    assert_ne!(after.binding.active_grant_id, before.binding.active_grant_id);
    assert_eq!(after.grant.as_ref().unwrap().status, GrantStatus::Active);
    assert_eq!(web.bindings(&other).await[0].binding, theirs[0].binding);

    // A tenant that only the other organization has bound is not recognizable as this consent's.
    let flash = connect_as(&web, &bob, "jonas", "demo").await;
    assert!(flash.starts_with("connected.1."), "{flash}");
    let flash = connect_as(&web, &ann, "jonas", "demo").await;
    assert_eq!(flash, "no-tenants");
    assert_eq!(web.bindings(&org).await.len(), 1);
}

#[apply(each_database!)]
async fn empty_list_at_a_consent_is_read_again(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    web.provider.control("oddities", json!({ "kind": "empty" })).await;
    let flash = connect_as(&web, &ann, "mere", "harbour").await;
    assert!(flash.starts_with("connected.1."), "{flash}");
    assert_eq!(web.bindings(&org).await[0].binding.status, BindingStatus::Active);
}

#[apply(each_database!)]
async fn consent_with_an_unusual_token_response_connects(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    for oddity in ["bom", "status_201", "content_type_text", "expires_in_text", "scope_list", "token_type_missing"] {
        web.provider.control("oddities", json!({ "kind": oddity })).await;
    }
    let flash = connect_as(&web, &ann, "mere", "harbour").await;
    assert!(flash.starts_with("connected.1."), "{flash}");
    let grant = web.bindings(&org).await.remove(0).grant.unwrap();
    assert_eq!((grant.status, grant.scopes.as_str()), (GrantStatus::Active, evergrant_sandbox::DEFAULT_SCOPES));
}
