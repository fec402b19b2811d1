//! Access and id tokens: issues them, and verifies the one that a request carries.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::SandboxError;
use crate::options::ISSUER;
use crate::people::person_by_id;
use crate::responses::{format_utc, problem};
use crate::sandbox::Sandbox;
use crate::state::Grant;

/// Lifetime of an id token, in seconds.
const ID_TOKEN_TTL: i64 = 300;

/// The consent, person and scopes of a verified access token.
pub(crate) struct Caller {
    pub auth_event_id: String,
    pub xero_user_id: String,
    pub scopes: Vec<String>,
}

impl Sandbox {
    /// Returns a signed access token with Xero's claims. `expires_at` is in unix seconds.
    pub(crate) fn access_token(
        &self,
        auth_event_id: &str,
        grant: &Grant,
        now: i64,
        expires_at: i64,
    ) -> Result<String, SandboxError> {
        let scopes: Vec<&str> = grant.scopes.split(' ').collect();
        self.signer().sign(&json!({
            "nbf": now,
            "exp": expires_at,
            "iss": ISSUER,
            "aud": format!("{ISSUER}/resources"),
            "client_id": grant.client_id,
            "sub": subject(&grant.xero_user_id),
            "auth_time": grant.auth_time,
            "xero_userid": grant.xero_user_id,
            "global_session_id": auth_event_id.replace('-', ""),
            "jti": Uuid::new_v4().simple().to_string(),
            "authentication_event_id": auth_event_id,
            "scope": scopes,
        }))
    }

    /// Returns a signed id token that names the person, or `None` without the `openid` scope. Its issuer is this sandbox's
    /// address, as the discovery document says, so that people can sign in with it.
    pub(crate) fn id_token(
        &self,
        grant: &Grant,
        nonce: Option<&str>,
        now: i64,
    ) -> Result<Option<String>, SandboxError> {
        if !grant.has_scope("openid") {
            return Ok(None);
        }
        let mut claims = profile(&grant.xero_user_id);
        claims["iss"] = json!(self.options().public_url);
        claims["aud"] = json!(grant.client_id);
        claims["iat"] = json!(now);
        claims["nbf"] = json!(now);
        claims["exp"] = json!(now + ID_TOKEN_TTL);
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        self.signer().sign(&claims).map(Some)
    }

    /// Verifies `Authorization: Bearer`. The error is the response to send.
    #[expect(clippy::result_large_err, reason = "the refusal is the whole response, built once per request")]
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Response> {
        let unauthorized = || problem(StatusCode::UNAUTHORIZED, "AuthenticationUnsuccessful");
        let claims = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .and_then(|token| self.signer().verify(token))
            .ok_or_else(unauthorized)?;
        let text = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
        let expires_at = claims["exp"].as_i64().unwrap_or(0);
        if self.now() >= expires_at {
            let time = format_utc(expires_at, "%m/%d/%Y %H:%M:%S");
            return Err(problem(StatusCode::UNAUTHORIZED, &format!("TokenExpired: token expired at {time}")));
        }
        // A revocation invalidates access tokens too. An id token has no event, so it is never accepted.
        if !self.live().state.grants.contains_key(&text("authentication_event_id")) {
            return Err(unauthorized());
        }
        let scopes = claims["scope"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Ok(Caller {
            auth_event_id: text("authentication_event_id"),
            xero_user_id: text("xero_userid"),
            scopes: scopes.map(str::to_owned).collect(),
        })
    }
}

/// Returns the claims about a person that the id token and userinfo share.
pub(crate) fn profile(xero_user_id: &str) -> Value {
    let Some(person) = person_by_id(xero_user_id) else {
        return json!({ "sub": subject(xero_user_id), "xero_userid": xero_user_id });
    };
    json!({
        "sub": subject(xero_user_id),
        "xero_userid": xero_user_id,
        "name": person.full_name(),
        "given_name": person.given_name,
        "family_name": person.family_name,
        "email": person.email,
    })
}

fn subject(xero_user_id: &str) -> String {
    xero_user_id.replace('-', "")
}
