//! What Xero's API does besides answering: it wants lengths, compresses, and has problem details of its own.

use futures::stream;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{Provider, text};

const SCOPES: &str = "openid offline_access accounting.settings.read accounting.attachments bankfeeds";
const ATTACHMENT: &str = "/api.xro/2.0/Invoices/INV-1/Attachments/a.pdf";

/// A provider, an access token with the scopes, and the tenant that it opens.
async fn authorized() -> (Provider, String, String) {
    let provider = Provider::start().await;
    let minted = provider.sandbox.mint("mere", &["harbour"], 60).unwrap();
    // The next token of every consent has these.
    provider.control("scopes", json!({ "scopes": SCOPES })).await;
    let (_, tokens) = provider.refresh(&minted.refresh_token).await;
    let tenant = minted.connections[0].tenant_id.clone();
    (provider, text(&tokens, "access_token"), tenant)
}

fn call((provider, token, tenant): &(Provider, String, String), method: Method, path: &str) -> RequestBuilder {
    let request = provider.client.request(method, format!("{}{path}", provider.base));
    request.bearer_auth(token).header("xero-tenant-id", tenant)
}

#[tokio::test]
async fn attachment_without_its_length_is_refused() {
    let authorized = authorized().await;
    let chunks = stream::iter([Ok::<_, std::io::Error>(vec![1_u8; 10])]);
    let chunked = call(&authorized, Method::PUT, ATTACHMENT).body(reqwest::Body::wrap_stream(chunks));
    assert_eq!(chunked.send().await.unwrap().status(), StatusCode::LENGTH_REQUIRED);
    let whole = call(&authorized, Method::PUT, ATTACHMENT).body(vec![1_u8; 10]).send().await.unwrap();
    assert_eq!(whole.status(), StatusCode::OK);
}

#[tokio::test]
async fn responses_and_errors_are_compressed_for_whoever_accepts_that() {
    let authorized = authorized().await;
    let path = "/api.xro/2.0/Organisation";
    let plain = call(&authorized, Method::GET, path).send().await.unwrap();
    assert_eq!((plain.status(), plain.headers().get(CONTENT_ENCODING)), (StatusCode::OK, None));
    authorized.0.advance(3_600);
    let refused = call(&authorized, Method::GET, path).header(ACCEPT_ENCODING, "gzip").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers()[CONTENT_ENCODING], "gzip");
}

#[tokio::test]
async fn bank_feeds_refuse_with_problem_details() {
    let authorized = authorized().await;
    let refused = call(&authorized, Method::POST, "/bankfeeds.xro/1.0/Statements").body("{}").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(refused.headers()[CONTENT_TYPE], "application/problem+json");
    assert_eq!(refused.json::<Value>().await.unwrap()["type"], "invalid-request");
}
