//! Connect links over HTTP: the link and its secret, the consent of somebody without an account, and how it can end.

use axum::http::StatusCode;
use evergrant::model::{Action, BindingStatus, OrgId, Scope};
use evergrant::server::auth::api_keys::{self, RequestedApiKey};
use evergrant::server::store::AuditFilter;
use reqwest::Method;
use serde_json::{Value, json};

use crate::connect::{ALLOW_HARBOUR, submit_consent};
use crate::support::browser::{Browser, JSON};
use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

pub const LINKS: &str = "/api/v1/connect-links";
const PAGE: &str = "/settings/integrations";
const LINKS_PAGE: &str = "/settings/integrations/links";

pub async fn key_of(web: &TestServer, org: &OrgId) -> String {
    let life = evergrant::model::ApiKeyLifetime::Month;
    let new = RequestedApiKey { name: "Program", scopes: &[Scope::LinksWrite], life, created_by: None };
    api_keys::create(&web.store, org, new).await.ok().unwrap().key.expose().to_owned()
}

pub async fn call(web: &TestServer, method: Method, path: &str, key: &str, body: Option<Value>) -> (StatusCode, Value) {
    let program = web.browser();
    let mut request = program.request(method, path, JSON).bearer_auth(key);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let page = program.send(request).await;
    (page.status, serde_json::from_str(&page.text).unwrap_or_default())
}

/// Creates a link as a program. Returns its id and its path with the secret.
pub async fn create(web: &TestServer, key: &str, body: Value) -> (String, String) {
    let (status, link) = call(web, Method::POST, LINKS, key, Some(body)).await;
    assert_eq!(status, StatusCode::CREATED, "{link}");
    let path = link["url"].as_str().unwrap().strip_prefix(&web.base).unwrap().to_owned();
    (link["id"].as_str().unwrap().to_owned(), path)
}

/// Opens a link, whose secret must leave the address bar at once. Returns the page's text.
pub async fn open(browser: &Browser, link: &str) -> String {
    let moved = browser.get(link).await;
    let (path, secret) = link.split_once("?token=").unwrap();
    assert_eq!((moved.status, moved.location()), (StatusCode::SEE_OTHER, path));
    let page = browser.get(path).await;
    assert_eq!((page.header("cache-control"), page.header("referrer-policy")), ("no-store", "no-referrer"));
    assert!(!page.text.contains(secret), "the page contains the secret");
    page.text
}

/// Goes to Xero by an opened link. Returns the query parameters of the authorize URL.
pub async fn start(browser: &Browser, id: &str) -> Vec<(String, String)> {
    let page = browser.post("/api/connect-links/start", &[("id", id)]).await;
    let address = url::Url::parse(page.location()).expect("the start must redirect to Xero");
    address.query_pairs().into_owned().collect()
}

/// Answers Xero's consent page and follows the callback. Returns where it leads.
pub async fn answer(web: &TestServer, browser: &Browser, id: &str, choices: &[(&str, &str)]) -> String {
    let callback = submit_consent(&web.provider, &start(browser, id).await, choices).await;
    browser.get(callback.strip_prefix(&web.base).unwrap()).await.location().to_owned()
}

