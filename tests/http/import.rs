//! `POST /api/v1/import`: programs bring the refresh tokens of another system along.

use evergrant::model::{Action, ApiKeyLifetime, OrgId, Scope};
use evergrant::server::auth::api_keys::{self, RequestedApiKey};
use evergrant::server::domain::Actor;
use evergrant::server::store::AuditFilter;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::databases::TestDatabase;
use crate::support::http::test_client;
use crate::support::test_server::TestServer;

async fn post(server: &TestServer, org: &OrgId, scopes: &[Scope], body: &Value) -> (StatusCode, Value) {
    let new = RequestedApiKey { name: "Move", scopes, life: ApiKeyLifetime::Month, created_by: None };
    let key = api_keys::create(&server.store.as_actor(Actor::operator()), org, new).await.unwrap().key;
    let request = test_client().post(format!("{}/api/v1/import", server.base)).bearer_auth(key.expose());
    let response = request.json(body).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[apply(each_database!)]
async fn rows_are_imported_and_reported_one_by_one_in_their_order(database: TestDatabase) {
    let server = TestServer::on(database).await;
    let org = server.add_user("ana@example.com", "Harbour Group").await.org.unwrap().0;
    let mint = |tenant: &str| server.provider.sandbox.mint("mere", &[tenant], 60).unwrap();
    let (harbour, kauri) = (mint("harbour"), mint("kauri"));
    let rows = json!({ "oldSystemStopped": true, "rows": [
        { "refreshToken": harbour.refresh_token, "externalId": "cust-1", "tags": ["nz"] },
        { "refreshToken": "used up" },
        { "refreshToken": "0123456789abcdef" },
        { "refreshToken": kauri.refresh_token, "tenantId": kauri.connections[0].tenant_id },
    ] });
    let (status, result) = post(&server, &org, Scope::ALL, &rows).await;
    assert_eq!(status, StatusCode::OK, "{result}");
    let outcomes: Vec<&str> =
        result["rows"].as_array().unwrap().iter().map(|row| row["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["imported", "invalid", "refused", "imported"], "{result}");
    assert!(!result.to_string().contains(&harbour.refresh_token));
    let bound = server.store.bindings_of_org(&org).await.unwrap();
    assert_eq!(bound.len(), 2);
    let id = result["rows"][0]["bindings"][0].as_str().unwrap();
    assert!(bound.iter().any(|one| one.binding.id.as_str() == id));
    let filter =
        AuditFilter { action: Action::GrantConnected.as_str(), actor_kind: "api_key", ..AuditFilter::default() };
    let events = server.store.audit_events(Some(&org), filter, None, 9).await.unwrap();
    assert!(events.len() == 2 && events.iter().all(|event| event.actor == "Move"), "{events:?}");
    let (_, again) = post(&server, &org, Scope::ALL, &rows).await;
    assert_eq!(
        (&again["rows"][0]["outcome"], &again["rows"][0]["bindings"][0]),
        (&json!("already_imported"), &json!(id))
    );
}

#[apply(each_database!)]
async fn call_that_is_wrong_sends_nothing_and_repeats_no_token(database: TestDatabase) {
    let server = TestServer::on(database).await;
    let org = server.add_user("ana@example.com", "Harbour Group").await.org.unwrap().0;
    let row = json!({ "refreshToken": "secret-token" });
    let many: Vec<_> = (0..21).map(|_| row.clone()).collect();
    let too_long = json!({ "refreshToken": "secret-token".repeat(11_000) });
    for (body, scopes, status, code) in [
        (json!({ "rows": [row] }), Scope::ALL, 422, "invalid-argument"),
        (json!({ "oldSystemStopped": false, "rows": [row] }), Scope::ALL, 422, "invalid-argument"),
        (json!({ "oldSystemStopped": true, "rows": [] }), Scope::ALL, 422, "invalid-argument"),
        (json!({ "oldSystemStopped": true, "rows": many }), Scope::ALL, 422, "invalid-argument"),
        (json!({ "oldSystemStopped": true, "rows": [too_long] }), Scope::ALL, 413, "body-too-large"),
        (json!({ "oldSystemStopped": true, "rows": [{ "refreshToken": 7 }] }), Scope::ALL, 422, "invalid-argument"),
        (json!({ "oldSystemStopped": "secret-token", "rows": [row] }), Scope::ALL, 422, "invalid-argument"),
        (json!({ "oldSystemStopped": true, "rows": [row] }), &[Scope::BindingsWrite][..], 403, "missing-scope"),
    ] {
        let (answered, problem) = post(&server, &org, scopes, &body).await;
        assert_eq!((answered.as_u16(), &problem["code"]), (status, &json!(code)), "{body}");
        assert!(!problem.to_string().contains("secret-token"), "{problem}");
    }
    assert_eq!(server.provider.exchange_count().await, 0);
}
