//! `/api/v1/bindings`: programs list, label, refresh and disconnect connections.

use evergrant::model::{Action, ApiKeyLifetime, OrgId, Scope};
use evergrant::server::auth::api_keys::{self, RequestedApiKey};
use evergrant::server::domain::Actor;
use evergrant::server::store::AuditFilter;
use reqwest::header::{ETAG, HeaderValue, IF_MATCH};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::http::test_client;
use crate::support::test_server::TestServer;

pub struct Program {
    pub client: Client,
    pub base: String,
    pub key: String,
}

impl Program {
    pub async fn of(server: &TestServer, org: &OrgId, scopes: &[Scope]) -> Self {
        let new = RequestedApiKey { name: "Sync", scopes, life: ApiKeyLifetime::Month, created_by: None };
        let created = api_keys::create(&server.store.as_actor(Actor::operator()), org, new).await.unwrap();
        Self { client: test_client(), base: server.base.clone(), key: created.key.expose().into() }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}/api/v1/bindings{path}", self.base)).bearer_auth(&self.key)
    }

    pub async fn send(&self, method: Method, path: &str) -> (StatusCode, Value) {
        read(self.request(method, path).send().await.unwrap()).await
    }

    pub async fn patch(&self, id: &str, body: Value) -> (StatusCode, Value) {
        read(self.request(Method::PATCH, &format!("/{id}")).json(&body).send().await.unwrap()).await
    }
}

pub async fn read(response: Response) -> (StatusCode, Value) {
    (response.status(), response.json().await.unwrap())
}

/// A server and an organization with three connections, oldest first.
pub async fn connected(database: TestDatabase) -> (TestServer, OrgId, Vec<String>) {
    let server = TestServer::on(database).await;
    let org = server.add_user("ana@example.com", "Harbour Group").await.org.unwrap().0;
    let mut ids = Vec::new();
    for tenant in ["harbour", "kauri", "southerly"] {
        let consent = TestConsent::new(&server.store, &server.provider).tenants(std::slice::from_ref(&tenant));
        ids.push(consent.access_seconds_left(1_800).connect(org.clone()).await.bindings[0].0.clone());
        server.advance(1);
    }
    (server, org, ids)
}

fn ids_of(list: &Value) -> Vec<String> {
    list["bindings"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[apply(each_database!)]
async fn connections_are_labeled_filtered_and_listed_page_by_page(database: TestDatabase) {
    let (server, org, ids) = connected(database).await;
    let program = Program::of(&server, &org, Scope::ALL).await;
    let (status, labeled) = program.patch(&ids[1], json!({ "externalId": "cust 1", "tags": ["nz", "gold"] })).await;
    assert_eq!(
        (status, &labeled["externalId"], &labeled["tags"]),
        (StatusCode::OK, &json!("cust 1"), &json!(["gold", "nz"]))
    );
    let list = async |query: &str| program.send(Method::GET, query).await.1;
    assert_eq!(ids_of(&list("?tag=gold").await), ids[1..2]);
    assert_eq!(ids_of(&list("?externalId=cust%201&status=active").await), ids[1..2]);
    assert_eq!(ids_of(&list("?status=disconnected").await), Vec::<String>::new());
    let first = list("?limit=2").await;
    assert_eq!(ids_of(&first), ids[..2]);
    let rest = list(&format!("?limit=2&cursor={}", first["nextCursor"].as_str().unwrap())).await;
    assert_eq!((ids_of(&rest), &rest["nextCursor"]), (ids[2..].to_vec(), &Value::Null));
    for wrong in ["?status=gone", "?limit=0", "?cursor=x", "?colour=red"] {
        let (status, problem) = program.send(Method::GET, wrong).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid-argument")),
            "{wrong}"
        );
    }
    let (status, problem) = program.patch(&ids[0], json!({ "externalId": "cust 1" })).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("external-id-taken")));
    let (status, _) = program.patch(&ids[0], json!({ "tags": ["Not Allowed"] })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let filter = AuditFilter { action: Action::ConnectionLabeled.as_str(), ..AuditFilter::default() };
    let events = server.store.audit_events(Some(&org), filter, None, 9).await.unwrap();
    assert_eq!((events.len(), events[0].actor.as_str()), (1, "Sync"));
}

