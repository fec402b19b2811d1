//! API keys that are limited to some connections, and rotated ones.

use axum::http::StatusCode;
use evergrant::model::{Action, ApiKeyId, ApiKeyLifetime, BindingId, OrgId, Scope, paths};
use evergrant::server::auth::api_keys::{self, RequestedApiKey};
use evergrant::server::domain::Actor;
use evergrant::server::store::AuditFilter;
use reqwest::Method;
use serde_json::{Value, json};

use super::api_keys::{API_KEYS_PATH, BOTH_SCOPES, key_on_page, list_bindings_status};
use super::bindings_api::{Program, connected, read};
use crate::support::databases::TestDatabase;
use crate::support::http::test_client;
use crate::support::test_server::TestServer;
use crate::support::wait::{MAX_WAIT, eventually};

async fn limited(server: &TestServer, org: &OrgId, bindings: &[BindingId]) -> (Program, ApiKeyId) {
    let new = RequestedApiKey { name: "Till", scopes: Scope::ALL, life: ApiKeyLifetime::Month, created_by: None };
    let store = server.store.as_actor(Actor::operator());
    let created = api_keys::create_limited(&store, org, new, bindings).await.unwrap();
    let key = created.key.expose().into();
    (Program { client: test_client(), base: server.base.clone(), key }, created.id)
}

async fn events(program: &Program) -> Vec<Value> {
    let request = program.client.get(format!("{}{}", program.base, paths::V1_EVENTS));
    let (_, list) = read(request.bearer_auth(&program.key).send().await.unwrap()).await;
    list["events"].as_array().unwrap().clone()
}

#[apply(each_database!)]
async fn limited_key_sees_and_changes_its_connections_alone(database: TestDatabase) {
    let (server, org, ids) = connected(database).await;
    let own = BindingId(ids[0].clone());
    let (program, _) = limited(&server, &org, std::slice::from_ref(&own)).await;
    let (status, list) = program.send(Method::GET, "").await;
    assert_eq!((status, list["bindings"].as_array().unwrap().len()), (StatusCode::OK, 1), "{list}");
    assert_eq!(list["bindings"][0]["id"], json!(ids[0]));
    for (method, path) in [
        (Method::GET, ""),
        (Method::DELETE, ""),
        (Method::POST, "/refresh"),
        (Method::GET, "/token"),
        (Method::GET, "/xero/api.xro/2.0/Organisation"),
    ] {
        let (status, problem) = program.send(method.clone(), &format!("/{}{path}", ids[1])).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::NOT_FOUND, &json!("no-such-connection")),
            "{method} {path}"
        );
    }
    let (status, _) = program.patch(&ids[1], json!({ "tags": ["gold"] })).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, labeled) = program.patch(&ids[0], json!({ "tags": ["gold"] })).await;
    assert_eq!((status, &labeled["tags"]), (StatusCode::OK, &json!(["gold"])));

    let import = program.client.post(format!("{}{}", program.base, paths::V1_IMPORT)).bearer_auth(&program.key);
    let body = json!({ "oldSystemStopped": true, "rows": [{ "refreshToken": "none" }] });
    let (status, problem) = read(import.json(&body).send().await.unwrap()).await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("limited-key")));

    // All three connections are one Xero user's, so a token would open the others.
    let (status, problem) = program.send(Method::GET, &format!("/{}/token", ids[0])).await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("limited-key")));
    let (status, _) = program.send(Method::GET, &format!("/{}/xero/api.xro/2.0/Organisation", ids[0])).await;
    assert_eq!(status, StatusCode::OK);
    let all: Vec<_> = ids.iter().cloned().map(BindingId).collect();
    let (status, token) = limited(&server, &org, &all).await.0.send(Method::GET, &format!("/{}/token", ids[0])).await;
    assert_eq!(status, StatusCode::OK, "this key opens all that the token does: {token}");

    let everything = Program::of(&server, &org, Scope::ALL).await;
    eventually("the events in the feed", MAX_WAIT, async || events(&everything).await.len() == 3).await;
    let seen = events(&program).await;
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0]["data"]["connection"]["id"], json!(ids[0]));

    // Without its only connection the key opens nothing.
    let delete = "DELETE FROM integration_tenant_bindings WHERE id = $1";
    sqlx::query(delete).bind(&ids[0]).execute(server.store.database().pool()).await.unwrap();
    let (status, list) = program.send(Method::GET, "").await;
    assert_eq!((status, &list["bindings"]), (StatusCode::OK, &json!([])));
    assert_eq!(program.send(Method::GET, &format!("/{}", ids[1])).await.0, StatusCode::NOT_FOUND);
    server.stop().await;
}

