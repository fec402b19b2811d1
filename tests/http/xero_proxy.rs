//! `/api/v1/bindings/{id}/xero/…`: Xero's API with a connection's token and tenant.

use evergrant::model::{Action, ApiKeyLifetime, BindingId, OrgId, ProxyUsageView, Scope};
use evergrant::server::auth::api_keys::{self, RequestedApiKey};
use evergrant::server::domain::Actor;
use evergrant::server::store::{AuditFilter, Store};
use futures::future::join_all;
use futures::stream;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, IF_MODIFIED_SINCE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::sandbox::Provider;
use crate::support::cluster::TestCluster;
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::http::test_client;
use crate::support::test_server::TestServer;
use crate::support::test_service::test_key_ring;
use crate::support::wait::{MAX_WAIT, eventually};

const INVOICES: &str = "api.xro/2.0/Invoices";
/// The header by which programs tell our problems from Xero's.
const OUR_PROBLEM: &str = "x-evergrant-problem";
const ORGANISATION: &str = "api.xro/2.0/Organisation";
const SCOPES: &str =
    "openid profile email offline_access accounting.settings.read accounting.transactions accounting.attachments";

/// A program with a key, and the connection that it calls.
struct Program {
    client: Client,
    base: String,
    key: String,
    binding: BindingId,
}