#[apply(each_database!)]
async fn change_to_a_version_that_is_not_current_is_refused(database: TestDatabase) {
    let (server, org, ids) = connected(database).await;
    let program = Program::of(&server, &org, Scope::ALL).await;
    let path = format!("/{}", ids[0]);
    let read = program.request(Method::GET, &path).send().await.unwrap();
    let tag = read.headers()[ETAG].clone();
    let again = program.request(Method::GET, &path).header("if-none-match", &tag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    let change =
        |tags: Value| program.request(Method::PATCH, &path).header(IF_MATCH, &tag).json(&json!({ "tags": tags }));
    let changed = change(json!(["a"])).send().await.unwrap();
    assert_eq!(changed.status(), StatusCode::OK);
    assert_ne!(changed.headers()[ETAG], tag);
    assert_eq!(change(json!(["b"])).send().await.unwrap().status(), StatusCode::PRECONDITION_FAILED);
    let ended = program.request(Method::DELETE, &path).header(IF_MATCH, &tag).send().await.unwrap();
    assert_eq!(ended.status(), StatusCode::PRECONDITION_FAILED);
    assert_eq!(program.send(Method::GET, &path).await.1["tags"], json!(["a"]));
}

#[apply(each_database!)]
async fn connection_that_changes_before_its_disconnect_leaves_is_not_disconnected(database: TestDatabase) {
    let (server, org, ids) = connected(database).await;
    let program = Program::of(&server, &org, Scope::ALL).await;
    server.advance(1_800);
    // Until the provider answers, the disconnect waits for the token that it needs.
    let disconnect_around_a_change = async |id: &str, version: HeaderValue| {
        server.provider.control("hold", json!({})).await;
        let delete = program.request(Method::DELETE, &format!("/{id}")).header(IF_MATCH, version).send();
        let change = async {
            server.provider.waiting(1).await;
            assert_eq!(program.patch(id, json!({ "tags": ["changed"] })).await.0, StatusCode::OK);
            server.provider.control("release", json!({})).await;
        };
        let (deleted, ()) = futures::future::join(delete, change).await;
        deleted.unwrap().status()
    };
    let version_of = async |id: &str| {
        let read = program.request(Method::GET, &format!("/{id}")).send().await.unwrap();
        read.headers()[ETAG].clone()
    };
    let status = disconnect_around_a_change(&ids[0], version_of(&ids[0]).await).await;
    assert_eq!(status, StatusCode::PRECONDITION_FAILED);
    let (_, read) = program.send(Method::GET, &format!("/{}", ids[0])).await;
    assert_eq!((&read["status"], &read["tags"]), (&json!("active"), &json!(["changed"])));
    let (at_xero, _) = program.send(Method::GET, &format!("/{}/xero/api.xro/2.0/Organisation", ids[0])).await;
    assert_eq!(at_xero, StatusCode::OK, "nothing was sent to Xero");

    // Any version is meant, so the change in between is none of another one.
    let status = disconnect_around_a_change(&ids[1], HeaderValue::from_static("*")).await;
    assert_eq!(status, StatusCode::OK);
    let version = version_of(&ids[0]).await;
    let unchanged = program.request(Method::DELETE, &format!("/{}", ids[0])).header(IF_MATCH, version).send().await;
    assert_eq!(unchanged.unwrap().status(), StatusCode::OK);
    for id in &ids[..2] {
        assert_eq!(program.send(Method::GET, &format!("/{id}")).await.1["status"], "disconnected");
    }
}

#[apply(each_database!)]
async fn program_refreshes_and_disconnects_its_connections_alone(database: TestDatabase) {
    let (server, org, ids) = connected(database).await;
    let program = Program::of(&server, &org, Scope::ALL).await;
    let (status, refreshed) = program.send(Method::POST, &format!("/{}/refresh", ids[0])).await;
    assert_eq!(status, StatusCode::OK, "{refreshed}");
    let exchanges = server.provider.ledger().await.len();
    let (status, repeated) = program.send(Method::POST, &format!("/{}/refresh", ids[0])).await;
    assert_eq!((status, repeated), (StatusCode::OK, refreshed));
    assert_eq!(server.provider.ledger().await.len(), exchanges, "it was refreshed just now");

    let reader = Program::of(&server, &org, &[Scope::BindingsRead]).await;
    let other = server.add_user("bo@example.com", "Southerly").await.org.unwrap().0;
    let stranger = Program::of(&server, &other, Scope::ALL).await;
    let calls = [(Method::PATCH, ""), (Method::DELETE, ""), (Method::POST, "/refresh")];
    for (method, action) in calls {
        let path = format!("/{}{action}", ids[0]);
        let call = |program: &Program| program.request(method.clone(), &path).json(&json!({})).send();
        assert_eq!(call(&reader).await.unwrap().status(), StatusCode::FORBIDDEN, "{method}");
        assert_eq!(call(&stranger).await.unwrap().status(), StatusCode::NOT_FOUND, "{method}");
    }
    assert_eq!(stranger.send(Method::GET, &format!("/{}", ids[0])).await.0, StatusCode::NOT_FOUND);

    let (status, ended) = program.send(Method::DELETE, &format!("/{}", ids[0])).await;
    assert_eq!((status, ended), (StatusCode::OK, json!({ "removedAtXero": true })));
    assert_eq!(program.send(Method::DELETE, &format!("/{}", ids[0])).await.0, StatusCode::OK, "it is over already");
    let (_, read) = program.send(Method::GET, &format!("/{}", ids[0])).await;
    assert_eq!(read["status"], "disconnected");
    let (status, problem) = program.send(Method::POST, &format!("/{}/refresh", ids[0])).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("not-connected")));
    let filter = AuditFilter { action: Action::GrantDisconnected.as_str(), ..AuditFilter::default() };
    let events = server.store.audit_events(Some(&org), filter, None, 9).await.unwrap();
    assert_eq!((events.len(), events[0].actor.as_str()), (1, "Sync"));
}
