//! What ends with a role and with a membership: API keys, and what the confirmation says about the rest.

use axum::http::StatusCode;
use evergrant::model::{Action, OrgId};
use evergrant::server::store::AuditFilter;

use super::api_keys::{API_KEYS_PATH, BOTH_SCOPES, create_key, key_on_page, list_bindings_status};
use super::members::{MEMBERS_PATH, member_id};
use crate::connect::{ALLOW_HARBOUR, submit_consent};
use crate::support::browser::Browser;
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

/// Returns a server, Ann who owns the organization, and Bob who is an admin of it.
async fn owner_and_admin(database: TestDatabase) -> (TestServer, Browser, Browser, OrgId) {
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let (bob, _) = web.signed_in_user("bob@example.com", "Harbour Group").await;
    (web, ann, bob, org)
}

async fn new_key(browser: &Browser, name: &str) -> String {
    assert_eq!(create_key(browser, name, &BOTH_SCOPES, "30d").await, "key-created");
    key_on_page(&browser.get(API_KEYS_PATH).await).expect("the page shows the key")
}

/// Returns the names of the keys that ended without a revocation, and why, newest first.
async fn ended_keys(web: &TestServer, org: &OrgId) -> Vec<(String, String)> {
    let ended = AuditFilter { action: Action::ApiKeyRevoked.as_str(), ..AuditFilter::default() };
    let events = web.store.audit_events(Some(org), ended, None, 9).await.unwrap();
    let value = |detail: &[(String, String)], wanted: &str| {
        detail.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    events.iter().map(|event| (value(&event.detail, "name"), value(&event.detail, "because"))).collect()
}

#[apply(each_database!)]
async fn demotion_ends_the_keys_that_the_person_created_and_no_others(database: TestDatabase) {
    let db = database.name;
    let (web, ann, bob, org) = owner_and_admin(database).await;
    let (anns, bobs) = (new_key(&ann, "Nightly import").await, new_key(&bob, "Nightly export").await);
    let id = member_id(&web, &org, "bob@example.com").await;
    let set_role = async |role: &str| {
        ann.post("/api/members/set-role", &[("user_id", id.as_str()), ("role", role)]).await;
        ann.flash()
    };
    assert_eq!(set_role("owner").await, "role-changed", "{db}");
    assert_eq!(set_role("admin").await, "role-changed", "{db}");
    assert_eq!(list_bindings_status(&web, &bobs).await, StatusCode::OK, "{db}: an admin may have keys");
    assert_eq!(set_role("member").await, "role-member", "{db}");
    assert_eq!(list_bindings_status(&web, &bobs).await, StatusCode::UNAUTHORIZED, "{db}");
    assert_eq!(list_bindings_status(&web, &anns).await, StatusCode::OK, "{db}");
    let why = "the person who created it became a member".to_owned();
    assert_eq!(ended_keys(&web, &org).await, [("Nightly export".to_owned(), why)], "{db}");
    web.stop().await;
}

#[apply(each_database!)]
async fn removal_names_what_ends_and_what_stays_before_it_happens(database: TestDatabase) {
    let db = database.name;
    let (web, ann, bob, org) = owner_and_admin(database).await;
    let id = member_id(&web, &org, "bob@example.com").await;
    let (ask, bare) = (format!("{MEMBERS_PATH}?remove={id}"), "API keys stop working");
    assert!(!ann.page_text(&ask).await.contains(bare), "{db}: nothing is theirs yet");

    let key = new_key(&bob, "Nightly export").await;
    let callback = submit_consent(&web.provider, &bob.connect().await, &ALLOW_HARBOUR).await;
    bob.follow_callback(&callback).await;
    let endpoint = "INSERT INTO webhook_endpoints (id, org_id, url, secret_enc, created_by, created_at) \
                    VALUES ('e-1', $1, 'https://hooks.example.com/?key=private', 'x', $2, 0)";
    let endpoint = sqlx::query(endpoint).bind(org.as_str()).bind(&id);
    endpoint.execute(web.store.database().pool()).await.unwrap();

    for page in [ann.page_text(&ask).await, bob.page_text(&ask).await] {
        for words in
            ["API keys stop working: Nightly export.", "This webhook stays: hooks.example.com.", "Harbour Coffee."]
        {
            assert!(page.contains(words), "{db} {words}: {page}");
        }
        assert!(!page.contains("key=private"), "{db}: a webhook's URL may hold a key");
    }
    let eve = web.add_user("eve@example.com", "Harbour Group").await.user;
    ann.post("/api/members/set-role", &[("user_id", eve.as_str()), ("role", "member")]).await;
    let eve = web.browser();
    eve.sign_in("eve@example.com").await;
    let (status, _) = eve.call_server_fn("/api/members/belongings", &[("user_id", id.as_str())]).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{db}: members ask about themselves only");
    assert!(!eve.page_text(&ask).await.contains("Nightly export"), "{db}");

    ann.post("/api/members/remove", &[("user_id", &id)]).await;
    assert_eq!(ann.flash(), "member-removed", "{db}");
    assert_eq!(list_bindings_status(&web, &key).await, StatusCode::UNAUTHORIZED, "{db}");
    let why = "the person who created it left".to_owned();
    assert_eq!(ended_keys(&web, &org).await, [("Nightly export".to_owned(), why)], "{db}");
    assert_eq!(web.store.listed_endpoints(&org).await.unwrap().len(), 1, "{db}: the webhook stays");
    assert_eq!(web.bindings(&org).await[0].binding.status.as_str(), "active", "{db}: the connection stays");
    web.stop().await;
}
