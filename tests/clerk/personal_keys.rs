//! API keys of people whom Clerk manages: they end with the membership, or are refused if nobody would tell its end.

use axum::http::StatusCode;
use evergrant::model::{ApiKeyLifetime, OrgId, Scope, UserId};
use evergrant::server::auth::api_keys;
use evergrant::server::auth::api_keys::RequestedApiKey;
use serde_json::{Value, json};

use crate::support::browser::{Browser, Page};
use crate::support::clerk::{ClerkSession, FakeClerk, membership_data};
use crate::support::databases::TestDatabase;

const CREATE_PATH: &str = "/api/api-keys/create";
const LISTER: [(&str, &str); 2] = [("name", "Lister"), ("scopes[]", "bindings:read")];

async fn list_bindings(browser: &Browser, key: &str) -> Page {
    browser.send(browser.client.get(browser.url("/api/v1/bindings")).bearer_auth(key)).await
}

/// Creates a key in the store, past the check of the page.
async fn create_key(clerk: &FakeClerk, org: &OrgId, created_by: Option<&UserId>) -> String {
    let new = RequestedApiKey { name: "Lister", scopes: Scope::ALL, life: ApiKeyLifetime::Month, created_by };
    let created = api_keys::create(&clerk.server.store, org, new).await.ok().unwrap();
    created.key.expose().to_owned()
}

/// Returns Ann's organization and user id, after her first request.
async fn org_and_user(clerk: &FakeClerk, ann: &Browser) -> (OrgId, UserId) {
    assert_eq!(ann.get("/").await.status, StatusCode::OK);
    let org = clerk.server.store.database().org_summaries(None, None).await.unwrap().remove(0).id;
    let ann = clerk.server.store.members(&org, &"nobody".into()).await.unwrap().remove(0).user_id;
    (org, ann)
}

#[apply(each_database!)]
async fn without_webhooks_people_create_no_keys_and_theirs_are_refused(database: TestDatabase) {
    let db = database.name;
    let clerk = FakeClerk::without_webhooks(database).await;
    let ann = clerk.browser(&ClerkSession::ann());
    let (org, ann_id) = org_and_user(&clerk, &ann).await;
    let (status, body) = ann.call_server_fn(CREATE_PATH, &LISTER).await;
    assert_eq!(status, StatusCode::CONFLICT, "{db}: {body}");
    assert!(clerk.server.store.api_keys(&org).await.unwrap().is_empty(), "{db}");

    let (personal, operators) = (create_key(&clerk, &org, Some(&ann_id)).await, create_key(&clerk, &org, None).await);
    let refused = list_bindings(&ann, &personal).await;
    let problem: Value = serde_json::from_str(&refused.text).unwrap();
    assert_eq!((refused.status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("personal-key")), "{db}");
    assert!(problem["detail"].as_str().unwrap().contains("CLERK_WEBHOOK_SECRET"), "{db}: {problem}");
    assert_eq!(list_bindings(&ann, &operators).await.status, StatusCode::OK, "{db}: nobody has to leave");
    clerk.server.stop().await;
}

#[apply(each_database!)]
async fn with_webhooks_keys_end_with_the_role_and_with_the_membership(database: TestDatabase) {
    let db = database.name;
    let clerk = FakeClerk::on(database).await;
    for (name, event, role) in [
        ("ann", "organizationMembership.updated", "org:member"),
        ("bob", "organizationMembership.deleted", "org:admin"),
    ] {
        let (user, email) = (format!("user_{name}"), format!("{name}@example.com"));
        let browser = clerk.browser(&ClerkSession { user: user.clone(), session: name.into(), ..ClerkSession::ann() });
        let (status, key) = browser.call_server_fn(CREATE_PATH, &LISTER).await;
        assert_eq!(status, StatusCode::OK, "{db}: {key}");
        let key = key.as_str().unwrap();
        assert_eq!(list_bindings(&browser, key).await.status, StatusCode::OK, "{db}");
        clerk.server.advance(1);
        clerk.deliver_event(name, event, membership_data(&user, &email, role)).await;
        assert_eq!(list_bindings(&browser, key).await.status, StatusCode::UNAUTHORIZED, "{db}: {event}");
    }
    clerk.server.stop().await;
}
