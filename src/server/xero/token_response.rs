//! Parses a token response. If both tokens can be read the rotation happened, so both are kept however unusual the rest
//! of the response is. Drops the text of parse errors, because serde quotes its input, which may be a token.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::claims;
use super::error::XeroError;
use super::response::HttpResponse;
use super::wire::{parse_object, seconds};
use crate::model::text_enum::str_enum;
use crate::server::domain::{ACCESS_TOKEN_LIFETIME, AccessToken, RefreshToken, XeroUserName};

/// A lifetime beyond this is not read as a lifetime. Seconds.
const MAX_LIFETIME: i64 = 24 * 60 * 60;
/// The byte order mark of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

str_enum!(
    /// What is unusual about a token response whose tokens are kept.
    TokenOddity {
        /// Another status than 200.
        Status = "status",
        /// Another content type than JSON, or none.
        ContentType = "content_type",
        /// The body starts with a byte order mark.
        ByteOrderMark = "byte_order_mark",
        /// `expires_in` is missing or no whole number of seconds within a day.
        ExpiresIn = "expires_in",
        /// `expires_in` is longer than the access token's own claims say.
        ExpiresInBeyondExp = "expires_in_beyond_exp",
        /// `token_type` is missing or not `Bearer`.
        TokenType = "token_type",
        /// `scope` is not text.
        Scope = "scope",
        /// A refresh returned no `refresh_token`, so the one that was sent stays (RFC 6749, 6).
        RefreshTokenKept = "refresh_token_kept",
        /// The access token cannot be sent in a header, so it counts as expired.
        AccessTokenUnusable = "access_token_unusable",
    }
);

/// A token response. `refresh_token` is absent if the consent lacks `offline_access`.
pub struct TokenResponse {
    /// Token that authorizes API requests.
    pub access_token: AccessToken,
    /// Token for the next refresh; `None` if it is absent, null or blank.
    pub refresh_token: Option<RefreshToken>,
    /// Unix seconds at which the access token expires, by Evergrant's clock.
    pub expires_at: i64,
    /// Granted scopes, separated by spaces; empty if Xero sends none.
    pub scopes: String,
    /// The Xero user, if the response has an id token.
    pub xero_user: XeroUserName,
    /// What is unusual about the response.
    pub oddities: Vec<TokenOddity>,
}

/// The fields that must be readable.
#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    refresh_token: Option<Value>,
}

/// The fields that may have any form.
#[derive(Default, Deserialize)]
struct Rest {
    expires_in: Option<Value>,
    token_type: Option<Value>,
    scope: Option<Value>,
    id_token: Option<Value>,
}

/// Parses a successful response. `asked_at` is when the request was sent, in unix seconds, from which the lifetime counts.
pub(super) fn parse(answer: &HttpResponse, asked_at: i64) -> Result<TokenResponse, XeroError> {
    let (body, has_mark) = match answer.body().strip_prefix(BYTE_ORDER_MARK) {
        Some(body) => (body, true),
        None => (answer.body(), false),
    };
    let malformed = || XeroError::malformed(answer);
    let tokens: Tokens = parse_object(body).ok_or_else(malformed)?;
    let refresh_token = match tokens.refresh_token {
        Some(Value::String(token)) => Some(token).filter(|token| !token.trim().is_empty()),
        None => None,
        // There is a successor, but it cannot be read. Xero may return it again.
        Some(_) => return Err(malformed()),
    };
    // On its own, because a number that is out of range would spoil the tokens' parse.
    let rest: Rest = parse_object(body).unwrap_or_default();
    let access_token = AccessToken::new(tokens.access_token);

    let mut oddities = Vec::new();
    let mut note = |oddity, is_odd: bool| is_odd.then(|| oddities.push(oddity)).is_some();
    note(TokenOddity::Status, answer.status != 200);
    note(TokenOddity::ContentType, answer.json().is_none());
    note(TokenOddity::ByteOrderMark, has_mark);
    let is_bearer = rest.token_type.as_ref().and_then(Value::as_str).is_some_and(|t| t.eq_ignore_ascii_case("bearer"));
    note(TokenOddity::TokenType, !is_bearer);
    note(TokenOddity::Scope, rest.scope.as_ref().is_some_and(|scope| !scope.is_string()));

    let stated = rest.expires_in.as_ref().and_then(seconds).filter(is_lifetime);
    note(TokenOddity::ExpiresIn, stated.is_none() || !rest.expires_in.is_some_and(|value| value.is_u64()));
    let claimed = claims::lifetime(&access_token, answer.date.unwrap_or(asked_at)).filter(is_lifetime);
    let is_beyond = stated.zip(claimed).is_some_and(|(stated, claimed)| stated > claimed);
    note(TokenOddity::ExpiresInBeyondExp, is_beyond);
    let lifetime = stated.unwrap_or(claimed.unwrap_or(ACCESS_TOKEN_LIFETIME)).min(claimed.unwrap_or(i64::MAX));
    // A later expiry would not be trusted when it is read.
    let lifetime = lifetime.min(ACCESS_TOKEN_LIFETIME);
    // The token is sent in a header later (RFC 6750, 2.1).
    let is_sendable = !access_token.expose().is_empty() && access_token.expose().bytes().all(|b| b.is_ascii_graphic());
    let is_unusable = note(TokenOddity::AccessTokenUnusable, !is_sendable);

    Ok(TokenResponse {
        access_token,
        refresh_token: refresh_token.map(RefreshToken::new),
        expires_at: if is_unusable { asked_at } else { asked_at + lifetime },
        scopes: rest.scope.map(scopes).unwrap_or_default(),
        xero_user: rest.id_token.as_ref().and_then(Value::as_str).map(claims::xero_user).unwrap_or_default(),
        oddities,
    })
}

fn is_lifetime(seconds: &i64) -> bool {
    (1..=MAX_LIFETIME).contains(seconds)
}

/// Returns the scopes separated by spaces, from text or a list of texts. Empty for anything else.
fn scopes(scope: Value) -> String {
    match scope {
        Value::String(scopes) => scopes,
        Value::Array(scopes) => scopes.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }
}
