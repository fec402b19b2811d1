//! The claims of session tokens, in both of Clerk's versions.

use serde::Deserialize;

use crate::model::Role;
use crate::server::domain::Secret;

/// The claims as sent. Version 2 has the organization in `o`; version 1 has it in three claims.
#[derive(Deserialize)]
pub struct RawClaims {
    pub exp: i64,
    pub nbf: Option<i64>,
    iat: Option<i64>,
    pub iss: String,
    pub azp: Option<String>,
    pub sts: Option<String>,
    sub: String,
    sid: String,
    o: Option<RawOrg>,
    org_id: Option<String>,
    org_slug: Option<String>,
    org_role: Option<String>,
    /// Only set if the application adds it to its session tokens.
    email: Option<String>,
}

#[derive(Deserialize)]
struct RawOrg {
    id: String,
    slg: Option<String>,
    rol: Option<String>,
}

/// The parsed claims.
pub struct Claims {
    pub user: String,
    pub session: Secret,
    pub email: Option<String>,
    pub org: Option<OrgClaim>,
    pub issued_at: i64,
}

/// The active organization and the person's role in it.
#[derive(Debug, PartialEq)]
pub struct OrgClaim {
    pub id: String,
    pub slug: Option<String>,
    pub role: Role,
}

/// The lifetime of a session token in seconds, from which the issue time is computed if the token has none.
const TOKEN_LIFETIME_SECONDS: i64 = 60;

impl RawClaims {
    /// Parses the claims. `None` without a user or a session: then it is another kind of token of the same issuer.
    pub fn parse(self) -> Option<Claims> {
        let org = match (self.o, non_empty(self.org_id)) {
            (Some(org), _) => Some((org.id, org.slg, org.rol)),
            (None, Some(id)) => Some((id, self.org_slug, self.org_role)),
            (None, None) => None,
        };
        let org = org.filter(|(id, ..)| !id.is_empty());
        Some(Claims {
            user: non_empty(Some(self.sub))?,
            session: Secret::new(non_empty(Some(self.sid))?),
            email: self.email.map(|email| email.trim().to_lowercase()).filter(|email| email.contains('@')),
            org: org.map(|(id, slug, role)| OrgClaim { id, slug: non_empty(slug), role: map_role(role.as_deref()) }),
            issued_at: self.iat.or(self.nbf).unwrap_or(self.exp - TOKEN_LIFETIME_SECONDS),
        })
    }
}

/// Maps Clerk's roles to ours. Clerk has no owner, so `owner` is a role that the application defines. Other roles are
/// members.
pub fn map_role(role: Option<&str>) -> Role {
    let role = role.unwrap_or_default();
    match role.strip_prefix("org:").unwrap_or(role) {
        "owner" => Role::Owner,
        "admin" => Role::Admin,
        _ => Role::Member,
    }
}

fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(mut claims: Value) -> Option<Claims> {
        claims["exp"] = json!(1000);
        claims["iss"] = json!("https://clerk.example.com");
        serde_json::from_value::<RawClaims>(claims).ok()?.parse()
    }

    fn org(claims: Value) -> Option<OrgClaim> {
        read(claims).unwrap().org
    }

    #[test]
    fn both_claim_versions_contain_the_organization() {
        let named = |role| Some(OrgClaim { id: "org_1".into(), slug: Some("harbour".into()), role });
        let two = json!({ "v": 2, "sub": "user_1", "sid": "sess_1", "o": { "id": "org_1", "slg": "harbour", "rol": "admin", "per": "read", "fpm": "1" } });
        assert_eq!(org(two), named(Role::Admin));
        let one = json!({ "sub": "user_1", "sid": "sess_1", "org_id": "org_1", "org_slug": "harbour", "org_role": "org:admin" });
        assert_eq!(org(one), named(Role::Admin));
        let none = json!({ "v": 2, "sub": "user_1", "sid": "sess_1" });
        assert_eq!(org(none), None);
        let empty = json!({ "sub": "user_1", "sid": "sess_1", "org_id": "", "org_role": "" });
        assert_eq!(org(empty), None);
    }

    #[test]
    fn token_without_user_or_session_is_not_a_session_token() {
        for claims in [json!({ "sub": "user_1" }), json!({ "sid": "sess_1" }), json!({ "sub": "", "sid": "sess_1" })] {
            assert!(read(claims).is_none());
        }
    }

    #[test]
    fn unknown_roles_are_members() {
        for (role, ours) in [
            (Some("org:admin"), Role::Admin),
            (Some("admin"), Role::Admin),
            (Some("org:owner"), Role::Owner),
            (Some("org:member"), Role::Member),
            (Some("org:super_admin"), Role::Member),
            (Some(""), Role::Member),
            (None, Role::Member),
        ] {
            assert_eq!(map_role(role), ours, "{role:?}");
        }
    }

    #[test]
    fn issue_time_comes_from_iat_or_nbf_or_exp() {
        let issued = |claims| read(claims).unwrap().issued_at;
        let named = || json!({ "sub": "user_1", "sid": "sess_1" });
        assert_eq!(issued(named()), 940);
        let with = |name: &str| {
            let mut claims = named();
            claims[name] = json!(950);
            claims
        };
        assert_eq!(issued(with("nbf")), 950);
        assert_eq!(issued(with("iat")), 950);
    }
}