#[apply(each_database!)]
async fn stranger_connects_once_by_a_link_and_gets_no_session(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let form = [("requested_by", "Ann"), ("note", "Your monthly books"), ("tags", "gold"), ("external_id", "c-1")];
    let created = ann.post("/api/integrations/links/create", &form).await;
    assert_eq!((created.location(), ann.flash().as_str()), (LINKS_PAGE, "link-created"), "{db}");
    let page = ann.page_text(LINKS_PAGE).await;
    let at = page.find(&format!("{}/connect/", web.base)).expect("the page shows the link") + web.base.len();
    let link: String = page[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || "/-_?=".contains(*c)).collect();
    let id = link["/connect/".len()..].split('?').next().unwrap().to_owned();

    let stranger = web.browser();
    assert!(stranger.page_text(&format!("/connect/{id}")).await.contains("This link doesn't work here"), "{db}");
    let page = open(&stranger, &link).await;
    for text in ["Harbour Group asks you to connect Xero", "Your monthly books", "Stay connected until you"] {
        assert!(page.contains(text), "{db}: {text}");
    }
    assert!(!page.contains("ann@example.com"), "{db}");
    let callback = submit_consent(&web.provider, &start(&stranger, &id).await, &ALLOW_HARBOUR).await;
    let callback = callback.strip_prefix(&web.base).unwrap();

    // Looking ahead uses nothing up, and another browser ends nothing.
    let ahead = stranger.request(Method::GET, callback, "text/html").header("sec-purpose", "prefetch");
    assert_eq!(stranger.send(ahead).await.status, StatusCode::SERVICE_UNAVAILABLE, "{db}");
    web.browser().get(callback).await;
    assert!(web.bindings(&org).await.is_empty(), "{db}");

    for _ in 0..2 {
        assert_eq!(stranger.get(callback).await.location(), format!("/connect/{id}"), "{db}");
        assert!(stranger.page_text(&format!("/connect/{id}")).await.contains("Harbour Coffee is connected"), "{db}");
    }
    assert_eq!(stranger.get(PAGE).await.location(), "/login?next=%2Fsettings%2Fintegrations", "{db}: a session");
    assert_eq!(stranger.post("/api/connect-links/start", &[("id", &id)]).await.location(), format!("/connect/{id}"));
    let [bound] = &web.bindings(&org).await[..] else { panic!("{db}: not connected once") };
    let labels = web.store.labeled_binding(&org, &bound.binding.id).await.unwrap().unwrap().labels;
    assert_eq!((labels.external_id.as_deref(), labels.tags), (Some("c-1"), vec!["gold".to_owned()]), "{db}");
    assert!(ann.page_text(PAGE).await.contains("Harbour Coffee"), "{db}");

    let events = web.store.audit_events(Some(&org), AuditFilter::default(), None, 20).await.unwrap();
    for action in [Action::ConnectLinkCreated, Action::ConnectLinkStarted, Action::ConnectLinkUsed] {
        let event = events.iter().find(|event| event.action.as_str() == action.as_str());
        let event = event.unwrap_or_else(|| panic!("{db}: no {}", action.as_str()));
        assert_eq!(event.address.as_deref(), Some("127.0.0.1"), "{db}");
    }
    web.stop().await;
}

