//! The authorize request: its parameters, and the checks that Xero makes on its own page.

use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use url::{Url, form_urlencoded};

use crate::sandbox::Sandbox;

/// The pairs of a query or a form, in order.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A valid authorize request.
pub(super) struct AuthorizeRequest {
    pub client_id: String,
    pub redirect_uri: Url,
    /// `redirect_uri` as the app sent it; the token endpoint compares it exactly.
    pub redirect_text: String,
    pub scope: String,
    pub state: Option<String>,
    pub code_challenge: Option<String>,
    pub nonce: Option<String>,
}

/// A request that Xero refuses on its own page, without a callback.
pub(super) struct InvalidRequest {
    pub title: &'static str,
    /// What to do about it.
    pub advice: String,
}

impl InvalidRequest {
    fn new(title: &'static str, advice: impl Into<String>) -> Self {
        Self { title, advice: advice.into() }
    }
}

impl AuthorizeRequest {
    pub fn parse(fields: &Fields, sandbox: &Sandbox) -> Result<Self, InvalidRequest> {
        let client_id = fields.get("client_id").unwrap_or_default();
        if !sandbox.live().clients.iter().any(|client| client.client_id == client_id) {
            let advice = "Set XERO_CLIENT_ID to the client id of the app at Xero.";
            return Err(InvalidRequest::new("Unknown client", advice));
        }
        let redirect_text = fields.get("redirect_uri").unwrap_or_default();
        let Some(redirect_uri) = allowed_redirect(redirect_text, &sandbox.options().redirect_uris) else {
            let advice = "The redirect_uri must be exactly one that the app registered with Xero.";
            return Err(InvalidRequest::new("Invalid redirect address", advice));
        };
        if fields.get("response_type") != Some("code") {
            return Err(InvalidRequest::new("Unsupported response type", "Set response_type to code."));
        }
        let scope = fields.get("scope").unwrap_or_default().split_ascii_whitespace().collect::<Vec<_>>();
        if let Some(unknown) = scope.iter().find(|scope| !is_scope(scope)) {
            let advice = format!("Xero has no scope called {unknown}. Correct XERO_SCOPES.");
            return Err(InvalidRequest::new("Invalid scope", advice));
        }
        if scope.is_empty() {
            return Err(InvalidRequest::new("Invalid scope", "Request at least one scope. See XERO_SCOPES."));
        }
        let code_challenge = fields.get("code_challenge").map(str::to_owned);
        let method = fields.get("code_challenge_method");
        if let Some(challenge) = &code_challenge
            && (method != Some("S256") || challenge.len() != 43)
        {
            let advice = "Use PKCE with code_challenge_method=S256 and a challenge of 43 characters.";
            return Err(InvalidRequest::new("Invalid code challenge", advice));
        }
        Ok(Self {
            client_id: client_id.to_owned(),
            redirect_uri,
            redirect_text: redirect_text.to_owned(),
            scope: scope.join(" "),
            state: fields.get("state").map(str::to_owned),
            code_challenge,
            nonce: fields.get("nonce").map(str::to_owned),
        })
    }

    /// Returns whether the app asks only who the person is. Then no organization is chosen.
    pub fn is_sign_in(&self) -> bool {
        self.scope.split(' ').all(|scope| ["openid", "profile", "email"].contains(&scope))
    }

    /// Redirects the browser to the app with these parameters and the request's own `state`.
    pub fn redirect(&self, parameters: &[(&str, &str)]) -> Response {
        let mut address = self.redirect_uri.clone();
        address.query_pairs_mut().extend_pairs(parameters);
        if let Some(state) = &self.state {
            address.query_pairs_mut().append_pair("state", state);
        }
        match HeaderValue::from_str(address.as_str()) {
            Ok(address) => (StatusCode::SEE_OTHER, [(LOCATION, address)]).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// Parses a redirect address. If any are registered it must equal one of them; otherwise https is allowed anywhere,
/// http on this machine, and a fragment never.
fn allowed_redirect(text: &str, registered: &[String]) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_allowed = if registered.is_empty() {
        let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1"));
        url.fragment().is_none() && (url.scheme() == "https" || url.scheme() == "http" && is_local)
    } else {
        registered.iter().any(|address| address == text)
    };
    is_allowed.then_some(url)
}

/// Returns whether Xero may have this scope. Checks the family only, because a full list would become outdated.
fn is_scope(scope: &str) -> bool {
    const SCOPES: [&str; 7] = ["openid", "profile", "email", "offline_access", "files", "assets", "projects"];
    const FAMILIES: [&str; 5] = ["accounting.", "payroll.", "files.", "assets.", "projects."];
    let rest = FAMILIES.iter().find_map(|family| scope.strip_prefix(family));
    SCOPES.contains(&scope)
        || rest
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_match_a_registered_address_or_are_https_or_local() {
        let registered = ["https://app.example/cb".to_owned()];
        assert!(allowed_redirect("https://app.example/cb", &registered).is_some());
        assert!(allowed_redirect("https://app.example/cb/", &registered).is_none());
        assert!(allowed_redirect("http://localhost:3000/cb", &[]).is_some());
        assert!(allowed_redirect("http://127.0.0.1:3000/cb", &[]).is_some());
        assert!(allowed_redirect("https://app.example/cb", &[]).is_some());
        for refused in ["http://app.example/cb", "javascript:alert(1)", "http://localhost/#x", "/cb", ""] {
            assert!(allowed_redirect(refused, &[]).is_none(), "{refused}");
        }
    }

    #[test]
    fn scopes_are_accepted_by_family() {
        for accepted in ["openid", "offline_access", "accounting.settings.read", "accounting.reports.aged.read"] {
            assert!(is_scope(accepted), "{accepted}");
        }
        for refused in ["accounting", "accounting.", "offline", "accounting.Settings", "admin", "accounting.a<b"] {
            assert!(!is_scope(refused), "{refused}");
        }
    }
}
