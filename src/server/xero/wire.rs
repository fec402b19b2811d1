//! Parses Xero's JSON bodies, except for tokens. Drops the text of parse errors, because serde quotes its input.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::server::domain::{RemoteConnection, Tenant};

/// The details of a tenant that is an organization, from Xero's `Organisation` endpoint.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Organization {
    /// Display name of the organization.
    pub name: String,
    /// Legal name; `None` if Xero sends none.
    pub legal_name: Option<String>,
    /// Country code; `None` if Xero sends none.
    pub country_code: Option<String>,
    /// Code of the base currency; `None` if Xero sends none.
    pub base_currency: Option<String>,
}

/// Parses a JSON object. Rejects arrays, whose elements serde would accept as a struct's fields.
pub(super) fn parse_object<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(body).ok()
}

/// Returns a number of seconds, also from text or a number with a fraction, rounded down.
pub(super) fn seconds(value: &Value) -> Option<i64> {
    let number = match value {
        Value::Number(number) => return number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    number.parse().ok().or_else(|| whole(number.parse().ok()?))
}

/// Rounds down. Returns `None` outside the range in which a double is exact, and for NaN.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    (number.abs() < EXACT).then(|| number.floor() as i64)
}

/// Returns whether the body is an OpenID provider's discovery document (OpenID Connect Discovery 1.0, 3).
pub(super) fn is_discovery_document(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Wire {
        issuer: String,
        token_endpoint: String,
    }
    parse_object(body).is_some_and(|wire: Wire| !wire.issuer.is_empty() && !wire.token_endpoint.is_empty())
}

/// The OAuth error codes (RFC 6749, 5.2) that are recognized. Any other is dropped, because it could repeat a secret.
const OAUTH_ERROR_CODES: [&str; 6] = [
    "invalid_grant",
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_request",
    "invalid_scope",
];

/// Parses the `error` code of a refusal, if it is a recognized one. Because it may end a grant, the whole body must be
/// UTF-8: serde accepts other bytes in fields that it skips.
pub(super) fn oauth_error(body: &[u8]) -> Option<&'static str> {
    #[derive(Deserialize)]
    struct Wire {
        error: String,
    }
    let text = std::str::from_utf8(body).ok()?;
    let wire: Wire = parse_object(text.as_bytes())?;
    OAUTH_ERROR_CODES.into_iter().find(|word| *word == wire.error)
}

/// Parses an API problem and returns its detail, or else its title.
pub(super) fn problem(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(alias = "Detail")]
        detail: Option<String>,
        #[serde(alias = "Title")]
        title: Option<String>,
    }
    let wire: Wire = parse_object(body)?;
    wire.detail.or(wire.title).filter(|words| !words.trim().is_empty())
}

/// Sanitizes Xero's text for pages and logs: one line, at most 300 characters.
pub(super) fn sanitize(words: &str) -> String {
    let one_line = words.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    one_line.take(300).collect()
}

/// Parses the list of connections. Each entry is read as far as it goes, so that one entry never hides the others.
pub(super) fn connections(body: &[u8]) -> Option<Vec<RemoteConnection>> {
    let list: Vec<Value> = serde_json::from_slice(body).ok()?;
    Some(list.iter().map(connection).collect())
}

/// Parses an entry of the list. What is missing, null or no text is empty; so is an id in another form than Xero's.
fn connection(entry: &Value) -> RemoteConnection {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
    let id = |name: &str| Some(text(name)).filter(|id| is_id(id)).unwrap_or_default().to_owned();
    let (tenant_id, name) = (id("tenantId"), text("tenantName"));
    let tenant = Tenant {
        name: if name.is_empty() { tenant_id.clone() } else { name.to_owned() },
        id: tenant_id,
        tenant_type: text("tenantType").to_owned(),
        connection_id: id("id"),
    };
    RemoteConnection { tenant, auth_event_id: id("authEventId") }
}

/// Returns whether the text is safe as an id in paths and headers. Xero's ids are UUIDs.
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Parses the first organization of an `Organisation` response.
pub(super) fn organization(body: &[u8]) -> Option<Organization> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Wire {
        organisations: Vec<Organization>,
    }
    let wire: Wire = parse_object(body)?;
    wire.organisations.into_iter().next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn number_too_large_for_an_exact_double_is_no_number_of_seconds() {
        let largest = 9_007_199_254_740_991_i64;
        for (value, expected) in [
            (json!("9007199254740991.0"), Some(largest)),
            (json!(-9_007_199_254_740_991.0), Some(-largest)),
            // A double cannot tell it from the next.
            (json!("9007199254740992.0"), None),
            (json!(9_007_199_254_740_992.0), None),
            (json!(-9_007_199_254_740_992.0), None),
        ] {
            assert_eq!(seconds(&value), expected, "{value}");
        }
    }

    #[test]
    fn discovery_document_names_the_issuer_and_the_token_endpoint() {
        for (body, expected) in [
            (r#"{"issuer":"i","token_endpoint":"t"}"#, true),
            (r#"{"issuer":"","token_endpoint":"t"}"#, false),
            (r#"{"issuer":"i","token_endpoint":""}"#, false),
            (r#"["i","t"]"#, false),
        ] {
            assert_eq!(is_discovery_document(body.as_bytes()), expected, "{body}");
        }
    }
}
