//! Runs against a server in sandbox mode: `EVERGRANT_URL` and `EVERGRANT_KEY`, a key with all scopes. `scripts/test-clients`
//! starts one.

use std::time::Duration;

use evergrant_client::{Connection, Error, Evergrant, Filter, ImportRow, NewConnectLink, send_to_xero};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use secrecy::SecretString;
use serde_json::Value;

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run scripts/test-clients"))
}

fn evergrant() -> Evergrant {
    Evergrant::new(&setting("EVERGRANT_URL"), &SecretString::from(setting("EVERGRANT_KEY"))).unwrap()
}

async fn active() -> Connection {
    let filter = Filter { status: Some("active".into()), ..Filter::default() };
    evergrant().connections(&filter).await.unwrap().into_iter().next().expect("the demo has an active connection")
}

fn status_and_code(error: Error) -> (u16, Option<String>) {
    match error {
        Error::Problem { status, code, .. } => (status, code),
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
#[ignore = "needs a server: scripts/test-clients runs it"]
async fn connections_are_listed_read_and_labeled() {
    let (evergrant, id) = (evergrant(), active().await.id);
    let labeled = evergrant.label(&id, Some("rs 1"), &["rs"]).await.unwrap();
    assert_eq!((labeled.external_id.as_deref(), labeled.tags), (Some("rs 1"), vec!["rs".to_owned()]));
    let named = Filter { external_id: Some("rs 1".into()), ..Filter::default() };
    assert_eq!(evergrant.connections(&named).await.unwrap().len(), 1);
    assert_eq!(evergrant.label(&id, None, &[]).await.unwrap().external_id, None);
    assert!(evergrant.connection(&id).await.unwrap().tags.is_empty());
    let contacts = evergrant.set_contacts(&id, &["rs@example.com"]).await.unwrap().contacts;
    assert_eq!(contacts, ["rs@example.com"]);
    let all = evergrant.connections(&Filter::default()).await.unwrap();
    let lacking = Filter { missing_scopes: true, ..Filter::default() };
    let lacking = evergrant.connections(&lacking).await.unwrap();
    assert_eq!(lacking, all.into_iter().filter(|one| !one.missing_scopes.is_empty()).collect::<Vec<_>>());
}

#[tokio::test]
#[ignore = "needs a server: scripts/test-clients runs it"]
async fn xero_is_called_with_the_connections_token_and_tenant() {
    let (evergrant, connection) = (evergrant(), active().await);
    let request = evergrant.xero(Method::GET, &connection.id, "/api.xro/2.0/Organisation?x=1");
    let response = send_to_xero(request.header("accept", "application/json")).await.unwrap();
    let organisation: Value = response.json().await.unwrap();
    assert_eq!(organisation["Organisations"][0]["Name"], connection.tenant_name.as_str());
    let token = evergrant.token(&connection.id, Duration::from_secs(300)).await.unwrap();
    assert!(evergrant.refresh(&connection.id).await.unwrap() >= token.expires_at);
}

#[tokio::test]
#[ignore = "needs a server: scripts/test-clients runs it"]
async fn connect_links_are_made_read_and_canceled() {
    let evergrant = evergrant();
    let new = NewConnectLink { note: "Monthly books".into(), expires_in: Some(600), ..NewConnectLink::default() };
    let id = evergrant.create_connect_link(&new).await.unwrap().id;
    assert_eq!(evergrant.connect_link(&id).await.unwrap().status, "open");
    evergrant.cancel_connect_link(&id).await.unwrap();
    assert_eq!(evergrant.connect_link(&id).await.unwrap().status, "cancelled");
    let again = status_and_code(evergrant.cancel_connect_link(&id).await.unwrap_err());
    assert_eq!(again, (404, Some("no-such-link".to_owned())));
}

#[tokio::test]
#[ignore = "needs a server: scripts/test-clients runs it"]
async fn problems_are_errors_with_a_code() {
    let (evergrant, id) = (evergrant(), active().await.id);
    let missing = status_and_code(evergrant.connection("no such").await.unwrap_err());
    assert_eq!(missing, (404, Some("no-such-connection".to_owned())));
    let forbidden = send_to_xero(evergrant.xero(Method::GET, &id, "connections")).await.unwrap_err();
    assert_eq!(status_and_code(forbidden), (403, Some("xero-path-forbidden".to_owned())));
    let row = |token: &str| ImportRow {
        refresh_token: SecretString::from(token),
        tenant_id: None,
        external_id: None,
        tags: Vec::new(),
    };
    let reports = evergrant.import_tokens(&[row("used-long-ago")], true).await.unwrap();
    assert_eq!(reports[0].outcome, "refused");
    let refused = evergrant.import_tokens(&[row("used-long-ago")], false).await.unwrap_err();
    assert_eq!(status_and_code(refused), (422, Some("invalid-argument".to_owned())));
}

#[tokio::test]
#[ignore = "needs a server: scripts/test-clients runs it"]
async fn problem_of_xeros_is_a_response() {
    let request = evergrant().xero(Method::POST, &active().await.id, "bankfeeds.xro/1.0/Statements").body("{}");
    let response = send_to_xero(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    assert_eq!(response.json::<Value>().await.unwrap()["type"], "invalid-request");
}

#[tokio::test]
#[ignore = "needs a server: scripts/test-clients runs it"]
async fn events_are_read_on_from_a_cursor() {
    let first = evergrant().events(None).await.unwrap();
    assert!(!first.has_more);
    let rest = evergrant().events(Some(&first.next_cursor)).await.unwrap();
    assert_eq!((rest.events.len(), rest.next_cursor), (0, first.next_cursor));
}
