//! A Xero user who connects two organizations: the consent asks, and a token that would open both is not handed out.

use evergrant::model::{ApiKeyLifetime, BindingId, OrgId, Scope, paths};
use evergrant::server::auth::api_keys::{self, RequestedApiKey};
use evergrant::server::domain::Actor;
use reqwest::StatusCode;
use serde_json::Value;

use crate::connect::{ALLOW_HARBOUR, submit_consent};
use crate::support::browser::Browser;
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

const ALLOW_KAURI: [(&str, &str); 3] = [("person", "mere"), ("tenant", "kauri"), ("decision", "allow")];
const SHARED: &str = "also connects another organisation";

async fn api_key(web: &TestServer, org: &OrgId) -> String {
    let new = RequestedApiKey { name: "Export", scopes: Scope::ALL, life: ApiKeyLifetime::Month, created_by: None };
    api_keys::create(&web.store.as_actor(Actor::operator()), org, new).await.unwrap().key.expose().to_owned()
}

async fn call(web: &TestServer, key: &str, binding: &BindingId, path: &str) -> (StatusCode, Value) {
    let program = web.browser();
    let request = program.client.get(program.url(&format!("/api/v1/bindings/{binding}/{path}")));
    let page = program.send(request.bearer_auth(key)).await;
    (page.status, serde_json::from_str(&page.text).unwrap_or_default())
}

/// Connects two organizations through one Xero user. Returns the second's key and connection, and the first's.
async fn connected_twice(web: &TestServer) -> (String, BindingId, OrgId, BindingId) {
    let harbour = web.add_user("ann@example.com", "Harbour Group").await.org.unwrap().0;
    let southerly = web.add_user("eve@example.com", "Southerly Studio").await.org.unwrap().0;
    let theirs = TestConsent::new(&web.store, &web.provider).access_seconds_left(1_800).connect(harbour.clone()).await;
    let consent = TestConsent::new(&web.store, &web.provider).access_seconds_left(1_800);
    let ours = consent.tenants(&["kauri"]).connect(southerly.clone()).await;
    (api_key(web, &southerly).await, ours.bindings[0].clone(), harbour, theirs.bindings[0].clone())
}

#[apply(each_database!)]
async fn token_that_opens_another_organization_is_refused_and_calls_through_evergrant_work(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (key, ours, harbour, theirs) = connected_twice(&web).await;
    let (status, problem) = call(&web, &key, &ours, "token").await;
    assert_eq!(status, StatusCode::CONFLICT, "{db}: {problem}");
    assert_eq!(problem["code"], "token_reaches_other_organizations", "{db}");
    assert!(problem["detail"].as_str().unwrap().contains("/xero"), "{db}: {problem}");
    let (status, _) = call(&web, &key, &ours, "xero/api.xro/2.0/Organisation").await;
    assert_eq!(status, StatusCode::OK, "{db}");
    let eve = web.browser();
    eve.sign_in("eve@example.com").await;
    assert!(eve.page_text(paths::INTEGRATIONS).await.contains(SHARED), "{db}");

    // Without the other organization's connection the token opens only our own.
    let ann = web.browser();
    ann.sign_in("ann@example.com").await;
    ann.post("/api/integrations/xero/disconnect", &[("binding_id", theirs.as_str())]).await;
    assert_eq!(ann.flash(), "disconnected", "{db}: {harbour}");
    let (status, token) = call(&web, &key, &ours, "token").await;
    assert_eq!((status, &token["warning"]), (StatusCode::OK, &Value::Null), "{db}: {token}");
    assert!(!eve.page_text(paths::INTEGRATIONS).await.contains(SHARED), "{db}");
    web.stop().await;
}

#[apply(each_database!)]
async fn token_that_opens_another_organization_has_a_warning_if_the_operator_allows_it(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::with_flags(database, &[("--shared-users", "allow")]).await;
    let (key, ours, ..) = connected_twice(&web).await;
    let (status, token) = call(&web, &key, &ours, "token").await;
    assert_eq!(status, StatusCode::OK, "{db}: {token}");
    assert!(token["warning"].as_str().unwrap().contains("another organisation"), "{db}");
    web.stop().await;
}

async fn consent(web: &TestServer, browser: &Browser, choices: &[(&str, &str)]) -> String {
    let callback = submit_consent(&web.provider, &browser.connect().await, choices).await;
    browser.follow_callback(&callback).await
}

/// Returns the id of the question that the page asks.
async fn question(browser: &Browser) -> String {
    let page = browser.page_text(paths::INTEGRATIONS).await;
    assert!(page.contains("Connect Kauri Joinery through this Xero user?") && page.contains(SHARED));
    let (_, rest) = page.split_once("name=\"id\" value=\"").expect("the page asks");
    rest.split('"').next().unwrap().to_owned()
}

#[apply(each_database!)]
async fn consent_of_a_xero_user_who_connects_another_organization_is_asked_about(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    assert!(consent(&web, &ann, &ALLOW_HARBOUR).await.starts_with("connected.1."), "{db}");
    let (eve, southerly) = web.signed_in_user("eve@example.com", "Southerly Studio").await;
    assert_eq!(consent(&web, &eve, &ALLOW_KAURI).await, "confirm", "{db}");
    assert!(web.bindings(&southerly).await.is_empty(), "{db}: bound before the answer");
    let answer = [("id", question(&eve).await), ("decision", "keep".to_owned())];
    let answer: Vec<_> = answer.iter().map(|(name, value)| (*name, value.as_str())).collect();
    eve.post(paths::CONFIRM, &answer).await;
    assert_eq!(eve.flash(), "not-connected", "{db}");
    assert!(web.bindings(&southerly).await.is_empty(), "{db}");

    assert_eq!(consent(&web, &eve, &ALLOW_KAURI).await, "confirm", "{db}");
    let id = question(&eve).await;
    eve.post(paths::CONFIRM, &[("id", &id), ("decision", "replace")]).await;
    assert!(eve.flash().starts_with("connected.1."), "{db}: {}", eve.flash());
    // The first organization is asked nothing, and the second only once.
    assert!(consent(&web, &ann, &ALLOW_HARBOUR).await.starts_with("reconnected.1."), "{db}");
    assert!(consent(&web, &eve, &ALLOW_KAURI).await.starts_with("reconnected.1."), "{db}");
    web.stop().await;
}
