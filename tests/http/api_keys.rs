//! `/settings/api-keys`: creating, showing once, using and revoking a key, and who may do so.

use axum::http::StatusCode;
use evergrant::model::OrgId;
use evergrant::server::store::AuditFilter;

use crate::support::browser::{Browser, Page};
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

pub const API_KEYS_PATH: &str = "/settings/api-keys";
pub const BOTH_SCOPES: [(&str, &str); 2] = [("scopes[0]", "bindings:read"), ("scopes[1]", "tokens:read")];

/// Returns the complete key on a page, if it shows one.
pub fn key_on_page(page: &Page) -> Option<String> {
    let start = page.text.find("egk_")?;
    let key: String = page.text[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    (key.len() == 76).then_some(key)
}

pub async fn create_key(browser: &Browser, name: &str, scopes: &[(&str, &str)], life: &str) -> String {
    let form: Vec<_> = [("name", name), ("life", life)].into_iter().chain(scopes.iter().copied()).collect();
    let page = browser.post("/api/api-keys/create", &form).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, API_KEYS_PATH), "{}", page.text);
    browser.flash()
}

pub async fn list_bindings_status(web: &TestServer, key: &str) -> StatusCode {
    let program = web.browser();
    program.send(program.client.get(program.url("/api/v1/bindings")).bearer_auth(key)).await.status
}

async fn first_key_id(web: &TestServer, org: &OrgId) -> String {
    web.store.api_keys(org).await.unwrap()[0].id.0.clone()
}

#[apply(each_database!)]
async fn key_is_created_shown_once_used_and_revoked(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    assert!(ann.get(API_KEYS_PATH).await.text.contains("No API keys yet"), "{db}");
    assert_eq!(create_key(&ann, "Nightly <export>", &BOTH_SCOPES, "30d").await, "key-created", "{db}");
    let page = ann.get(API_KEYS_PATH).await;
    let key = key_on_page(&page).expect("the page shows the key");
    assert!(page.text.contains("Nightly &lt;export&gt;") && page.text.contains("Never"), "{db}");
    assert_eq!(page.header("cache-control"), "no-store", "{db}");
    assert_eq!(key_on_page(&ann.get(API_KEYS_PATH).await).as_ref(), Some(&key), "{db}: a reload used the key up");
    assert!(ann.cookie("evergrant_new_key").is_some(), "{db}: it ends by its lifetime of a minute");
    assert_eq!(list_bindings_status(&web, &key).await, StatusCode::OK, "{db}");

    let id = first_key_id(&web, &org).await;
    let (eve, _) = web.signed_in_user("eve@example.com", "Elsewhere").await;
    eve.post("/api/api-keys/revoke", &[("key_id", &id)]).await;
    assert_eq!(eve.flash(), "key-missing", "{db}: the key belongs to another organization");
    let question = ann.get(&format!("{API_KEYS_PATH}?revoke={id}")).await.text;
    assert!(question.contains("Revoke Nightly &lt;export&gt;?"), "{db}");
    ann.post("/api/api-keys/revoke", &[("key_id", &id)]).await;
    assert_eq!(ann.flash(), "key-revoked", "{db}");
    assert_eq!(list_bindings_status(&web, &key).await, StatusCode::UNAUTHORIZED, "{db}");
    assert!(!ann.get(&format!("{API_KEYS_PATH}?revoke={id}")).await.text.contains("id=\"question\""), "{db}");

    let events = web.store.audit_events(Some(&org), AuditFilter::default(), None, 9).await.unwrap();
    let actions: Vec<_> = events.iter().map(|event| (event.action.as_str(), event.actor.as_str())).collect();
    assert!(
        actions.starts_with(&[("api_key.revoked", "ann@example.com"), ("api_key.created", "ann@example.com")]),
        "{db}: {actions:?}"
    );
    assert!(!format!("{events:?}").contains(&key[12..]), "{db}: the audit log contains the key");
    web.stop().await;
}

#[tokio::test]
async fn json_response_contains_the_key() {
    let web = TestServer::start().await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let request = ann.client.post(ann.url("/api/api-keys/create")).header("accept", "application/json");
    let form = [("name", "Lister"), ("scopes[]", "bindings:read")];
    let answer = ann.send(request.header("origin", &web.base).form(&form)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store", "it holds a new key");
    assert_eq!(ann.cookie("evergrant_new_key"), None);
    let key = key_on_page(&answer).unwrap();
    assert_eq!(list_bindings_status(&web, &key).await, StatusCode::OK);
    let token = ann.client.get(ann.url("/api/v1/bindings/none/token")).bearer_auth(&key);
    assert_eq!(ann.send(token).await.status, StatusCode::FORBIDDEN, "the key may only list");
    web.stop().await;
}

#[tokio::test]
async fn incomplete_form_creates_no_key_and_names_what_is_missing() {
    let web = TestServer::start().await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    assert_eq!(create_key(&ann, " ", &BOTH_SCOPES, "30d").await, "key-no-name");
    assert_eq!(create_key(&ann, &"x".repeat(101), &BOTH_SCOPES, "30d").await, "key-no-name");
    assert_eq!(create_key(&ann, "Nightly export", &[], "30d").await, "key-no-scope");
    assert!(web.store.api_keys(&org).await.unwrap().is_empty());
    // Any single scope is enough.
    assert_eq!(create_key(&ann, "Nightly export", &BOTH_SCOPES[1..], "never").await, "key-created");
    web.stop().await;
}

#[tokio::test]
async fn members_can_neither_see_nor_create_keys() {
    let web = TestServer::start().await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    assert_eq!(create_key(&ann, "Nightly export", &BOTH_SCOPES, "90d").await, "key-created");
    let eve = web.add_user("eve@example.com", "Harbour Group").await.user;
    ann.post("/api/members/set-role", &[("user_id", eve.as_str()), ("role", "member")]).await;
    let eve = web.browser();
    eve.sign_in("eve@example.com").await;
    assert!(!eve.get("/settings/integrations").await.text.contains(API_KEYS_PATH), "the tab is hidden");
    let page = eve.get(API_KEYS_PATH).await.text;
    assert!(page.contains("Ask one of them.") && !page.contains("Nightly export") && !page.contains("egk_"), "{page}");
    assert_eq!(create_key(&eve, "Mine", &BOTH_SCOPES, "90d").await, "keys-not-allowed");
    web.stop().await;
}

#[tokio::test]
async fn cookie_value_is_shown_only_if_it_is_a_key() {
    let web = TestServer::start().await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    ann.set_cookie("evergrant_new_key", "call-this-number");
    let page = ann.get(API_KEYS_PATH).await;
    assert!(!page.text.contains("call-this-number") && !page.text.contains("Your new API key"));
    web.stop().await;
}
