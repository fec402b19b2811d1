//! `/api/v1`: the responses and problem documents that API clients get.

use std::time::Duration;

use evergrant::model::{ApiKeyLifetime, OrgId, Scope};
use evergrant::server::auth::api_keys;
use evergrant::server::auth::api_keys::{CreatedApiKey, RequestedApiKey};
use evergrant::server::clock::Clock;
use evergrant::server::domain::Actor;
use evergrant::server::store::{AuditFilter, RowChange, Store};
use reqwest::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::sandbox::START;
use crate::support::browser::{HTML, JSON};
use crate::support::databases::TestDatabase;
use crate::support::demo_server::DemoServer;
use crate::support::statement_capture::StatementCapture;
use crate::support::test_service::test_key_ring;
use crate::support::wait::{MAX_WAIT, eventually};

/// An API client of one of the demo organizations.
pub struct ApiClient<'a> {
    app: &'a DemoServer,
    pub store: Store,
    pub org: OrgId,
    pub key: String,
    key_id: String,
}

impl<'a> ApiClient<'a> {
    pub async fn for_org(app: &'a DemoServer, org: &str, scopes: &[Scope]) -> Self {
        let org = OrgId(app.demo_browser().await.org_id(org).await);
        let store = Store::new(app.database().open().await, test_key_ring(), Clock::manual(START));
        let new_key = RequestedApiKey { name: "Nightly export", scopes, life: ApiKeyLifetime::Month, created_by: None };
        let CreatedApiKey { id, key, .. } =
            api_keys::create(&store.as_actor(Actor::operator()), &org, new_key).await.ok().unwrap();
        Self { app, store, org, key: key.expose().to_owned(), key_id: id.0 }
    }

    async fn get(&self, path: &str) -> Response {
        self.app.client.get(format!("{}/api/v1{path}", self.app.base)).bearer_auth(&self.key).send().await.unwrap()
    }

    /// Returns the organization's first connection.
    pub async fn first_connection(&self) -> Value {
        let answer = self.get("/bindings").await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json::<Value>().await.unwrap()["bindings"][0].clone()
    }

    pub async fn get_token(&self, query: &str) -> Response {
        let id = self.first_connection().await["id"].as_str().unwrap().to_owned();
        self.get(&format!("/bindings/{id}/token{query}")).await
    }
}

/// Asserts that the response is an uncached problem document with this status and code, and returns it.
#[track_caller]
fn assert_problem(response: Response, status: StatusCode, code: &str) -> impl Future<Output = Value> {
    assert_eq!(response.status(), status, "{code}");
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json", "{code}");
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store", "{code}");
    let code = code.to_owned();
    async move {
        let body: Value = response.json().await.unwrap();
        assert_eq!((&body["code"], &body["status"]), (&json!(code), &json!(status.as_u16())), "{body}");
        assert!(body["type"].as_str().unwrap().ends_with(&format!(":{code}")), "{body}");
        assert!(!body["title"].as_str().unwrap().is_empty() && !body["detail"].as_str().unwrap().is_empty(), "{body}");
        body
    }
}

