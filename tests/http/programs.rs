//! `/api/v1`: what programs get with an organisation's API keys, and what they are told when they get nothing.

use std::time::Duration;

use evergrant::model::{KeyLife, OrgId, Scope};
use evergrant::server::auth::keys::{self, Made, Wanted};
use evergrant::server::clock::Clock;
use evergrant::server::domain::Actor;
use evergrant::server::store::{AuditFilter, Store};
use reqwest::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::sandbox::START;
use crate::support::app::{App, HTML, JSON};
use crate::support::databases::TestDatabase;
use crate::support::keeper::ring;
use crate::support::statements::Statements;

/// A program of one of the demo's organisations.
pub struct Program<'a> {
    app: &'a App,
    pub store: Store,
    org: OrgId,
    pub key: String,
    id: String,
}

impl<'a> Program<'a> {
    pub async fn of(app: &'a App, org: &str, scopes: &[Scope]) -> Self {
        let org = OrgId(app.demo().await.org_id(org).await);
        let store = Store::new(app.database.open().await, ring(), Clock::manual(START));
        let wanted = Wanted { name: "Nightly export", scopes, life: KeyLife::Month, by: None };
        let Made { id, key, .. } = keys::make(&store, &org, wanted, &Actor::operator()).await.ok().unwrap();
        Self { app, store, org, key: key.expose().to_owned(), id: id.0 }
    }

    async fn get(&self, path: &str) -> Response {
        self.app.client.get(format!("{}/api/v1{path}", self.app.base)).bearer_auth(&self.key).send().await.unwrap()
    }

    /// The first of its connections.
    pub async fn connection(&self) -> Value {
        let answer = self.get("/bindings").await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json::<Value>().await.unwrap()["bindings"][0].clone()
    }

    async fn token(&self, query: &str) -> Response {
        let id = self.connection().await["id"].as_str().unwrap().to_owned();
        self.get(&format!("/bindings/{id}/token{query}")).await
    }
}

/// The problem that an answer describes, which no cache keeps.
#[track_caller]
fn problem(answer: Response, status: StatusCode, code: &str) -> impl Future<Output = Value> {
    assert_eq!(answer.status(), status, "{code}");
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json", "{code}");
    assert_eq!(answer.headers()[CACHE_CONTROL], "no-store", "{code}");
    let code = code.to_owned();
    async move {
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&body["code"], &body["status"]), (&json!(code), &json!(status.as_u16())), "{body}");
        assert!(body["type"].as_str().unwrap().ends_with(&format!(":{code}")), "{body}");
        assert!(!body["title"].as_str().unwrap().is_empty() && !body["detail"].as_str().unwrap().is_empty(), "{body}");
        body
    }
}

#[tokio::test]
async fn a_program_lists_its_organisations_connections_and_has_tokens_that_work() {
    for app in App::each().await {
        let program = Program::of(&app, "Harbour Group", Scope::ALL).await;
        let list = program.get("/bindings").await;
        assert_eq!(list.status(), StatusCode::OK);
        assert_eq!(list.headers()[CACHE_CONTROL], "private, no-cache");
        let tag = list.headers()[ETAG].clone();
        let again = app.client.get(format!("{}/api/v1/bindings", app.base)).bearer_auth(&program.key);
        let again = again.header(IF_NONE_MATCH, tag).send().await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert!(!list.text().await.unwrap().contains("eyJ"), "a token in the list");

        let connection = program.connection().await;
        for exchanges in [1, 1] {
            let answer = program.token("?min_ttl=900").await;
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
            assert_eq!(app.exchanges().await, exchanges, "one exchange, and the fresh token after it");
        }
        // Noted beside the answer.
        let used = async || program.store.api_keys(&program.org).await.unwrap()[0].last_used_at;
        while used().await.is_none() {}
        assert_eq!(used().await, Some(START));

        let took = AuditFilter { action: "token.vended", actor_kind: "api_key" };
        let took = program.store.audit_events(Some(&program.org), took, None, 9).await.unwrap();
        assert_eq!(took.len(), 2, "{took:?}");
        assert_eq!((took[0].actor.as_str(), took[0].address.as_deref()), ("Nightly export", Some("127.0.0.1")));
        assert!(!format!("{took:?}").contains("eyJ"), "a token in the book: {took:?}");
    }
}

