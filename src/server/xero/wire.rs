//! Xero's bodies, read strictly where a token hangs on it and tolerantly where not. No parse error's text is passed
//! on: serde quotes what it read, and that may be a token.

use std::num::NonZeroU32;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::server::domain::{AccessToken, RefreshToken};

/// A tenant that a consent opened to us.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// The connection's own id, which disconnecting asks for.
    pub id: String,
    /// The consent that made it; bind only those of this flow.
    pub auth_event_id: String,
    pub tenant_id: String,
    /// `ORGANISATION`, `PRACTICE` or `PRACTICEMANAGER`.
    pub tenant_type: String,
    /// The tenant's name, or its id where Xero names none.
    pub tenant_name: String,
}

/// What Xero says about a tenant that is an organisation.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Organisation {
    pub name: String,
    pub legal_name: Option<String>,
    pub country_code: Option<String>,
    pub base_currency: Option<String>,
}

/// Reads a JSON object. serde would take an array's elements for a struct's fields, which Xero never means.
fn object<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(body).ok()
}

/// Whether this is an OpenID provider's discovery document (OpenID Connect Discovery 1.0, 3).
pub(super) fn is_discovery(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Wire {
        issuer: String,
        token_endpoint: String,
    }
    object(body).is_some_and(|wire: Wire| !wire.issuer.is_empty() && !wire.token_endpoint.is_empty())
}

/// A token answer. `refresh_token` is absent where the consent left `offline_access` out.
pub struct Tokens {
    pub access_token: AccessToken,
    pub refresh_token: Option<RefreshToken>,
    /// Seconds that the access token lives.
    pub expires_in: i64,
    pub scopes: String,
}

/// Reads a token answer; `None` is an answer that no token may be taken from.
pub(super) fn tokens(body: &[u8]) -> Option<Tokens> {
    #[derive(Deserialize)]
    struct Wire {
        access_token: String,
        expires_in: NonZeroU32,
        token_type: Option<String>,
        refresh_token: Option<String>,
        scope: Option<String>,
    }
    let wire: Wire = object(body)?;
    // It has to travel in a header later, so what can't is no token (RFC 6750, 2.1).
    let sendable = !wire.access_token.is_empty() && wire.access_token.bytes().all(|byte| byte.is_ascii_graphic());
    let bearer = wire.token_type.is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    (sendable && bearer).then(|| Tokens {
        access_token: AccessToken::new(wire.access_token),
        refresh_token: wire.refresh_token.filter(|token| !token.trim().is_empty()).map(RefreshToken::new),
        expires_in: i64::from(wire.expires_in.get()),
        scopes: wire.scope.unwrap_or_default(),
    })
}

/// The words of OAuth (RFC 6749, 5.2) that mean something here. Any other stays unread, and so can't repeat a secret.
const OAUTH_WORDS: [&str; 6] = [
    "invalid_grant",
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_request",
    "invalid_scope",
];

/// The `error` word of a token endpoint's refusal, if it is a known one. As a grant may end by it, the body has to be
/// text to its last byte: serde lets other bytes pass where it skips a field.
pub(super) fn oauth_error(body: &[u8]) -> Option<&'static str> {
    #[derive(Deserialize)]
    struct Wire {
        error: String,
    }
    let text = std::str::from_utf8(body).ok()?;
    let wire: Wire = object(text.as_bytes())?;
    OAUTH_WORDS.into_iter().find(|word| *word == wire.error)
}

/// What an API problem says: its detail, or its title where there is no detail.
pub(super) fn problem(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(alias = "Detail")]
        detail: Option<String>,
        #[serde(alias = "Title")]
        title: Option<String>,
    }
    let wire: Wire = object(body)?;
    wire.detail.or(wire.title).filter(|words| !words.trim().is_empty())
}

/// Somebody else's words made fit for a page and a log line: one line, 300 characters at most.
pub(super) fn for_a_person(words: &str) -> String {
    let one_line = words.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    one_line.take(300).collect()
}

/// Reads the list of connections. An entry without usable ids spoils the list: binding by halves would hide tenants.
pub(super) fn connections(body: &[u8]) -> Option<Vec<Connection>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        id: String,
        auth_event_id: String,
        tenant_id: String,
        tenant_type: String,
        tenant_name: Option<String>,
    }
    let list: Vec<Wire> = serde_json::from_slice(body).ok()?;
    list.into_iter()
        .map(|wire| {
            let usable = [&wire.id, &wire.auth_event_id, &wire.tenant_id].into_iter().all(|id| is_id(id));
            usable.then(|| Connection {
                tenant_name: wire.tenant_name.filter(|name| !name.is_empty()).unwrap_or_else(|| wire.tenant_id.clone()),
                id: wire.id,
                auth_event_id: wire.auth_event_id,
                tenant_id: wire.tenant_id,
                tenant_type: wire.tenant_type,
            })
        })
        .collect()
}

/// Xero's ids are UUIDs. They travel in paths and headers, so anything that could mean something there is none.
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Reads the one organisation of an `Organisation` answer.
pub(super) fn organisation(body: &[u8]) -> Option<Organisation> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Wire {
        organisations: Vec<Organisation>,
    }
    let wire: Wire = object(body)?;
    wire.organisations.into_iter().next()
}