#[apply(each_database!)]
async fn person_limits_rotates_and_renames_a_key_on_the_page(database: TestDatabase) {
    let db = database.name;
    let (web, org, ids) = connected(database).await;
    let ana = web.browser();
    ana.sign_in("ana@example.com").await;
    let form: Vec<_> = [("name", "Till"), ("life", "30d"), ("bindings[0]", ids[0].as_str())].into();
    ana.post("/api/api-keys/create", &[&form[..], &BOTH_SCOPES].concat()).await;
    assert_eq!(ana.flash(), "key-created", "{db}");
    let old = key_on_page(&ana.get(API_KEYS_PATH).await).expect("the page shows the key");
    let form = [("name", "Till"), ("bindings[0]", "none")];
    ana.post("/api/api-keys/create", &[&form[..], &BOTH_SCOPES].concat()).await;
    assert_eq!(ana.flash(), "key-no-connection", "{db}");

    let view = web.store.api_keys(&org).await.unwrap().remove(0);
    let id = view.id.0.as_str();
    assert_eq!(view.connections.unwrap().len(), 1, "{db}");
    ana.set_cookie("evergrant_new_key", "none");
    let card = ana.get(&format!("{API_KEYS_PATH}?rotate={id}")).await.text;
    assert!(card.contains("Rotate Till?") && card.contains("7 days"), "{db}: {card}");
    ana.post("/api/api-keys/rotate", &[("key_id", id), ("overlap", "1h")]).await;
    assert_eq!(ana.flash(), "key-rotated", "{db}");
    let page = ana.get(API_KEYS_PATH).await;
    let new = key_on_page(&page).expect("the page shows the new key");
    assert_eq!(page.header("cache-control"), "no-store", "{db}");
    assert!(page.text.contains(&old[..12]) && page.text.contains(&new[..12]), "{db}: both are named");
    for key in [&old, &new] {
        assert_eq!(list_bindings_status(&web, key).await, StatusCode::OK, "{db}");
    }
    eventually("the note of the uses", MAX_WAIT, async || {
        let view = web.store.api_keys(&org).await.unwrap().remove(0);
        view.last_use.from.is_some() && view.previous.unwrap().last_use.from.is_some()
    })
    .await;
    assert!(ana.get(API_KEYS_PATH).await.text.contains("127.0.0.1"), "{db}: the page says who used it");
    ana.post("/api/api-keys/rotate", &[("key_id", id)]).await;
    assert_eq!(ana.flash(), "key-still-replacing", "{db}");
    ana.post("/api/api-keys/end-previous", &[("key_id", id)]).await;
    assert_eq!(ana.flash(), "key-previous-ended", "{db}");
    assert_eq!(list_bindings_status(&web, &old).await, StatusCode::UNAUTHORIZED, "{db}");
    assert_eq!(list_bindings_status(&web, &new).await, StatusCode::OK, "{db}");
    ana.post("/api/api-keys/end-previous", &[("key_id", id)]).await;
    assert_eq!(ana.flash(), "key-no-previous", "{db}");

    ana.post("/api/api-keys/rename", &[("key_id", id), ("name", " Front till ")]).await;
    assert_eq!(ana.flash(), "key-renamed", "{db}");
    ana.post("/api/api-keys/rename", &[("key_id", id), ("name", "")]).await;
    assert_eq!(ana.flash(), "key-no-name", "{db}");
    assert!(ana.get(&format!("{API_KEYS_PATH}?rename={id}")).await.text.contains("Rename Front till"), "{db}");
    let changes = ana.get("/activity?show=changes").await.text;
    for done in ["Rotated an API key", "Ended an API key’s old secret", "Renamed an API key"] {
        let plain = done.replace('’', "&#x27;");
        assert!([done, &plain, &done.replace('’', "'")].iter().any(|text| changes.contains(text)), "{db}: {done}");
    }

    // A rotation needs a recent proof, as a new key does.
    web.advance(11 * 60);
    let page = ana.post("/api/api-keys/rotate", &[("key_id", id)]).await;
    assert!(page.location().starts_with("/account/confirm?"), "{db}: {}", page.location());
    assert_eq!(web.store.api_keys(&org).await.unwrap()[0].previous, None, "{db}");
    web.stop().await;
}

