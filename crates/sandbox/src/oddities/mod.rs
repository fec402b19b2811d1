//! Oddities: responses that mean the usual thing in an unusual form. The endpoint processes the request as always.
//!
//! They differ from faults, which lose or replace the response.

pub(crate) mod connections;
pub(crate) mod tokens;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// An unusual form of a successful response. The names in JSON and flags are in snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OddityKind {
    /// Tokens: the content type is `text/plain`.
    ContentTypeText,
    /// Tokens: the content type is `text/html`.
    ContentTypeHtml,
    /// Tokens: no content type.
    ContentTypeMissing,
    /// Tokens: the body starts with a UTF-8 byte order mark.
    Bom,
    /// Tokens: status 201.
    #[serde(rename = "status_201")]
    Status201,
    /// Tokens: `expires_in` is text.
    ExpiresInText,
    /// Tokens: `expires_in` has a fraction.
    ExpiresInFloat,
    /// Tokens: `expires_in` is null.
    ExpiresInNull,
    /// Tokens: `expires_in` is 0.
    ExpiresInZero,
    /// Tokens: no `expires_in`.
    ExpiresInMissing,
    /// Tokens: `expires_in` is negative.
    ExpiresInNegative,
    /// Tokens: `expires_in` is larger than any integer.
    ExpiresInAbsurd,
    /// Tokens: `scope` is a list.
    ScopeList,
    /// Tokens: no `scope`.
    ScopeMissing,
    /// Tokens: `token_type` is `JWT`.
    TokenTypeOther,
    /// Tokens: no `token_type`.
    TokenTypeMissing,
    /// Refreshes: an `id_token` beside the other tokens.
    IdToken,
    /// Refreshes: no `refresh_token`. The presented token is not rotated and stays valid (RFC 6749, section 6).
    RefreshTokenKept,
    /// Refreshes: no `refresh_token`, although the presented token was rotated, as behind a proxy that removes it.
    RefreshTokenRemoved,
    /// Connections: `authEventId`, `tenantName`, `tenantType` and both dates are null.
    Nulls,
    /// Connections: those fields are missing.
    MissingFields,
    /// Connections: the list has an entry more, of which nothing can be read.
    UnreadableEntry,
    /// Connections: the list is empty.
    Empty,
    /// Connections: the first entry is missing.
    FirstMissing,
}

/// The endpoint whose responses an oddity changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OddEndpoint {
    Token,
    Refresh,
    Connections,
}

impl OddityKind {
    fn endpoint(self) -> OddEndpoint {
        match self {
            Self::IdToken | Self::RefreshTokenKept | Self::RefreshTokenRemoved => OddEndpoint::Refresh,
            Self::Nulls | Self::MissingFields | Self::UnreadableEntry | Self::Empty | Self::FirstMissing => {
                OddEndpoint::Connections
            }
            _ => OddEndpoint::Token,
        }
    }
}

impl std::str::FromStr for OddityKind {
    type Err = serde_json::Error;

    /// Parses the kind's name.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        serde_json::from_value(serde_json::Value::from(name))
    }
}

/// An oddity of an endpoint's responses, a number of times.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oddity {
    /// What is odd.
    pub kind: OddityKind,
    /// How many responses it changes: one by default, all from now on if `null`.
    #[serde(default = "once")]
    pub times: Option<u32>,
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's own type")]
fn once() -> Option<u32> {
    Some(1)
}

impl Oddity {
    /// Returns an oddity of all responses from now on.
    pub fn standing(kind: OddityKind) -> Self {
        Self { kind, times: None }
    }
}

/// Takes the oddities of a token response, and counts each down.
pub(crate) fn take_for_tokens(queue: &mut VecDeque<Oddity>, grant_type: Option<&str>) -> Vec<OddityKind> {
    let is_refresh = grant_type == Some("refresh_token");
    take(queue, |endpoint| endpoint == OddEndpoint::Token || is_refresh && endpoint == OddEndpoint::Refresh)
}

/// Takes the oddities of a list of connections, and counts each down.
pub(crate) fn take_for_connections(queue: &mut VecDeque<Oddity>) -> Vec<OddityKind> {
    take(queue, |endpoint| endpoint == OddEndpoint::Connections)
}

/// Takes every queued oddity that applies, because several may apply to one response.
fn take(queue: &mut VecDeque<Oddity>, applies: impl Fn(OddEndpoint) -> bool) -> Vec<OddityKind> {
    let mut kinds = Vec::new();
    for oddity in queue.iter_mut().filter(|oddity| applies(oddity.kind.endpoint())) {
        oddity.times = oddity.times.map(|left| left.saturating_sub(1));
        kinds.push(oddity.kind);
    }
    queue.retain(|oddity| oddity.times != Some(0));
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(oddities: &[(OddityKind, Option<u32>)]) -> VecDeque<Oddity> {
        oddities.iter().map(|&(kind, times)| Oddity { kind, times }).collect()
    }

    #[test]
    fn oddities_apply_together_at_their_endpoint_and_as_often_as_set() {
        use OddityKind::{Bom, Empty, RefreshTokenKept, Status201};
        let mut queue = queue(&[(Bom, None), (Status201, Some(2)), (RefreshTokenKept, Some(1)), (Empty, Some(1))]);
        assert_eq!(take_for_tokens(&mut queue, Some("authorization_code")), [Bom, Status201]);
        assert_eq!(take_for_tokens(&mut queue, Some("refresh_token")), [Bom, Status201, RefreshTokenKept]);
        assert_eq!(take_for_tokens(&mut queue, Some("refresh_token")), [Bom]);
        assert_eq!(take_for_connections(&mut queue), [Empty]);
        assert_eq!(take_for_connections(&mut queue), []);
    }

    #[test]
    fn names_are_in_snake_case() {
        assert_eq!("status_201".parse::<OddityKind>().unwrap(), OddityKind::Status201);
        assert_eq!("expires_in_text".parse::<OddityKind>().unwrap(), OddityKind::ExpiresInText);
        assert!("nonsense".parse::<OddityKind>().is_err());
    }
}
