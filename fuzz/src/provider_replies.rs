//! Provider responses: none makes the parsers panic, only `invalid_grant` ends a grant, and no error repeats a secret.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use evergrant::server::domain::{AccessToken, RequestSent};
use evergrant::server::xero::{ErrorKind, HttpResponse, TokenOddity, XeroError, parse, parse_claims};
use serde_json::Value;

const NOW: i64 = 1_800_000_000;
const STATUSES: [u16; 12] = [200, 400, 401, 403, 404, 429, 500, 502, 503, 302, 201, 418];
const TYPES: [&str; 4] = ["application/json", "application/problem+json; charset=utf-8", "text/html", ""];
/// The token that was sent. No error may repeat it.
const SENT: &str = "sent-access-token";
/// The evidence codes of token endpoint errors, besides `http_<status>`.
const WORDS: [&str; 10] = [
    "invalid_grant",
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_request",
    "invalid_scope",
    "rate_limited",
    "malformed",
    "wrong_content_type",
    "unsendable",
];

/// The first byte selects a status, the second a content type; the rest is the body.
pub fn hold(input: &[u8]) {
    let [first, second, body @ ..] = input else { return };
    let status = STATUSES[usize::from(*first) % STATUSES.len()];
    let kind = TYPES[usize::from(*second) % TYPES.len()];
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
    let answer = HttpResponse::from_head(status, &headers, NOW).with_body(body.to_vec());
    let is_json = kind.starts_with("application/");

    tokens_come_from_a_success_alone(&answer, is_json, body);
    connections_have_safe_ids(&answer);
    if let Err(error) = parse::organization(&answer, &AccessToken::new(SENT)) {
        is_fit_to_be_shown(&error);
    }
    let token = AccessToken::new(String::from_utf8_lossy(body));
    let ids = parse_claims(&token).map(|read| [read.xero_user_id, read.authentication_event_id]);
    assert!(ids.is_none_or(|ids| !ids.contains(&String::new())));
}

/// Compares the result with the body as `serde_json` parses it. Our parser skips unknown fields and a byte order mark, and
/// so accepts a few more bodies.
fn tokens_come_from_a_success_alone(answer: &HttpResponse, is_json: bool, body: &[u8]) {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    match parse::tokens(answer, NOW) {
        Ok(tokens) => {
            assert!((200..300).contains(&answer.status));
            assert_eq!(tokens.oddities.contains(&TokenOddity::ContentType), !is_json);
            let is_sendable =
                !tokens.access_token.expose().is_empty() && HeaderValue::from_str(tokens.access_token.expose()).is_ok();
            assert!(is_sendable || tokens.expires_at == NOW, "a token that is no header value counts as expired");
            assert!((NOW..=NOW + 86_400).contains(&tokens.expires_at));
            let said =
                |name: &str| value.as_ref().map(|value| value[name].as_str().filter(|text| !text.trim().is_empty()));
            let access = value.as_ref().map(|value| value["access_token"].as_str());
            assert!(access.is_none_or(|token| token == Some(tokens.access_token.expose())));
            let kept = tokens.refresh_token.as_ref().map(|token| token.expose());
            assert!(said("refresh_token").is_none_or(|token| token == kept));
        }
        Err(error) => {
            // Rule 6: only this response ends a grant.
            let ends = error.kind == ErrorKind::Reconnect;
            let says = value.as_ref().is_none_or(|value| value.is_object() && value["error"] == "invalid_grant");
            let proper = answer.status == 400 && is_json && std::str::from_utf8(body).is_ok() && says;
            assert!(!ends || proper, "{} {:?}", answer.status, String::from_utf8_lossy(body));
            assert!(ends || !proper || body != br#"{"error":"invalid_grant"}"#);
            assert!(!error.is_app_refusal() || (matches!(answer.status, 400 | 401) && !ends));
            let code = error.evidence_code();
            assert!(WORDS.contains(&code) || code == format!("http_{}", answer.status), "{code}");
            assert_eq!(error.detail, None);
            is_fit_to_be_shown(&error);
        }
    }
}

fn connections_have_safe_ids(answer: &HttpResponse) {
    match parse::connections(answer, &AccessToken::new(SENT)) {
        Ok(list) => {
            assert_eq!(answer.status, 200);
            for one in list {
                assert!(one.tenant.id.is_empty() || !one.tenant.name.is_empty());
                for id in [one.tenant.connection_id, one.auth_event_id, one.tenant.id] {
                    assert!(!id.contains(|c: char| !c.is_ascii_graphic() || c == '/'), "{id:?}");
                }
            }
        }
        Err(error) => {
            assert_ne!(error.kind, ErrorKind::Reconnect);
            is_fit_to_be_shown(&error);
        }
    }
}

/// Asserts that the error's text is one line of bounded length without the token that was sent.
fn is_fit_to_be_shown(error: &XeroError) {
    let shown = format!("{error}");
    assert!(!shown.is_empty() && shown.chars().count() < 600 && !shown.contains(char::is_control), "{shown:?}");
    assert!(!format!("{error:?} {error}").contains(SENT), "{error:?}");
    assert_eq!(error.class.sent, RequestSent::Yes);
}
