//! Unusual successes of the token endpoint: both tokens are kept, and what is unusual is named.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{NOW, Provider, REFRESH, error_of, exchange, json, refresh, respond};
use crate::server::xero::token_response::TokenOddity as Odd;
use crate::server::xero::{
    CodeExchange, ErrorKind, ExchangedTokens, HttpResponse, RefreshTokenIssue, TokenOddity, Transient, parse,
};

const JSON: &str = "application/json";

/// The body, the expected lifetime in seconds, and the expected oddities.
type Row = (&'static str, i64, &'static [TokenOddity]);

/// Bodies with the tokens `a` and `r`. The access token has no claims.
const ROWS: &[Row] = &[
    (r#"{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":1800}"#, 1800, &[]),
    (r#"{"access_token":"a","refresh_token":"r","token_type":"bearer","expires_in":60,"scope":"x"}"#, 60, &[]),
    (r#"{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":"900"}"#, 900, &[Odd::ExpiresIn]),
    (
        r#"{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":" 900.9 "}"#,
        900,
        &[Odd::ExpiresIn],
    ),
    (r#"{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":900.5}"#, 900, &[Odd::ExpiresIn]),
    (r#"{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":null}"#, 1800, &[Odd::ExpiresIn]),
    (r#"{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":0}"#, 1800, &[Odd::ExpiresIn]),
    (r#"{"access_token":"a","refresh_token":"r","token_type":"Bearer"}"#, 1800, &[Odd::ExpiresIn]),
    (r#"{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":-1}"#, 1800, &[Odd::ExpiresIn]),
    (r#"{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":86400}"#, 1800, &[]),
    (r#"{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":86401}"#, 1800, &[Odd::ExpiresIn]),
    (r#"{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":9e99}"#, 1800, &[Odd::ExpiresIn]),
    (
        r#"{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":1e999}"#,
        1800,
        &[Odd::TokenType, Odd::ExpiresIn],
    ),
    (r#"{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":"soon"}"#, 1800, &[Odd::ExpiresIn]),
    (r#"{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":"NaN"}"#, 1800, &[Odd::ExpiresIn]),
    (r#"{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":[1]}"#, 1800, &[Odd::ExpiresIn]),
    (r#"{"access_token":"a","refresh_token":"r","token_type":"mac","expires_in":1800}"#, 1800, &[Odd::TokenType]),
    (r#"{"access_token":"a","refresh_token":"r","token_type":7,"expires_in":1800}"#, 1800, &[Odd::TokenType]),
    (r#"{"access_token":"a","refresh_token":"r","expires_in":1800}"#, 1800, &[Odd::TokenType]),
    (
        r#"{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":1800,"scope":{"x":1}}"#,
        1800,
        &[Odd::Scope],
    ),
    (
        r#" {"error":null,"id_token":7,"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":1800} "#,
        1800,
        &[],
    ),
];

fn parsed(status: u16, content_type: &str, body: &[u8]) -> crate::server::xero::TokenResponse {
    let answer = HttpResponse::for_test(status, content_type, body);
    parse::tokens(&answer, NOW).unwrap_or_else(|error| panic!("{error:?} {:?}", String::from_utf8_lossy(body)))
}

#[test]
fn tokens_are_kept_however_unusual_the_other_fields_are() {
    for (body, lifetime, oddities) in ROWS {
        let tokens = parsed(200, JSON, body.as_bytes());
        assert_eq!(tokens.access_token.expose(), "a", "{body}");
        assert_eq!(tokens.refresh_token.map(|token| token.expose().to_owned()).as_deref(), Some("r"), "{body}");
        assert_eq!((tokens.expires_at - NOW, &tokens.oddities[..]), (*lifetime, *oddities), "{body}");
    }
}

#[test]
fn tokens_are_kept_with_any_success_status_content_type_and_byte_order_mark() {
    let body = ROWS[0].0.as_bytes();
    for status in [201, 202, 203, 206, 299] {
        assert_eq!(parsed(status, JSON, body).oddities, [Odd::Status], "{status}");
    }
    for content_type in ["text/html; charset=utf-8", "text/plain", "application/octet-stream", "nonsense"] {
        assert_eq!(parsed(200, content_type, body).oddities, [Odd::ContentType], "{content_type}");
    }
    let marked = [b"\xef\xbb\xbf", body].concat();
    assert_eq!(parsed(200, "application/json; charset=utf-8", &marked).oddities, [Odd::ByteOrderMark]);
    let all = parsed(201, "text/html", &marked);
    assert_eq!(all.oddities, [Odd::Status, Odd::ContentType, Odd::ByteOrderMark]);
    assert_eq!(all.expires_at, NOW + 1800);
}

#[test]
fn scopes_are_read_from_text_and_from_a_list() {
    for (scope, scopes, oddities) in [
        (r#""openid email""#, "openid email", &[][..]),
        (r#"["openid","email"]"#, "openid email", &[Odd::Scope]),
        (r#"["openid",7]"#, "openid", &[Odd::Scope]),
        ("null", "", &[]),
    ] {
        let body = format!(
            r#"{{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":1800,"scope":{scope}}}"#
        );
        let tokens = parsed(200, JSON, body.as_bytes());
        assert_eq!((tokens.scopes.as_str(), &tokens.oddities[..]), (scopes, oddities), "{scope}");
    }
}

#[test]
fn lifetime_is_never_longer_than_the_claims_say() {
    let cases: &[(&str, &str, i64, &[TokenOddity])] = &[
        (r#"{"nbf":1000,"exp":2800}"#, "1800", 1800, &[]),
        (r#"{"nbf":1000,"exp":2800}"#, "900", 900, &[]),
        (r#"{"nbf":1000,"exp":2800}"#, "3600", 1800, &[Odd::ExpiresInBeyondExp]),
        (r#"{"nbf":1000,"exp":1600}"#, "null", 600, &[Odd::ExpiresIn]),
        (r#"{"iat":1000,"exp":1600}"#, "-5", 600, &[Odd::ExpiresIn]),
        (r#"{"nbf":1000,"exp":90000000}"#, "9e99", 1800, &[Odd::ExpiresIn]),
        // Claims that cannot be believed.
        (r#"{"nbf":1000,"exp":900}"#, "1800", 1800, &[]),
        (r#"{"nbf":1000,"exp":"never"}"#, "null", 1800, &[Odd::ExpiresIn]),
        // No time of issue: since the request was sent.
        (r#"{"exp":1790000600}"#, "null", 600, &[Odd::ExpiresIn]),
    ];
    for (claims, expires_in, lifetime, oddities) in cases {
        let access = format!("head.{}.signature", URL_SAFE_NO_PAD.encode(claims));
        let body = format!(
            r#"{{"access_token":"{access}","refresh_token":"r","token_type":"Bearer","expires_in":{expires_in}}}"#
        );
        let tokens = parsed(200, JSON, body.as_bytes());
        assert_eq!((tokens.expires_at - NOW, &tokens.oddities[..]), (*lifetime, *oddities), "{claims} {expires_in}");
    }
}

#[test]
fn refresh_token_is_kept_beside_an_access_token_that_cannot_be_sent() {
    for access in ["", "a\\nb", "ä", "a b"] {
        let body =
            format!(r#"{{"access_token":"{access}","refresh_token":"r","token_type":"Bearer","expires_in":1800}}"#);
        let tokens = parsed(200, JSON, body.as_bytes());
        assert!(tokens.refresh_token.is_some_and(|token| token.expose() == "r"), "{access}");
        assert_eq!((tokens.expires_at, &tokens.oddities[..]), (NOW, &[Odd::AccessTokenUnusable][..]), "{access}");
    }
}

#[tokio::test]
async fn refresh_without_a_refresh_token_keeps_the_one_that_was_sent() {
    for body in [
        r#"{"access_token":"a","expires_in":1800,"token_type":"Bearer"}"#,
        r#"{"access_token":"a","expires_in":1800,"token_type":"Bearer","refresh_token":null}"#,
        r#"{"access_token":"a","expires_in":1800,"token_type":"Bearer","refresh_token":" "}"#,
    ] {
        let provider = Provider::start(move || json(200, body)).await;
        assert!(matches!(exchange(&provider.client()).await, Ok(CodeExchange::NoRefreshToken)), "{body}");
        let Ok(ExchangedTokens { tokens, refresh_token_issue, oddities, .. }) = refresh(&provider.client()).await
        else {
            panic!("the refresh failed: {body}")
        };
        assert_eq!((tokens.access_token.expose(), tokens.refresh_token.expose()), ("a", REFRESH), "{body}");
        assert_eq!(refresh_token_issue, RefreshTokenIssue::Kept, "{body}");
        assert_eq!(oddities, [Odd::RefreshTokenKept], "{body}");
    }
}

#[tokio::test]
async fn unreadable_refresh_token_is_no_success() {
    let provider = Provider::start(|| json(200, r#"{"access_token":"a","expires_in":1800,"refresh_token":7}"#)).await;
    for error in [error_of(refresh(&provider.client()).await), error_of(exchange(&provider.client()).await)] {
        assert_eq!(error.kind, ErrorKind::Transient(Transient::Malformed));
    }
}

#[tokio::test]
async fn unusual_code_exchange_connects() {
    let body = r#"{"access_token":"a","refresh_token":"r","expires_in":"1800","scope":["openid"]}"#;
    let provider = Provider::start(move || respond(201, "text/plain", body)).await;
    let Ok(CodeExchange::Refreshable(exchanged)) = exchange(&provider.client()).await else {
        panic!("the exchange failed")
    };
    assert_eq!((exchanged.status, exchanged.tokens.scopes.as_str()), (201, "openid"));
    assert_eq!(
        exchanged.oddities,
        [Odd::Status, Odd::ContentType, Odd::TokenType, Odd::Scope, Odd::ExpiresIn],
        "each is named once"
    );
}