#[tokio::test]
async fn whoever_has_no_key_that_counts_is_told_why_and_given_nothing() {
    for app in App::each().await {
        let program = Program::of(&app, "Harbour Group", Scope::ALL).await;
        let get = async |authorization: Option<&str>| {
            let request = app.client.get(format!("{}/api/v1/bindings", app.base));
            let request =
                authorization.into_iter().fold(request, |request, value| request.header("authorization", value));
            request.send().await.unwrap()
        };
        let missing = get(None).await;
        assert_eq!(missing.headers()[WWW_AUTHENTICATE], "Bearer realm=\"evergrant\"");
        problem(missing, StatusCode::UNAUTHORIZED, "missing-key").await;
        let cookie = app.demo().await.request(Method::GET, "/api/v1/bindings", JSON).send().await.unwrap();
        problem(cookie, StatusCode::UNAUTHORIZED, "missing-key").await;
        let misspelt = get(Some(&format!("Bearer {}", &program.key[..75]))).await;
        assert_eq!(misspelt.headers()[WWW_AUTHENTICATE], "Bearer realm=\"evergrant\", error=\"invalid_token\"");
        let misspelt = problem(misspelt, StatusCode::UNAUTHORIZED, "invalid-key").await;
        assert!(misspelt["detail"].as_str().unwrap().contains("copied whole"), "{misspelt}");
        assert_eq!(get(Some(&format!("bearer {}", program.key))).await.status(), StatusCode::OK);

        assert!(
            program.store.revoke_api_key(&program.org, &program.id.as_str().into(), &Actor::operator()).await.unwrap()
        );
        problem(program.get("/bindings").await, StatusCode::UNAUTHORIZED, "invalid-key").await;

        // A key opens neither pages nor what they call.
        let other = Program::of(&app, "Harbour Group", Scope::ALL).await;
        let page = app.client.get(format!("{}/settings/integrations", app.base)).header("accept", HTML);
        let page = page.bearer_auth(&other.key).send().await.unwrap();
        assert_eq!(page.status(), StatusCode::SEE_OTHER);
        let refresh = app.client.post(format!("{}/api/integrations/xero/refresh", app.base)).header("accept", JSON);
        let refresh = refresh.bearer_auth(&other.key).form(&[("clicked", "false")]).send().await.unwrap();
        assert_eq!(refresh.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(app.exchanges().await, 0);
    }
}

#[tokio::test]
async fn a_key_does_what_it_was_made_for_in_its_own_organisation_alone() {
    for app in App::each().await {
        let lister = Program::of(&app, "Harbour Group", &[Scope::BindingsRead]).await;
        let refused = lister.token("").await;
        assert!(refused.headers()[WWW_AUTHENTICATE].to_str().unwrap().contains("scope=\"tokens:read\""));
        problem(refused, StatusCode::FORBIDDEN, "missing-scope").await;

        let other = Program::of(&app, "Southerly Studio", Scope::ALL).await;
        let theirs = lister.connection().await["id"].as_str().unwrap().to_owned();
        let foreign = other.get(&format!("/bindings/{theirs}/token")).await;
        problem(foreign, StatusCode::NOT_FOUND, "no-such-connection").await;
        for nothing in ["none", "%FF", &"x".repeat(4000)] {
            let nothing = other.get(&format!("/bindings/{nothing}/token")).await;
            problem(nothing, StatusCode::NOT_FOUND, "no-such-connection").await;
        }
        problem(other.get("/nothing").await, StatusCode::NOT_FOUND, "no-such-route").await;
        // Xero ended this one: waiting doesn't help.
        let ended = other.token("").await;
        assert!(ended.headers().get(RETRY_AFTER).is_none());
        problem(ended, StatusCode::CONFLICT, "not-connected").await;

        let program = Program::of(&app, "Harbour Group", Scope::ALL).await;
        for wrong in ["soon", "-1", "1801", "1.5"] {
            let refused = program.token(&format!("?min_ttl={wrong}")).await;
            problem(refused, StatusCode::UNPROCESSABLE_ENTITY, "invalid-min-ttl").await;
        }
        let post = app.client.post(format!("{}/api/v1/bindings", app.base)).bearer_auth(&program.key);
        let post = post.send().await.unwrap();
        assert_eq!(post.headers()[ALLOW], "GET");
        problem(post, StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed").await;
        assert_eq!(app.exchanges().await, 0);
    }
}

#[tokio::test]
async fn while_xero_is_down_the_valid_token_is_served_and_a_longer_one_has_a_next_try() {
    for app in App::each().await {
        let program = Program::of(&app, "Harbour Group", Scope::ALL).await;
        app.control("faults", json!({"endpoint": "token", "kind": "status", "status": 503, "times": null})).await;
        let refused = program.token("?min_ttl=1500").await;
        let wait: i64 = refused.headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap();
        let refused = problem(refused, StatusCode::SERVICE_UNAVAILABLE, "too-short").await;
        assert!(wait >= 1 && refused["nextAttemptAt"].as_i64().unwrap() >= START, "{wait} {refused}");
        let served = program.token("?min_ttl=0").await;
        assert_eq!(served.status(), StatusCode::OK);
        let served: Value = served.json().await.unwrap();
        assert!(served["expiresAt"].as_i64().unwrap() > START, "{served}");
        assert!(!served["warning"].as_str().unwrap().is_empty(), "{served}");
    }
}

#[tokio::test]
async fn a_program_that_asks_too_often_is_told_when_to_come_back_and_slows_no_other() {
    let app = App::each().await.remove(0);
    let (busy, other) =
        (Program::of(&app, "Harbour Group", Scope::ALL).await, Program::of(&app, "Harbour Group", Scope::ALL).await);
    for left in (0..60).rev() {
        let answer = busy.get("/bindings").await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["ratelimit-remaining"], left.to_string().as_str());
    }
    let refused = busy.get("/bindings").await;
    assert_eq!(refused.headers()[RETRY_AFTER], "1");
    assert_eq!(refused.headers()["ratelimit-reset"], "60");
    problem(refused, StatusCode::TOO_MANY_REQUESTS, "too-many-requests").await;
    assert_eq!(other.get("/bindings").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_fresh_tokens_answer_waits_for_one_read_and_one_line_in_the_book() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let app = App::start(database).await;
    let program = Program::of(&app, "Harbour Group", Scope::ALL).await;
    let path = format!("/bindings/{}/token", program.connection().await["id"].as_str().unwrap());
    // Whatever isn't fresh is now, and the uses are noted.
    assert_eq!(program.get(&path).await.status(), StatusCode::OK);
    let statements = Statements::watch();
    assert_eq!(program.get(&path).await.status(), StatusCode::OK);
    let sent = statements.of_ours();
    assert_eq!(sent.len(), 2, "{sent:#?} of {:#?}", statements.all());
    assert!(sent[0].contains("k.key_hash = $1") && sent[1].contains("INSERT INTO audit_events"), "{sent:#?}");
}

#[tokio::test]
async fn an_answer_does_not_wait_for_its_use_to_be_noted() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let app = App::start(database).await;
    let program = Program::of(&app, "Harbour Group", Scope::ALL).await;
    let pool = program.store.database().pool();
    // Whether a key and a grant have been used, as their rows say.
    let noted = async || {
        let used =
            "SELECT (SELECT COUNT(last_used_at) FROM api_keys), (SELECT COUNT(last_used_at) FROM integration_grants)";
        let (keys, grants): (i64, i64) = sqlx::query_as(used).fetch_one(pool).await.unwrap();
        (keys > 0, grants > 0)
    };
    // Whatever isn't fresh is now.
    assert_eq!(program.token("").await.status(), StatusCode::OK);
    while noted().await != (true, true) {}
    let mut holder = pool.begin().await.unwrap();
    for sql in ["UPDATE api_keys SET last_used_at = NULL", "UPDATE integration_grants SET last_used_at = NULL"] {
        sqlx::query(sql).execute(pool).await.unwrap();
    }
    for sql in ["SELECT id FROM api_keys FOR NO KEY UPDATE", "SELECT id FROM integration_grants FOR NO KEY UPDATE"] {
        sqlx::query(sql).fetch_all(&mut *holder).await.unwrap();
    }
    let answer = tokio::time::timeout(Duration::from_secs(60), program.token("")).await;
    assert_eq!(answer.expect("nobody can note anything just now").status(), StatusCode::OK);
    assert_eq!(noted().await, (false, false));
    holder.rollback().await.unwrap();
    while noted().await != (true, true) {}
}