#[apply(each_database!)]
async fn reconnect_link_takes_only_its_tenant_and_names_both_otherwise(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (_, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let connected = TestConsent::new(&web.store, &web.provider).access_seconds_left(1800).connect(org.clone()).await;
    let key = key_of(&web, &org).await;
    let binding = connected.bindings[0].0.as_str();
    let (id, link) = create(&web, &key, json!({ "bindingId": binding })).await;
    let stranger = web.browser();
    assert!(open(&stranger, &link).await.contains("asks you to reconnect Harbour Coffee"), "{db}");
    let before = web.bindings(&org).await;
    let kauri = [("person", "mere"), ("tenant", "kauri"), ("decision", "allow")];
    let page = answer(&web, &stranger, &id, &kauri).await;
    let text = stranger.page_text(&page).await;
    assert!(text.contains("this link is for Harbour Coffee, and Kauri Joinery"), "{db}: {text}");
    let after = web.bindings(&org).await;
    assert_eq!(after.len(), 1, "{db}");
    assert_eq!(after[0].binding.active_grant_id, before[0].binding.active_grant_id, "{db}: it changed something");

    answer(&web, &stranger, &id, &ALLOW_HARBOUR).await;
    assert!(stranger.page_text(&page).await.contains("Harbour Coffee is connected"), "{db}");
    let after = web.bindings(&org).await.remove(0).binding;
    assert_eq!((after.id.as_str(), after.status), (binding, BindingStatus::Active), "{db}");
    assert_ne!(after.active_grant_id, before[0].binding.active_grant_id, "{db}");
    web.stop().await;
}

#[tokio::test]
async fn each_ending_is_told_on_the_page_and_to_the_return_address() {
    let web = TestServer::start().await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let key = key_of(&web, &org).await;
    let body = json!({ "returnUrl": "https://books.example.com/done?a=b" });
    let (status, problem) = call(&web, Method::POST, LINKS, &key, Some(body.clone())).await;
    assert_eq!((status.as_u16(), problem["code"].as_str().unwrap()), (422, "return-url-not-allowed"));
    ann.post("/api/integrations/links/return-urls", &[("urls", "https://books.example.com/")]).await;
    assert_eq!(ann.flash(), "return-urls-saved");
    let (id, link) = create(&web, &key, body).await;
    let stranger = web.browser();
    open(&stranger, &link).await;
    let back = answer(&web, &stranger, &id, &[("decision", "cancel")]).await;
    assert_eq!(back, format!("https://books.example.com/done?a=b&status=declined&id={id}"));
    let page = format!("/connect/{id}");
    assert!(stranger.page_text(&page).await.contains("declined at Xero"));

    web.provider.control("settings", json!({ "refused_scopes": ["accounting.settings.read"] })).await;
    let back = answer(&web, &stranger, &id, &ALLOW_HARBOUR).await;
    assert!(back.contains("status=scope_refused"), "{back}");
    let refused = submit_consent(&web.provider, &ann.connect().await, &ALLOW_HARBOUR).await;
    assert_eq!(ann.follow_callback(&refused).await, "scopes-refused", "a member is told the same");
    web.provider.control("settings", json!({ "refused_scopes": [] })).await;
    assert!(stranger.page_text(&page).await.contains("may not ask for these scopes"));

    let late = submit_consent(&web.provider, &start(&stranger, &id).await, &ALLOW_HARBOUR).await;
    web.advance(10 * 60);
    let late = stranger.get(late.strip_prefix(&web.base).unwrap()).await;
    assert!(late.location().contains("status=expired"), "{}", late.location());
    assert!(web.bindings(&org).await.is_empty());
    let (_, read) = call(&web, Method::GET, &format!("{LINKS}/{id}"), &key, None).await;
    assert_eq!((read["status"].as_str(), read["outcome"].as_str()), (Some("open"), Some("expired")));

    let cancelled = call(&web, Method::DELETE, &format!("{LINKS}/{id}"), &key, None).await.0;
    assert_eq!(cancelled, StatusCode::NO_CONTENT);
    assert!(stranger.page_text(&page).await.contains("This link was cancelled"));
    let (_, list) = call(&web, Method::GET, LINKS, &key, None).await;
    assert_eq!(list["links"], json!([]));
    web.stop().await;
}

#[tokio::test]
async fn link_is_limited_and_expires() {
    let web = TestServer::start().await;
    let (_, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let key = key_of(&web, &org).await;
    for expires_in in [299, 2_592_001] {
        let (status, _) = call(&web, Method::POST, LINKS, &key, Some(json!({ "expiresIn": expires_in }))).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{expires_in}");
    }
    let (id, link) = create(&web, &key, json!({ "expiresIn": 300 })).await;
    let stranger = web.browser();
    open(&stranger, &link).await;
    for _ in 0..10 {
        start(&stranger, &id).await;
    }
    let page = stranger.post("/api/connect-links/start", &[("id", &id)]).await;
    assert_eq!((page.location(), stranger.flash().as_str()), (format!("/connect/{id}").as_str(), "link-attempts"));
    web.advance(300);
    assert!(stranger.page_text(&format!("/connect/{id}")).await.contains("This link has expired"));
    web.stop().await;
}

#[tokio::test]
async fn whoever_knows_only_the_id_uses_up_no_attempts() {
    let web = TestServer::start().await;
    let (_, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let (id, link) = create(&web, &key_of(&web, &org).await, json!({})).await;
    let (eve, stranger) = (web.browser(), web.browser());
    for _ in 0..11 {
        let page = eve.post("/api/connect-links/start", &[("id", &id)]).await;
        assert_eq!(page.location(), format!("/connect/{id}"));
    }
    open(&stranger, &link).await;
    start(&stranger, &id).await;
    web.stop().await;
}

#[tokio::test]
async fn browser_keeps_the_links_that_it_opened_last() {
    let web = TestServer::start().await;
    let (_, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let key = key_of(&web, &org).await;
    let stranger = web.browser();
    let mut latest = Default::default();
    for _ in 0..25 {
        latest = create(&web, &key, json!({})).await;
        open(&stranger, &latest.1).await;
    }
    assert_eq!(stranger.cookie_names("evergrant_link_").len(), 20, "a request with more is refused by proxies");
    start(&stranger, &latest.0).await;
    open(&stranger, &latest.1).await;
    assert_eq!(stranger.cookie_names("evergrant_link_").len(), 20, "the same link again");
    web.stop().await;
}

#[apply(each_database!)]
async fn body_that_is_a_list_or_has_an_absurd_number_is_refused(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (_, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let life = evergrant::model::ApiKeyLifetime::Month;
    let new = RequestedApiKey { name: "Program", scopes: Scope::ALL, life, created_by: None };
    let key = api_keys::create(&web.store, &org, new).await.ok().unwrap().key.expose().to_owned();
    for (method, path, body) in [
        (Method::POST, LINKS, json!([])),
        (Method::POST, LINKS, json!({ "expiresIn": i64::MAX })),
        (Method::POST, LINKS, json!({ "expiresIn": i64::MIN })),
        (Method::POST, "/api/v1/import", json!([true, []])),
        (Method::POST, "/api/v1/import", json!({ "oldSystemStopped": true, "rows": [["token"]] })),
        (Method::PATCH, "/api/v1/bindings/b", json!(["id"])),
    ] {
        let (status, problem) = call(&web, method, path, &key, Some(body.clone())).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid-argument")),
            "{db}: {path} {body}"
        );
        assert!(!problem.to_string().contains("\"token\""), "{db}: {problem}");
    }
    assert!(web.store.open_connect_links(&org).await.unwrap().is_empty(), "{db}");
    web.stop().await;
}
