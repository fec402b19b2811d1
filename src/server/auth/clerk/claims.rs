//! What a session token says, in both versions of its spelling.

use serde::Deserialize;

use crate::model::Role;
use crate::server::domain::Secret;

/// The claims as they travel. Version 2 puts the organisation into `o`; version 1 spreads it over three.
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
    /// Only where the application adds it to its session tokens.
    email: Option<String>,
}

#[derive(Deserialize)]
struct RawOrg {
    id: String,
    slg: Option<String>,
    rol: Option<String>,
}

/// The same, read.
pub struct Claims {
    pub user: String,
    pub session: Secret,
    pub email: Option<String>,
    pub org: Option<OrgClaim>,
    pub issued_at: i64,
}

#[derive(Debug, PartialEq)]
pub struct OrgClaim {
    pub id: String,
    pub slug: Option<String>,
    pub role: Role,
}

/// A session token's whole life, in seconds: how long before its end one was made that doesn't say so itself.
const LIFE: i64 = 60;

impl RawClaims {
    /// `None` where it names nobody, or no session: then it is some other token of the same issuer.
    pub fn read(self) -> Option<Claims> {
        let org = match (self.o, filled(self.org_id)) {
            (Some(org), _) => Some((org.id, org.slg, org.rol)),
            (None, Some(id)) => Some((id, self.org_slug, self.org_role)),
            (None, None) => None,
        };
        let org = org.filter(|(id, ..)| !id.is_empty());
        Some(Claims {
            user: filled(Some(self.sub))?,
            session: Secret::new(filled(Some(self.sid))?),
            email: self.email.map(|email| email.trim().to_lowercase()).filter(|email| email.contains('@')),
            org: org.map(|(id, slug, role)| OrgClaim { id, slug: filled(slug), role: role_of(role.as_deref()) }),
            issued_at: self.iat.or(self.nbf).unwrap_or(self.exp - LIFE),
        })
    }
}

/// Clerk's roles as ours. An admin is an admin; an owner is whoever has a role that the application itself calls
/// so, as Clerk knows none; every other role looks and refreshes, as members do.
pub fn role_of(role: Option<&str>) -> Role {
    let role = role.unwrap_or_default();
    match role.strip_prefix("org:").unwrap_or(role) {
        "owner" => Role::Owner,
        "admin" => Role::Admin,
        _ => Role::Member,
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(mut claims: Value) -> Option<Claims> {
        claims["exp"] = json!(1000);
        claims["iss"] = json!("https://clerk.example.com");
        serde_json::from_value::<RawClaims>(claims).ok()?.read()
    }

    fn org(claims: Value) -> Option<OrgClaim> {
        read(claims).unwrap().org
    }

    #[test]
    fn both_versions_name_the_organisation() {
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
    fn a_token_without_person_or_session_is_another_token() {
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
            assert_eq!(role_of(role), ours, "{role:?}");
        }
    }

    #[test]
    fn a_token_is_as_old_as_it_says() {
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