#[apply(each_database!)]
async fn person_sets_changes_and_removes_the_limit_of_an_existing_key(database: TestDatabase) {
    let db = database.name;
    let (web, org, ids) = connected(database).await;
    let ana = web.browser();
    ana.sign_in("ana@example.com").await;
    let (program, id) = limited(&web, &org, &[]).await;
    let (id, action) = (id.as_str(), "/api/api-keys/limit");
    let opened = async || program.send(Method::GET, "").await.1["bindings"].as_array().unwrap().len();
    assert_eq!(opened().await, 3, "{db}");
    let card = ana.get(&format!("{API_KEYS_PATH}?limit={id}")).await.text;
    assert!(card.contains("Which connections does Till open?") && card.contains(&ids[2]), "{db}: {card}");

    for (form, flash, number) in [
        (&[("reach", "chosen"), ("bindings[0]", ids[0].as_str()), ("bindings[1]", &ids[2])][..], "key-limited", 2),
        (&[("bindings[1]", ids[1].as_str())], "key-limited", 1),
        (&[("reach", "chosen")], "key-none-chosen", 1),
        (&[], "key-none-chosen", 1),
        (&[("bindings[0]", "none"), ("bindings[1]", ids[0].as_str())], "key-no-connection", 1),
        (&[("reach", "all"), ("bindings[0]", ids[0].as_str())], "key-limited", 3),
    ] {
        ana.post(action, &[&[("key_id", id)], form].concat()).await;
        assert_eq!((ana.flash().as_str(), opened().await), (flash, number), "{db}: {form:?}");
    }
    ana.post(action, &[("key_id", "none"), ("reach", "all")]).await;
    assert_eq!(ana.flash(), "key-missing", "{db}");
    let filter = AuditFilter { action: Action::ApiKeyLimited.as_str(), ..AuditFilter::default() };
    let events = web.store.audit_events(Some(&org), filter, None, 9).await.unwrap();
    let details: Vec<_> = events.iter().map(|event| event.detail.len()).collect();
    assert_eq!(details, [3; 3], "{db}: name, connections and what they were before");
    assert!(events.iter().all(|event| event.actor == "ana@example.com"), "{db}");

    // Another organization's key is not found, and a limit is removed only with a recent proof.
    let (eve, _) = web.signed_in_user("eve@example.com", "Elsewhere").await;
    eve.post(action, &[("key_id", id), ("bindings[0]", ids[0].as_str())]).await;
    assert_eq!((eve.flash().as_str(), opened().await), ("key-missing", 3), "{db}");
    ana.post(action, &[("key_id", id), ("bindings[0]", ids[0].as_str())]).await;
    web.advance(11 * 60);
    let page = ana.post(action, &[("key_id", id), ("reach", "all")]).await;
    assert!(page.location().starts_with("/account/confirm?"), "{db}: {}", page.location());
    assert_eq!(opened().await, 1, "{db}");
    web.stop().await;
}