impl Program {
    async fn with_key(store: &Store, org: &OrgId, base: &str, binding: &BindingId, scopes: &[Scope]) -> Self {
        let new = RequestedApiKey { name: "Invoicing", scopes, life: ApiKeyLifetime::Month, created_by: None };
        let created = api_keys::create(&store.as_actor(Actor::operator()), org, new).await.unwrap();
        Self { client: test_client(), base: base.into(), key: created.key.expose().into(), binding: binding.clone() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let address = format!("{}/api/v1/bindings/{}/xero/{path}", self.base, self.binding);
        self.client.request(method, address).bearer_auth(&self.key)
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }
}

/// A server, an organization whose connection may read and write invoices, and its program.
async fn connected(database: TestDatabase, flags: &[(&str, &str)]) -> (TestServer, OrgId, Program) {
    let server = TestServer::with_flags(database, flags).await;
    let org = server.add_user("ana@example.com", "Harbour Group").await.org.unwrap().0;
    let connected = TestConsent::new(&server.store, &server.provider).connect(org.clone()).await;
    // The first call refreshes the token, which has these scopes from then on.
    server.provider.control("scopes", json!({ "scopes": SCOPES })).await;
    let binding = &connected.bindings[0];
    let program = Program::with_key(&server.store, &org, &server.base, binding, Scope::ALL).await;
    server.advance(40);
    (server, org, program)
}

async fn api_calls(provider: &Provider) -> Value {
    provider.get("/_control/api-calls").await.json().await.unwrap()
}

async fn problem_code(response: Response) -> (StatusCode, String) {
    let status = response.status();
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    let body: Value = response.json().await.unwrap();
    (status, body["code"].as_str().unwrap().to_owned())
}

#[apply(each_database!)]
async fn call_reaches_xero_with_the_connections_token_and_tenant(database: TestDatabase) {
    let (server, _, program) = connected(database, &[]).await;
    let created = program
        .request(Method::POST, &format!("{INVOICES}?unitdp=4"))
        .header("xero-tenant-id", "45e4708e-d862-4111-ab3a-dd8cd03913e1")
        .header("idempotency-key", "k1")
        .header("x-private", "1")
        .header(COOKIE, "a=b")
        .json(&json!({ "InvoiceNumber": "INV-1" }))
        .send()
        .await
        .unwrap();
    assert_eq!(created.status(), StatusCode::OK, "{:?}", created.text().await);
    for name in ["x-evergrant-request-id", "x-minlimit-remaining", "xero-correlation-id", "ratelimit-remaining"] {
        assert!(created.headers().contains_key(name), "{name}");
    }
    let first: Value = created.json().await.unwrap();
    let again = program.request(Method::PUT, INVOICES).header("idempotency-key", "k1").json(&json!({})).send().await;
    assert_eq!(again.unwrap().json::<Value>().await.unwrap(), first, "Xero has seen the key");
    let list: Value = program.get(INVOICES).await.json().await.unwrap();
    assert_eq!(list["Invoices"][0]["InvoiceNumber"], "INV-1");
    let since = program.request(Method::GET, INVOICES).header(IF_MODIFIED_SINCE, "2099-01-01T00:00:00");
    let later: Value = since.header(ACCEPT, "application/json").send().await.unwrap().json().await.unwrap();
    assert_eq!(later["Invoices"], json!([]));
    let missing = program.get("api.xro/2.0/Nothing").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(missing.text().await.unwrap().contains("cannot be found"), "Xero's own words");
    let seen = server.provider.headers.lock().unwrap();
    assert!(!seen.contains("cookie") && !seen.contains("x-private"), "{seen:?}");
}

#[tokio::test]
async fn nothing_but_a_tenants_api_is_reachable() {
    let (server, _, program) = connected(TestDatabase::sqlite(), &[]).await;
    program.get(ORGANISATION).await;
    let before = api_calls(&server.provider).await;
    for path in
        ["connections", "api.xro/%2e%2e/connections", "_control/ledger", "connect/token", "api.xro/..%2fconnections"]
    {
        assert_eq!(problem_code(program.get(path).await).await.1, "xero-path-forbidden", "{path}");
    }
    let trace = program.request(Method::TRACE, ORGANISATION).send().await.unwrap();
    assert_eq!(problem_code(trace).await, (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed".to_owned()));
    assert_eq!(api_calls(&server.provider).await, before);
}

#[apply(each_database!)]
async fn call_with_an_expired_token_is_repeated_once_after_a_refresh(database: TestDatabase) {
    let (server, _, program) = connected(database, &[]).await;
    assert_eq!(program.get(ORGANISATION).await.status(), StatusCode::OK);
    let exchanges = server.provider.ledger().await.len();
    // Xero's clock is ahead: it says that the token has expired, which we think valid.
    server.provider.advance(1_800);
    // The token was exchanged seconds ago, and yet it is no longer valid.
    server.clock.advance(20);
    let long = "x".repeat(70_000);
    let refused = program.request(Method::POST, INVOICES).body(long).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "a long body is not kept");
    assert!(refused.text().await.unwrap().contains("TokenExpired"));
    let created = program.request(Method::POST, INVOICES).json(&json!({ "InvoiceNumber": "INV-1" })).send().await;
    assert_eq!(created.unwrap().status(), StatusCode::OK);
    assert_eq!(server.provider.ledger().await.len(), exchanges + 1);
    let list: Value = program.get(INVOICES).await.json().await.unwrap();
    assert_eq!(list["Invoices"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn lost_answer_is_told_and_nothing_is_sent_again() {
    let (server, _, program) = connected(TestDatabase::sqlite(), &[]).await;
    assert_eq!(program.get(ORGANISATION).await.status(), StatusCode::OK);
    for kind in ["reset_after", "reset_before"] {
        server.provider.inject_fault(json!({"endpoint": "invoices", "kind": kind})).await;
        let before = api_calls(&server.provider).await["accepted"].as_u64().unwrap();
        let lost = program.request(Method::POST, INVOICES).json(&json!({})).send().await.unwrap();
        assert_eq!(problem_code(lost).await, (StatusCode::GATEWAY_TIMEOUT, "xero-no-answer".to_owned()), "{kind}");
        assert_eq!(api_calls(&server.provider).await["accepted"], before + 1, "{kind}");
    }
    let error = json!({"endpoint": "invoices", "kind": "status", "status": 503, "retry_after": 7});
    server.provider.inject_fault(error).await;
    let passed = program.get(INVOICES).await;
    assert_eq!(
        (passed.status(), &passed.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"7".parse().unwrap())
    );
}

#[tokio::test]
async fn unreachable_xero_is_told_as_not_sent() {
    let (server, _, program) = connected(TestDatabase::sqlite(), &[]).await;
    assert_eq!(program.get(ORGANISATION).await.status(), StatusCode::OK);
    server.provider.stop().await;
    let refused = program.request(Method::POST, INVOICES).json(&json!({})).send().await.unwrap();
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(problem_code(refused).await, (StatusCode::SERVICE_UNAVAILABLE, "xero-unreachable".to_owned()));
}

#[apply(each_database!)]
async fn lost_access_and_missing_scopes_have_problems_of_their_own(database: TestDatabase) {
    let (server, org, program) = connected(database, &[]).await;
    server.provider.control("scopes", json!({ "scopes": "openid offline_access accounting.settings.read" })).await;
    let without_scope = program.get(INVOICES).await;
    assert_eq!(problem_code(without_scope).await, (StatusCode::FORBIDDEN, "xero-scope-missing".to_owned()));
    assert_eq!(program.get(ORGANISATION).await.status(), StatusCode::OK);
    let connection = server.bindings(&org).await[0].binding.tenant.connection_id.clone();
    server.provider.control("disconnect", json!({ "connection_id": connection })).await;
    let gone = program.get(ORGANISATION).await;
    assert_eq!(problem_code(gone).await, (StatusCode::CONFLICT, "xero-tenant-gone".to_owned()));
}

#[apply(each_database!)]
async fn scopes_separate_reading_from_writing_and_organizations_from_each_other(database: TestDatabase) {
    let (server, org, program) = connected(database, &[]).await;
    let reader = Program::with_key(&server.store, &org, &server.base, &program.binding, &[Scope::XeroRead]).await;
    assert_eq!(reader.get(ORGANISATION).await.status(), StatusCode::OK);
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let refused = reader.request(method.clone(), INVOICES).json(&json!({})).send().await.unwrap();
        assert_eq!(problem_code(refused).await, (StatusCode::FORBIDDEN, "missing-scope".to_owned()), "{method}");
    }
    let writer = Program::with_key(&server.store, &org, &server.base, &program.binding, &[Scope::XeroWrite]).await;
    assert_eq!(problem_code(writer.get(ORGANISATION).await).await.1, "missing-scope");
    let other = server.add_user("bo@example.com", "Southerly").await.org.unwrap().0;
    let stranger = Program::with_key(&server.store, &other, &server.base, &program.binding, Scope::ALL).await;
    assert_eq!(
        problem_code(stranger.get(ORGANISATION).await).await,
        (StatusCode::NOT_FOUND, "no-such-connection".to_owned())
    );
}

#[apply(each_database!)]
async fn attachment_is_streamed_both_ways_and_counted(database: TestDatabase) {
    let (server, org, program) = connected(database, &[]).await;
    let content: Vec<u8> = (0..3_000_000u32).flat_map(|number| number.to_le_bytes()).take(3_000_000).collect();
    let path = format!("{INVOICES}/INV-1/Attachments/sum%20of%20May.pdf");
    let sent = program.request(Method::PUT, &path).header(CONTENT_TYPE, "application/pdf").body(content.clone());
    assert_eq!(sent.send().await.unwrap().status(), StatusCode::OK);
    let received = program.get(&path).await;
    assert_eq!(received.headers()[CONTENT_TYPE], "application/pdf");
    assert!(received.bytes().await.unwrap() == content, "the content has changed");
    let usage = async || {
        let keys = server.store.key_activity(&org, &program.binding, 0).await.unwrap();
        keys.iter().map(|key| key.usage).sum::<ProxyUsageView>()
    };
    eventually("the counts", MAX_WAIT, async || usage().await.calls == 2).await;
    let counted = usage().await;
    assert!(counted.bytes_sent == 3_000_000 && counted.bytes_received > 3_000_000, "{counted:?}");
    let filter = AuditFilter { action: Action::XeroCalled.as_str(), ..AuditFilter::default() };
    let events = server.store.audit_events(Some(&org), filter, None, 9).await.unwrap();
    assert_eq!(events.len(), 1, "once a day");
    assert_eq!((events[0].actor.as_str(), events[0].address.as_deref()), ("Invoicing", Some("127.0.0.1")));
}

#[tokio::test]
async fn refused_length_and_compressed_refusals_are_understood() {
    let (server, _, program) = connected(TestDatabase::sqlite(), &[]).await;
    let path = format!("{INVOICES}/INV-1/Attachments/a.pdf");
    let chunks = stream::iter([Ok::<_, std::io::Error>(vec![1_u8; 100_000])]);
    let chunked = program.request(Method::PUT, &path).body(reqwest::Body::wrap_stream(chunks)).send().await.unwrap();
    assert_eq!(chunked.status(), StatusCode::LENGTH_REQUIRED, "Xero says so, and the program learns it");

    let compressed =
        program.request(Method::GET, ORGANISATION).header(ACCEPT_ENCODING, "br, gzip").send().await.unwrap();
    assert_eq!(compressed.headers()[CONTENT_ENCODING], "gzip");
    let exchanges = server.provider.ledger().await.len();
    server.provider.advance(1_800);
    server.clock.advance(20);
    let repeated = program.request(Method::GET, ORGANISATION).header(ACCEPT_ENCODING, "gzip").send().await.unwrap();
    assert_eq!(repeated.status(), StatusCode::OK);
    assert_eq!(server.provider.ledger().await.len(), exchanges + 1);
}

#[tokio::test]
async fn token_that_is_rejected_as_soon_as_it_is_issued_causes_no_further_exchange() {
    let (server, _, program) = connected(TestDatabase::sqlite(), &[]).await;
    assert_eq!(program.get(ORGANISATION).await.status(), StatusCode::OK);
    let exchanges = server.provider.ledger().await.len();
    server.provider.advance(1_800);
    assert_eq!(program.get(ORGANISATION).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(server.provider.ledger().await.len(), exchanges);
}

#[apply(each_database!)]
async fn problem_of_xeros_is_passed_on_without_our_header(database: TestDatabase) {
    let (server, _, program) = connected(database, &[]).await;
    server.provider.control("scopes", json!({ "scopes": format!("{SCOPES} bankfeeds") })).await;
    let theirs = program.request(Method::POST, "bankfeeds.xro/1.0/Statements").body("{}").send().await.unwrap();
    assert_eq!((theirs.status(), theirs.headers().get(OUR_PROBLEM)), (StatusCode::BAD_REQUEST, None));
    assert_eq!(theirs.json::<Value>().await.unwrap()["type"], "invalid-request");
    let ours = program.get("connections").await;
    assert_eq!(ours.headers()[OUR_PROBLEM], "xero-path-forbidden");
}

#[apply(each_database!)]
async fn persons_test_waits_for_its_turn_among_the_calls_of_programs(database: TestDatabase) {
    let (server, _, program) = connected(database, &[("--proxy-wait", "0s"), ("--xero-calls-per-minute", "1")]).await;
    let ann = server.browser();
    ann.sign_in("ana@example.com").await;
    assert_eq!(program.get(ORGANISATION).await.status(), StatusCode::OK);
    let calls = api_calls(&server.provider).await;
    let form = [("binding_id", program.binding.as_str())];
    let (status, body) = ann.call_server_fn("/api/integrations/xero/test", &form).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{body}");
    assert!(body["error"].as_str().is_some_and(|text| text.contains("then try again")), "{body}");
    assert_eq!(api_calls(&server.provider).await, calls, "nothing was sent");
    // As long as if the slot's holder had died.
    server.advance(100);
    let (status, body) = ann.call_server_fn("/api/integrations/xero/test", &form).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

#[apply(each_database!)]
async fn call_that_ends_after_the_stop_began_is_counted_and_gives_its_slot_back(database: TestDatabase) {
    let (server, org, program) = connected(database, &[]).await;
    let (binding, clock) = (program.binding.clone(), server.clock.clone());
    // The call waits for its token.
    server.provider.control("hold", json!({})).await;
    let call = tokio::spawn(async move { program.get(ORGANISATION).await.status() });
    server.provider.waiting(1).await;
    let address = server.base.trim_start_matches("http://").to_owned();
    let release = server.provider.client.post(format!("{}/_control/release", server.provider.base)).json(&json!({}));
    let stopping = tokio::spawn(server.stop_and_keep_database());
    eventually("the end of the listener", MAX_WAIT, async || TcpStream::connect(&address).await.is_err()).await;
    release.send().await.unwrap();
    assert_eq!(call.await.unwrap(), StatusCode::OK);
    let database = stopping.await.unwrap();
    let store = Store::new(database.open().await, test_key_ring(), clock);
    let keys = store.key_activity(&org, &binding, 0).await.unwrap();
    assert_eq!(keys.iter().map(|key| key.usage.calls).sum::<i64>(), 1);
    let slots = "SELECT COUNT(*), COUNT(owner) FROM request_slots";
    let slots = sqlx::query_as::<_, (i64, i64)>(slots).fetch_one(store.database().pool()).await.unwrap();
    assert_eq!(slots, (1, 0), "slots, and those that are held");
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn burst_at_two_instances_gets_no_429_from_xero_and_the_next_caller_learns_when(database: TestDatabase) {
    let cluster = TestCluster::on(database, 2, &[("EVERGRANT_PROXY_WAIT", "5s")]).await;
    let (org, binding) = (&cluster.connected.org, &cluster.connected.bindings[0]);
    let mut programs = Vec::new();
    for instance in &cluster.instances {
        programs.push(Program::with_key(&cluster.store, org, &instance.base, binding, Scope::ALL).await);
    }
    let calls = (0..60).map(|number| programs[number % 2].request(Method::GET, ORGANISATION).send());
    for answer in join_all(calls).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.text().await);
    }
    let counts = api_calls(&cluster.provider).await;
    assert_eq!((&counts["accepted"], &counts["refused"]), (&json!(60), &json!(0)), "{counts}");
    assert!(counts["most_concurrent"].as_u64().unwrap() <= 5, "{counts}");
    let next = programs[0].get(ORGANISATION).await;
    let retry_after: u64 = next.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=61).contains(&retry_after), "{retry_after}");
    let told: Value = next.json().await.unwrap();
    assert_eq!((&told["code"], &told["limit"]), (&json!("xero-limit-reached"), &json!("minute")), "{told}");
    assert_eq!(api_calls(&cluster.provider).await, counts, "nothing was sent");
}