#[apply(each_database!)]
async fn api_client_lists_connections_and_gets_working_tokens(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let program = ApiClient::for_org(&app, "Harbour Group", Scope::ALL).await;
    let list = program.get("/bindings").await;
    assert_eq!(list.status(), StatusCode::OK);
    assert_eq!(list.headers()[CACHE_CONTROL], "private, no-cache");
    let tag = list.headers()[ETAG].clone();
    let again = app.client.get(format!("{}/api/v1/bindings", app.base)).bearer_auth(&program.key);
    let again = again.header(IF_NONE_MATCH, tag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert!(!list.text().await.unwrap().contains("eyJ"), "the list contains a token");

    let connection = program.first_connection().await;
    for exchanges in [1, 1] {
        let answer = program.get_token("?min_ttl=900").await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
        assert!(answer.headers().get(ETAG).is_none());
        assert_eq!(answer.headers()["ratelimit-limit"], "60");
        let token: Value = answer.json().await.unwrap();
        assert_eq!(token["tenantId"], connection["tenantId"]);
        assert!(token["expiresAt"].as_i64().unwrap() >= START + 900, "{token}");
        assert!(token.get("warning").is_none(), "{token}");
        let xero = app.client.get(format!("{}/sandbox/xero/connections", app.base));
        let xero = xero.bearer_auth(token["accessToken"].as_str().unwrap()).send().await.unwrap();
        assert_eq!(xero.status(), StatusCode::OK);
        assert_eq!(app.exchange_count().await, exchanges, "the second call gets the fresh token");
    }
    // The use is recorded in the background.
    let used = async || program.store.api_keys(&program.org).await.unwrap()[0].last_use.at;
    eventually("the note of the use", MAX_WAIT, async || used().await.is_some()).await;
    assert_eq!(used().await, Some(START));

    let vended = AuditFilter { action: "token.vended", actor_kind: "api_key", ..AuditFilter::default() };
    let vended = program.store.audit_events(Some(&program.org), vended, None, 9).await.unwrap();
    assert_eq!(vended.len(), 2, "{vended:?}");
    assert_eq!((vended[0].actor.as_str(), vended[0].address.as_deref()), ("Nightly export", Some("127.0.0.1")));
    assert!(!format!("{vended:?}").contains("eyJ"), "the audit log contains a token: {vended:?}");
}

#[apply(each_database!)]
async fn missing_malformed_and_revoked_keys_are_rejected_with_the_reason(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let program = ApiClient::for_org(&app, "Harbour Group", Scope::ALL).await;
    let get = async |authorization: Option<&str>| {
        let request = app.client.get(format!("{}/api/v1/bindings", app.base));
        let request = authorization.into_iter().fold(request, |request, value| request.header("authorization", value));
        request.send().await.unwrap()
    };
    let missing = get(None).await;
    assert_eq!(missing.headers()[WWW_AUTHENTICATE], "Bearer realm=\"evergrant\"");
    assert_problem(missing, StatusCode::UNAUTHORIZED, "missing-key").await;
    let demo = app.demo_browser().await;
    let cookie = demo.open(demo.request(Method::GET, "/api/v1/bindings", JSON)).await;
    assert_problem(cookie, StatusCode::UNAUTHORIZED, "missing-key").await;
    let malformed = get(Some(&format!("Bearer {}", &program.key[..75]))).await;
    assert_eq!(malformed.headers()[WWW_AUTHENTICATE], "Bearer realm=\"evergrant\", error=\"invalid_token\"");
    let malformed = assert_problem(malformed, StatusCode::UNAUTHORIZED, "invalid-key").await;
    assert!(malformed["detail"].as_str().unwrap().contains("copied whole"), "{malformed}");
    assert_eq!(get(Some(&format!("bearer {}", program.key))).await.status(), StatusCode::OK);

    assert_eq!(
        program.store.revoke_api_key(&program.org, &program.key_id.as_str().into()).await.unwrap(),
        RowChange::Applied
    );
    assert_problem(program.get("/bindings").await, StatusCode::UNAUTHORIZED, "invalid-key").await;

    // A key gives access neither to pages nor to server functions.
    let other = ApiClient::for_org(&app, "Harbour Group", Scope::ALL).await;
    let page = app.client.get(format!("{}/settings/integrations", app.base)).header("accept", HTML);
    let page = page.bearer_auth(&other.key).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::SEE_OTHER);
    let refresh = app.client.post(format!("{}/api/integrations/xero/refresh", app.base)).header("accept", JSON);
    let refresh = refresh.bearer_auth(&other.key).form(&[("clicked", "false")]).send().await.unwrap();
    assert_eq!(refresh.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(app.exchange_count().await, 0);
}

#[apply(each_database!)]
async fn key_is_limited_to_its_scopes_and_its_organization(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let lister = ApiClient::for_org(&app, "Harbour Group", &[Scope::BindingsRead]).await;
    let refused = lister.get_token("").await;
    assert!(refused.headers()[WWW_AUTHENTICATE].to_str().unwrap().contains("scope=\"tokens:read\""));
    assert_problem(refused, StatusCode::FORBIDDEN, "missing-scope").await;

    let other = ApiClient::for_org(&app, "Southerly Studio", Scope::ALL).await;
    let theirs = lister.first_connection().await["id"].as_str().unwrap().to_owned();
    let foreign = other.get(&format!("/bindings/{theirs}/token")).await;
    assert_problem(foreign, StatusCode::NOT_FOUND, "no-such-connection").await;
    for nothing in ["none", "%FF", &"x".repeat(4000)] {
        let nothing = other.get(&format!("/bindings/{nothing}/token")).await;
        assert_problem(nothing, StatusCode::NOT_FOUND, "no-such-connection").await;
    }
    assert_problem(other.get("/nothing").await, StatusCode::NOT_FOUND, "no-such-route").await;
    // This grant has ended at Xero, so a retry does not help.
    let ended = other.get_token("").await;
    assert!(ended.headers().get(RETRY_AFTER).is_none());
    assert_problem(ended, StatusCode::CONFLICT, "not-connected").await;

    let program = ApiClient::for_org(&app, "Harbour Group", Scope::ALL).await;
    for wrong in ["soon", "-1", "1801", "1.5"] {
        let refused = program.get_token(&format!("?min_ttl={wrong}")).await;
        assert_problem(refused, StatusCode::UNPROCESSABLE_ENTITY, "invalid-min-ttl").await;
    }
    let post = app.client.post(format!("{}/api/v1/bindings", app.base)).bearer_auth(&program.key);
    let post = post.send().await.unwrap();
    assert_eq!(post.headers()[ALLOW], "GET,HEAD");
    assert_problem(post, StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed").await;
    assert_eq!(app.exchange_count().await, 0);
}

#[apply(each_database!)]
async fn valid_token_is_served_while_xero_is_down_and_a_longer_one_gets_retry_after(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let program = ApiClient::for_org(&app, "Harbour Group", Scope::ALL).await;
    app.control("faults", json!({"endpoint": "token", "kind": "status", "status": 503, "times": null})).await;
    let refused = program.get_token("?min_ttl=1500").await;
    let wait: i64 = refused.headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap();
    let refused = assert_problem(refused, StatusCode::SERVICE_UNAVAILABLE, "too-short").await;
    assert!(wait >= 1 && refused["nextAttemptAt"].as_i64().unwrap() >= START, "{wait} {refused}");
    let served = program.get_token("?min_ttl=0").await;
    assert_eq!(served.status(), StatusCode::OK);
    let served: Value = served.json().await.unwrap();
    assert!(served["expiresAt"].as_i64().unwrap() > START, "{served}");
    assert!(!served["warning"].as_str().unwrap().is_empty(), "{served}");
}

#[tokio::test]
async fn rate_limit_of_a_key_sends_retry_after_and_affects_no_other_key() {
    let app = DemoServer::start(TestDatabase::sqlite()).await;
    let (busy, other) = (
        ApiClient::for_org(&app, "Harbour Group", Scope::ALL).await,
        ApiClient::for_org(&app, "Harbour Group", Scope::ALL).await,
    );
    for left in (0..60).rev() {
        let answer = busy.get("/bindings").await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["ratelimit-remaining"], left.to_string().as_str());
    }
    let refused = busy.get("/bindings").await;
    assert_eq!(refused.headers()[RETRY_AFTER], "1");
    assert_eq!(refused.headers()["ratelimit-reset"], "60");
    assert_problem(refused, StatusCode::TOO_MANY_REQUESTS, "too-many-requests").await;
    assert_eq!(other.get("/bindings").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn fresh_token_takes_one_read_and_one_audit_event() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let app = DemoServer::start(database).await;
    let program = ApiClient::for_org(&app, "Harbour Group", Scope::ALL).await;
    let path = format!("/bindings/{}/token", program.first_connection().await["id"].as_str().unwrap());
    // After this call the token is fresh and the uses are recorded.
    assert_eq!(program.get(&path).await.status(), StatusCode::OK);
    let statements = StatementCapture::start();
    assert_eq!(program.get(&path).await.status(), StatusCode::OK);
    let sent = statements.on_org_tables();
    assert_eq!(sent.len(), 2, "{sent:#?} of {:#?}", statements.statements());
    assert!(sent[0].contains("k.key_hash = $1") && sent[1].contains("INSERT INTO audit_events"), "{sent:#?}");
}

#[tokio::test]
async fn token_response_does_not_wait_for_last_used_updates() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let app = DemoServer::start(database).await;
    let program = ApiClient::for_org(&app, "Harbour Group", Scope::ALL).await;
    let pool = program.store.database().pool();
    // Whether the rows of the key and the grant have a last use.
    let recorded = async || {
        let used =
            "SELECT (SELECT COUNT(last_used_at) FROM api_keys), (SELECT COUNT(last_used_at) FROM integration_grants)";
        let (keys, grants): (i64, i64) = sqlx::query_as(used).fetch_one(pool).await.unwrap();
        (keys > 0, grants > 0)
    };
    // After this call the token is fresh.
    assert_eq!(program.get_token("").await.status(), StatusCode::OK);
    eventually("the note of the use", MAX_WAIT, async || recorded().await == (true, true)).await;
    let mut holder = program.store.database().begin().await.unwrap();
    for sql in ["UPDATE api_keys SET last_used_at = NULL", "UPDATE integration_grants SET last_used_at = NULL"] {
        sqlx::query(sql).execute(pool).await.unwrap();
    }
    for sql in ["SELECT id FROM api_keys FOR NO KEY UPDATE", "SELECT id FROM integration_grants FOR NO KEY UPDATE"] {
        sqlx::query(sql).fetch_all(&mut *holder).await.unwrap();
    }
    let answer = tokio::time::timeout(Duration::from_secs(60), program.get_token("")).await;
    assert_eq!(answer.expect("a response while the rows are locked").status(), StatusCode::OK);
    assert_eq!(recorded().await, (false, false));
    holder.rollback().await.unwrap();
    eventually("the note of the use", MAX_WAIT, async || recorded().await == (true, true)).await;
}
