//! `/settings/api-keys`: a key is made, shown once, asked with and revoked, by those alone who may.

use axum::http::StatusCode;
use evergrant::model::OrgId;
use evergrant::server::store::AuditFilter;

use crate::support::databases::TestDatabase;
use crate::support::web::{Browser, Page, Web};

const PAGE: &str = "/settings/api-keys";
const BOTH: [(&str, &str); 2] = [("scopes[0]", "bindings:read"), ("scopes[1]", "tokens:read")];

/// The whole key on a page.
fn shown(page: &Page) -> Option<String> {
    let start = page.text.find("egk_")?;
    let key: String = page.text[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    (key.len() == 76).then_some(key)
}

async fn make(browser: &Browser, name: &str, scopes: &[(&str, &str)], life: &str) -> String {
    let form: Vec<_> = [("name", name), ("life", life)].into_iter().chain(scopes.iter().copied()).collect();
    let page = browser.post("/api/api-keys/create", &form).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, PAGE), "{}", page.text);
    browser.notice()
}

async fn listed(web: &Web, key: &str) -> StatusCode {
    let program = web.browser();
    program.send(program.client.get(program.at("/api/v1/bindings")).bearer_auth(key)).await.status
}

async fn only_id(web: &Web, org: &OrgId) -> String {
    web.store.api_keys(org).await.unwrap()[0].id.0.clone()
}

#[tokio::test]
async fn a_key_is_made_shown_once_asked_with_and_revoked() {
    for database in TestDatabase::each().await {
        let db = database.name;
        let web = Web::on(database).await;
        let (ann, org) = web.person("ann@example.com", "Harbour Group").await;
        assert!(ann.get(PAGE).await.text.contains("No API key yet"), "{db}");
        assert_eq!(make(&ann, "Nightly <export>", &BOTH, "30d").await, "key-created", "{db}");
        let page = ann.get(PAGE).await;
        let key = shown(&page).expect("the page shows the key");
        assert!(page.text.contains("Nightly &lt;export&gt;") && page.text.contains("Never"), "{db}");
        assert_eq!(page.header("cache-control"), "no-store", "{db}");
        assert_eq!(shown(&ann.get(PAGE).await), None, "{db}: shown twice");
        assert_eq!(ann.cookie("evergrant_new_key"), None, "{db}: the browser keeps nothing of it");
        assert_eq!(listed(&web, &key).await, StatusCode::OK, "{db}");

        let id = only_id(&web, &org).await;
        let (eve, _) = web.person("eve@example.com", "Elsewhere").await;
        eve.post("/api/api-keys/revoke", &[("key_id", &id)]).await;
        assert_eq!(eve.notice(), "key-missing", "{db}: another organisation's");
        let question = ann.get(&format!("{PAGE}?revoke={id}")).await.text;
        assert!(question.contains("Revoke Nightly &lt;export&gt;?"), "{db}");
        ann.post("/api/api-keys/revoke", &[("key_id", &id)]).await;
        assert_eq!(ann.notice(), "key-revoked", "{db}");
        assert_eq!(listed(&web, &key).await, StatusCode::UNAUTHORIZED, "{db}");
        assert!(!ann.get(&format!("{PAGE}?revoke={id}")).await.text.contains("id=\"question\""), "{db}");

        let events = web.store.audit_events(Some(&org), AuditFilter::default(), None, 9).await.unwrap();
        let told: Vec<_> = events.iter().map(|event| (event.action.as_str(), event.actor.as_str())).collect();
        assert!(
            told.starts_with(&[("api_key.revoked", "ann@example.com"), ("api_key.created", "ann@example.com")]),
            "{db}: {told:?}"
        );
        assert!(!format!("{events:?}").contains(&key[12..]), "{db}: the key in the book");
        web.stop().await;
    }
}

#[tokio::test]
async fn a_script_has_the_key_as_its_answer() {
    let web = Web::start().await;
    let (ann, _) = web.person("ann@example.com", "Harbour Group").await;
    let request = ann.client.post(ann.at("/api/api-keys/create")).header("accept", "application/json");
    let form = [("name", "Lister"), ("scopes[]", "bindings:read")];
    let answer = ann.send(request.header("origin", &web.base).form(&form)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(ann.cookie("evergrant_new_key"), None);
    let key = shown(&answer).unwrap();
    assert_eq!(listed(&web, &key).await, StatusCode::OK);
    let token = ann.client.get(ann.at("/api/v1/bindings/none/token")).bearer_auth(&key);
    assert_eq!(ann.send(token).await.status, StatusCode::FORBIDDEN, "it may list and no more");
    web.stop().await;
}

#[tokio::test]
async fn a_form_that_lacks_something_makes_nothing_and_says_what() {
    let web = Web::start().await;
    let (ann, org) = web.person("ann@example.com", "Harbour Group").await;
    assert_eq!(make(&ann, " ", &BOTH, "30d").await, "key-no-name");
    assert_eq!(make(&ann, &"x".repeat(101), &BOTH, "30d").await, "key-no-name");
    assert_eq!(make(&ann, "Nightly export", &[], "30d").await, "key-no-scope");
    assert!(web.store.api_keys(&org).await.unwrap().is_empty());
    // One box alone may be ticked, whichever.
    assert_eq!(make(&ann, "Nightly export", &BOTH[1..], "never").await, "key-created");
    web.stop().await;
}

#[tokio::test]
async fn members_see_no_keys_and_no_way_to_them() {
    let web = Web::start().await;
    let (ann, _) = web.person("ann@example.com", "Harbour Group").await;
    assert_eq!(make(&ann, "Nightly export", &BOTH, "90d").await, "key-created");
    let eve = web.add("eve@example.com", "Harbour Group").await.user;
    ann.post("/api/members/set-role", &[("user_id", eve.as_str()), ("role", "member")]).await;
    let eve = web.browser();
    eve.sign_in("eve@example.com").await;
    assert!(!eve.get("/settings/integrations").await.text.contains(PAGE), "no tab");
    let page = eve.get(PAGE).await.text;
    assert!(page.contains("Ask one of them.") && !page.contains("Nightly export") && !page.contains("egk_"), "{page}");
    assert_eq!(make(&eve, "Mine", &BOTH, "90d").await, "keys-not-allowed");
    web.stop().await;
}

#[tokio::test]
async fn what_a_cookie_brings_is_shown_only_where_it_is_a_key() {
    let web = Web::start().await;
    let (ann, _) = web.person("ann@example.com", "Harbour Group").await;
    ann.set_cookie("evergrant_new_key", "call-this-number");
    let page = ann.get(PAGE).await;
    assert!(!page.text.contains("call-this-number") && !page.text.contains("The new API key"));
    web.stop().await;
}
