//! Who asks: checks an access token of ours and says whose it is.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use uuid::Uuid;

use super::people::person_by_id;
use super::reply::{problem, written};
use super::state::Grant;
use super::{Sandbox, SandboxError};

/// What an access token says once it has been checked.
pub(super) struct Caller {
    pub xero_user_id: String,
    pub scopes: Vec<String>,
}

impl Sandbox {
    /// The claims of `xero.md`, signed. `expires_at` in unix seconds.
    pub(super) fn access_token(
        &self,
        auth_event_id: &str,
        grant: &Grant,
        now: i64,
        expires_at: i64,
    ) -> Result<String, SandboxError> {
        let issuer = &self.0.options.public_url;
        let scopes: Vec<&str> = grant.scopes.split(' ').collect();
        self.0.signer.sign(&json!({
            "nbf": now,
            "exp": expires_at,
            "iss": issuer,
            "aud": format!("{issuer}/resources"),
            "client_id": self.0.options.client_id,
            "sub": subject(&grant.xero_user_id),
            "auth_time": grant.auth_time,
            "xero_userid": grant.xero_user_id,
            "global_session_id": auth_event_id.replace('-', ""),
            "jti": Uuid::new_v4().simple().to_string(),
            "authentication_event_id": auth_event_id,
            "scope": scopes,
        }))
    }

    /// Who the person is, for five minutes. Only with the `openid` scope.
    pub(super) fn id_token(&self, grant: &Grant, now: i64) -> Result<Option<String>, SandboxError> {
        if !grant.has_scope("openid") {
            return Ok(None);
        }
        let mut claims = profile(&grant.xero_user_id);
        claims["iss"] = json!(self.0.options.public_url);
        claims["aud"] = json!(self.0.options.client_id);
        claims["iat"] = json!(now);
        claims["nbf"] = json!(now);
        claims["exp"] = json!(now + 300);
        self.0.signer.sign(&claims).map(Some)
    }

    /// Checks `Authorization: Bearer`; the error is the answer to send.
    #[expect(clippy::result_large_err, reason = "the refusal is the whole answer, made once per request")]
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Response> {
        let refused = || problem(StatusCode::UNAUTHORIZED, "AuthenticationUnsuccessful");
        let claims = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .and_then(|token| self.0.signer.open(token))
            .ok_or_else(refused)?;
        let text = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
        let expires_at = claims["exp"].as_i64().unwrap_or(0);
        if self.now() >= expires_at {
            let when = written(expires_at, "%m/%d/%Y %H:%M:%S");
            return Err(problem(StatusCode::UNAUTHORIZED, &format!("TokenExpired: token expired at {when}")));
        }
        // A revocation ends access tokens too. An id token names no event and opens nothing.
        if !self.live().state.grants.contains_key(&text("authentication_event_id")) {
            return Err(refused());
        }
        let scopes = claims["scope"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Ok(Caller { xero_user_id: text("xero_userid"), scopes: scopes.map(str::to_owned).collect() })
    }
}

/// The claims about a person that the id token and userinfo share.
pub(super) fn profile(xero_user_id: &str) -> Value {
    let Some(person) = person_by_id(xero_user_id) else {
        return json!({ "sub": subject(xero_user_id), "xero_userid": xero_user_id });
    };
    json!({
        "sub": subject(xero_user_id),
        "xero_userid": xero_user_id,
        "name": person.name(),
        "given_name": person.given_name,
        "family_name": person.family_name,
        "email": person.email,
    })
}

fn subject(xero_user_id: &str) -> String {
    xero_user_id.replace('-', "")
}
