//! The error kind of every documented failure of Xero, and of many undocumented responses.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::response::Response;

use super::{
    ACCESS, CODE, Provider, REFRESH, access, assert_free_of_secrets, error_of, exchange, json, refresh, respond,
};
use crate::server::domain::{RefreshToken, RequestSent, RotationRisk};
use crate::server::xero::{ErrorKind, Transient, XeroError};

const MALFORMED: ErrorKind = ErrorKind::Transient(Transient::Malformed);
const SERVER_ERROR: ErrorKind = ErrorKind::Transient(Transient::ServerError);
const RATE_LIMITED: ErrorKind = ErrorKind::Transient(Transient::RateLimited);

type Row = (u16, &'static str, &'static str, ErrorKind, &'static str);

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

/// Status, content type and body, then kind and evidence code.
const TOKEN_ROWS: &[Row] = &[
    // Xero's documented refusals.
    (400, JSON, r#"{"error":"invalid_grant"}"#, ErrorKind::Reconnect, "invalid_grant"),
    (400, "Application/JSON; charset=utf-8", r#" {"error":"invalid_grant"} "#, ErrorKind::Reconnect, "invalid_grant"),
    (400, JSON, r#"{"error":"invalid_grant","error_description":"x"}"#, ErrorKind::Reconnect, "invalid_grant"),
    (400, JSON, r#"{"error":"invalid_client"}"#, ErrorKind::Operator, "invalid_client"),
    (401, JSON, r#"{"error":"invalid_client"}"#, ErrorKind::Operator, "invalid_client"),
    (400, JSON, r#"{"error":"unauthorized_client"}"#, ErrorKind::Operator, "unauthorized_client"),
    (400, JSON, r#"{"error":"unsupported_grant_type"}"#, ErrorKind::Operator, "unsupported_grant_type"),
    (400, JSON, r#"{"error":"invalid_request"}"#, ErrorKind::Operator, "invalid_request"),
    (400, JSON, r#"{"error":"invalid_scope"}"#, ErrorKind::Operator, "invalid_scope"),
    // The right code with a wrong status or content type.
    (401, JSON, r#"{"error":"invalid_grant"}"#, MALFORMED, "http_401"),
    (403, JSON, r#"{"error":"invalid_grant"}"#, MALFORMED, "http_403"),
    (500, JSON, r#"{"error":"invalid_grant"}"#, SERVER_ERROR, "http_500"),
    (429, JSON, r#"{"error":"invalid_grant"}"#, RATE_LIMITED, "rate_limited"),
    (200, JSON, r#"{"error":"invalid_grant"}"#, MALFORMED, "malformed"),
    (302, JSON, r#"{"error":"invalid_grant"}"#, MALFORMED, "http_302"),
    (400, HTML, r#"{"error":"invalid_grant"}"#, MALFORMED, "http_400"),
    // Nearly the right body.
    (400, JSON, r#"{"error":"invalid_grant""#, MALFORMED, "http_400"),
    (400, JSON, r#"{"error":"invalid_grant"}}"#, MALFORMED, "http_400"),
    (400, JSON, r#"["invalid_grant"]"#, MALFORMED, "http_400"),
    (400, JSON, r#""invalid_grant""#, MALFORMED, "http_400"),
    (400, JSON, "invalid_grant", MALFORMED, "http_400"),
    (400, JSON, r#"{"error":["invalid_grant"]}"#, MALFORMED, "http_400"),
    (400, JSON, r#"{"error":{"code":"invalid_grant"}}"#, MALFORMED, "http_400"),
    (400, JSON, r#"{"error":"Invalid_Grant"}"#, MALFORMED, "http_400"),
    (400, JSON, r#"{"error":"invalid_grant "}"#, MALFORMED, "http_400"),
    (400, JSON, r#"{"error":"access_denied"}"#, MALFORMED, "http_400"),
    (400, JSON, r#"{"error":"other","error":"invalid_grant"}"#, MALFORMED, "http_400"),
    (400, JSON, r#"{"Error":"invalid_grant"}"#, MALFORMED, "http_400"),
    (400, JSON, "", MALFORMED, "http_400"),
    (400, JSON, "{}", MALFORMED, "http_400"),
    (400, JSON, "null", MALFORMED, "http_400"),
    (401, JSON, r#"{"error":"unauthorized_client"}"#, MALFORMED, "http_401"),
    // A secret that the response repeats.
    (400, JSON, r#"{"error":"sent-refresh-token","error_description":"sent-code"}"#, MALFORMED, "http_400"),
    // Proxies and server errors.
    (401, HTML, "<h1>Who are you?</h1>", MALFORMED, "http_401"),
    (403, HTML, "<h1>Blocked</h1>", MALFORMED, "http_403"),
    (404, HTML, "<h1>Not here</h1>", MALFORMED, "http_404"),
    (407, HTML, "", MALFORMED, "http_407"),
    (418, JSON, "{}", MALFORMED, "http_418"),
    (500, JSON, "", SERVER_ERROR, "http_500"),
    (502, HTML, "<h1>Bad gateway</h1>", SERVER_ERROR, "http_502"),
    (503, HTML, "", SERVER_ERROR, "http_503"),
    (504, JSON, r#"{"error":"server_error"}"#, SERVER_ERROR, "http_504"),
    // Successes without readable tokens.
    (200, HTML, "<h1>Log in to this network</h1>", MALFORMED, "wrong_content_type"),
    (202, JSON, "", MALFORMED, "malformed"),
    (204, JSON, "", MALFORMED, "malformed"),
    (200, JSON, r#"{"access_token":"a","expires_in":1800,"refresh_tok"#, MALFORMED, "malformed"),
    (200, JSON, r#"["a",1800,"Bearer","r",""]"#, MALFORMED, "malformed"),
    (200, JSON, r#"{"expires_in":1800,"refresh_token":"r"}"#, MALFORMED, "malformed"),
    (200, JSON, r#"{"access_token":null,"expires_in":1800,"refresh_token":"r"}"#, MALFORMED, "malformed"),
    (200, JSON, r#"{"access_token":7,"expires_in":1800,"refresh_token":"r"}"#, MALFORMED, "malformed"),
    (200, JSON, r#"{"access_token":"a","expires_in":1800,"refresh_token":7}"#, MALFORMED, "malformed"),
    (200, JSON, r#"{"access_token":"a","expires_in":1800,"refresh_token":["r"]}"#, MALFORMED, "malformed"),
];

const API_ROWS: &[Row] = &[
    (
        401,
        JSON,
        r#"{"Type":null,"Title":"Unauthorized","Status":401,"Detail":"TokenExpired: token expired at 09/24/2021 08:23:47"}"#,
        ErrorKind::TokenExpired,
        "token_expired",
    ),
    (401, JSON, r#"{"detail":"TokenExpired: token expired"}"#, ErrorKind::TokenExpired, "token_expired"),
    (401, JSON, r#"{"Detail":"AuthorizationUnsuccessful"}"#, ErrorKind::ScopeMissing, "scope_missing"),
    (401, JSON, r#"{"title":"AuthorizationUnsuccessful","detail":null}"#, ErrorKind::ScopeMissing, "scope_missing"),
    (
        403,
        "application/problem+json",
        r#"{"Type":null,"Title":"Forbidden","Status":403,"Detail":"AuthenticationUnsuccessful","Instance":"i","Extensions":{}}"#,
        ErrorKind::TenantNotConnected,
        "tenant_gone",
    ),
    (403, JSON, r#"{"detail":"AuthenticationUnsuccessful"}"#, ErrorKind::TenantNotConnected, "tenant_gone"),
    // The right message with a wrong status, and messages without their own kind.
    (401, JSON, r#"{"Detail":"AuthenticationUnsuccessful"}"#, ErrorKind::Refused, "http_401"),
    (403, JSON, r#"{"Detail":"TokenExpired: x"}"#, ErrorKind::Refused, "http_403"),
    (400, JSON, r#"{"Title":"Bad request"}"#, ErrorKind::Refused, "http_400"),
    // The API host sends no OAuth errors.
    (400, JSON, r#"{"error":"invalid_grant"}"#, MALFORMED, "http_400"),
    (401, HTML, "<h1>Who are you?</h1>", MALFORMED, "http_401"),
    (403, HTML, "<h1>Blocked</h1>", MALFORMED, "http_403"),
    (403, JSON, r#"{"Detail":"no entry for sent-access-token"}"#, MALFORMED, "http_403"),
    (429, JSON, "", RATE_LIMITED, "rate_limited"),
    (500, JSON, r#"{"Detail":"AuthenticationUnsuccessful"}"#, SERVER_ERROR, "http_500"),
    (503, HTML, "", SERVER_ERROR, "http_503"),
    (301, HTML, "", MALFORMED, "http_301"),
    (200, HTML, "<h1>Log in to this network</h1>", MALFORMED, "wrong_content_type"),
    (200, JSON, r#"{"Organisations":[]}"#, MALFORMED, "malformed"),
    (200, JSON, "nonsense", MALFORMED, "malformed"),
];

/// Returns a provider and a function that sets its next response.
async fn switchable_provider() -> (Provider, impl Fn(&Row)) {
    let row: Arc<Mutex<Row>> = Arc::new(Mutex::new((204, JSON, "", MALFORMED, "")));
    let served = row.clone();
    let provider = Provider::start(move || -> Response {
        let (status, content_type, body, ..) = *served.lock().unwrap();
        respond(status, content_type, body)
    })
    .await;
    (provider, move |next: &Row| *row.lock().unwrap() = *next)
}

/// Returns the expected risk that Xero rotated the token.
fn rotation_risk((status, _, _, kind, _): &Row) -> RotationRisk {
    match (*kind, *status) {
        (MALFORMED, 200..=399) | (SERVER_ERROR, 502 | 504) => RotationRisk::Possible,
        (SERVER_ERROR | MALFORMED, _) => RotationRisk::Unlikely,
        _ => RotationRisk::NotRotated,
    }
}

#[tokio::test]
async fn token_endpoint_responses_have_the_expected_error_kind() {
    let (provider, serve) = switchable_provider().await;
    let client = provider.client();
    for row in TOKEN_ROWS {
        serve(row);
        let (status, _, body, kind, word) = *row;
        for error in [error_of(refresh(&client).await), error_of(exchange(&client).await)] {
            assert_eq!((error.kind, error.evidence_code()), (kind, word), "{status} {body}");
            assert_eq!(error.status, Some(status), "{body}");
            assert_eq!(error.correlation_id.as_deref(), Some("corr-1"), "{body}");
            assert_eq!(error.detail, None, "{body}");
            assert_eq!(
                (error.class.sent, error.class.rotation),
                (RequestSent::Yes, rotation_risk(row)),
                "{status} {body}"
            );
            assert_free_of_secrets(&error);
        }
        if status >= 300 {
            let error = error_of(client.revoke(&RefreshToken::new(REFRESH)).await);
            assert_eq!(error.kind, kind, "revocation {status} {body}");
        }
    }
    assert!(TOKEN_ROWS.iter().any(|row| row.2.contains(REFRESH) && row.2.contains(CODE)), "no row repeats a secret");
}

#[tokio::test]
async fn api_responses_have_the_expected_error_kind() {
    let (provider, serve) = switchable_provider().await;
    for row in API_ROWS {
        serve(row);
        // A new client each time, because consecutive failures open the API's circuit breaker.
        let client = provider.client();
        let api = client.api(access(), "t-1".into());
        let (status, _, body, kind, word) = *row;
        let mut errors = vec![error_of(api.organization().await), error_of(client.connections(&access(), None).await)];
        if status >= 300 {
            errors.push(error_of(client.delete_connection(&access(), "c-1").await));
        }
        for error in errors {
            assert_eq!((error.kind, error.evidence_code()), (kind, word), "{status} {body}");
            assert_eq!(error.status, Some(status), "{body}");
            assert_free_of_secrets(&error);
        }
    }
    assert!(API_ROWS.iter().any(|row| row.2.contains(ACCESS)), "no row repeats a secret");
}

#[tokio::test]
async fn xeros_message_is_shown_bounded_and_on_one_line() {
    let provider = Provider::start(|| json(403, r#"{"Detail":"AuthenticationUnsuccessful\r\nby rule"}"#)).await;
    let error = error_of(provider.client().api(access(), "t-1".into()).organization().await);
    assert_eq!(error.detail.as_deref(), Some("AuthenticationUnsuccessful  by rule"));
    assert_eq!(
        error.summary(),
        "Xero no longer gives access to this organisation. Connect to Xero again. \
         Xero says: AuthenticationUnsuccessful  by rule"
    );

    let long = format!(r#"{{"Detail":"{}"}}"#, "ä".repeat(5000));
    let provider = Provider::start(move || respond(400, JSON, long.clone())).await;
    let error = error_of(provider.client().api(access(), "t-1".into()).organization().await);
    assert_eq!(error.detail.map(|detail| detail.chars().count()), Some(300));
}

#[tokio::test]
async fn retry_after_is_kept_with_the_error() {
    for (status, kind) in [(429, RATE_LIMITED), (503, SERVER_ERROR)] {
        let provider = Provider::start(move || {
            let mut response = respond(status, HTML, "");
            response.headers_mut().insert("retry-after", "130".parse().unwrap());
            response
        })
        .await;
        let error = error_of(refresh(&provider.client()).await);
        assert_eq!((error.kind, error.retry_after), (kind, Some(Duration::from_secs(130))));
        assert!(error.summary().ends_with("Try again in 3 minutes."), "{}", error.summary());
    }
}

#[test]
fn open_circuit_says_when_to_try_again() {
    for (seconds, hint) in [(7, "Try again in 7 seconds."), (-1, "Try again in a moment.")] {
        let summary = XeroError::circuit_open(seconds).summary();
        assert!(summary.ends_with(hint), "{seconds}: {summary}");
    }
}
