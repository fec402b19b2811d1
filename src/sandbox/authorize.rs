//! `/identity/connect/authorize`: checks the request, shows the consent page, takes the decision back to the app.

use axum::extract::{RawQuery, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use url::{Url, form_urlencoded};

use super::page::{self, Consent};
use super::people::{Tenant, person, tenant};
use super::reply::broken;
use super::state::{Code, random_token};
use super::{Options, Sandbox};

/// The pairs of a query or a form, in order.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What the app asks for, checked.
pub(super) struct Request {
    pub client_id: String,
    pub redirect_uri: Url,
    /// As the app wrote it: the token endpoint compares it letter by letter.
    pub redirect_text: String,
    pub scope: String,
    pub state: Option<String>,
    pub code_challenge: Option<String>,
}

/// A request that Xero would end on its own page, without a callback: a title and what to do.
pub(super) struct Unacceptable {
    pub title: &'static str,
    pub advice: String,
}

pub(super) async fn show(State(sandbox): State<Sandbox>, RawQuery(query): RawQuery) -> Response {
    match Request::read(&Fields::parse(query.as_deref().unwrap_or_default()), &sandbox.0.options) {
        Ok(request) => consent_page(&sandbox, &request, None),
        Err(refusal) => error_page(&refusal),
    }
}

/// The consent form. Its hidden fields are checked anew: they went through the browser.
pub(super) async fn decide(State(sandbox): State<Sandbox>, body: String) -> Response {
    let fields = Fields::parse(&body);
    let request = match Request::read(&fields, &sandbox.0.options) {
        Ok(request) => request,
        Err(refusal) => return error_page(&refusal),
    };
    if fields.get("decision") != Some("allow") {
        return request.back(&[("error", "access_denied")]);
    }
    let Some(person) = fields.get("person").and_then(person) else {
        return consent_page(&sandbox, &request, Some("Choose who you are."));
    };
    let tenants: Vec<&Tenant> = fields.all("tenant").filter_map(tenant).collect();
    let bulk = sandbox.live().settings.bulk_connections;
    if !bulk && tenants.len() != 1 {
        return consent_page(&sandbox, &request, Some("Choose one organisation to connect."));
    }
    let code = random_token();
    sandbox.change(|state, _, now| {
        let auth_event_id = state.consent(person, &tenants, &request.scope, now);
        state.codes.retain(|_, code| code.expires_at > now);
        let row = Code {
            auth_event_id,
            redirect_uri: request.redirect_text.clone(),
            code_challenge: request.code_challenge.clone(),
            expires_at: now + sandbox.0.options.code_ttl,
        };
        state.codes.insert(code.clone(), row);
    });
    sandbox.live().issued.note(&code);
    match sandbox.keep().await {
        Ok(()) => request.back(&[("code", &code), ("scope", &request.scope), ("session_state", &random_token())]),
        Err(error) => broken(&error),
    }
}

pub(super) async fn stylesheet() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("page.css")).into_response()
}

impl Request {
    fn read(fields: &Fields, options: &Options) -> Result<Self, Unacceptable> {
        let unacceptable = |title, advice: &str| Err(Unacceptable { title, advice: advice.to_owned() });
        let client_id = fields.get("client_id").unwrap_or_default();
        if client_id != options.client_id {
            return unacceptable("Unknown client", "Set XERO_CLIENT_ID to the client id of the app at Xero.");
        }
        let redirect_text = fields.get("redirect_uri").unwrap_or_default();
        let Some(redirect_uri) = allowed_redirect(redirect_text, &options.redirect_uris) else {
            return unacceptable(
                "Invalid redirect address",
                "The redirect_uri must be, letter by letter, one that the app registered with Xero.",
            );
        };
        if fields.get("response_type") != Some("code") {
            return unacceptable("Unsupported response type", "Ask with response_type=code.");
        }
        let scope = fields.get("scope").unwrap_or_default().split_ascii_whitespace().collect::<Vec<_>>();
        if let Some(unknown) = scope.iter().find(|scope| !is_scope(scope)) {
            let advice = format!("Xero has no scope called {unknown}. Correct XERO_SCOPES.");
            return Err(Unacceptable { title: "Invalid scope", advice });
        }
        if scope.is_empty() {
            return unacceptable("Invalid scope", "Ask for at least one scope. See XERO_SCOPES.");
        }
        let code_challenge = fields.get("code_challenge").map(str::to_owned);
        let method = fields.get("code_challenge_method");
        if let Some(challenge) = &code_challenge
            && (method != Some("S256") || challenge.len() != 43)
        {
            return unacceptable("Invalid code challenge", "PKCE takes code_challenge_method=S256 and 43 characters.");
        }
        Ok(Self {
            client_id: client_id.to_owned(),
            redirect_uri,
            redirect_text: redirect_text.to_owned(),
            scope: scope.join(" "),
            state: fields.get("state").map(str::to_owned),
            code_challenge,
        })
    }

    /// Sends the browser back to the app, with `state` as it came.
    fn back(&self, answer: &[(&str, &str)]) -> Response {
        let mut address = self.redirect_uri.clone();
        address.query_pairs_mut().extend_pairs(answer);
        if let Some(state) = &self.state {
            address.query_pairs_mut().append_pair("state", state);
        }
        match HeaderValue::from_str(address.as_str()) {
            Ok(address) => (StatusCode::SEE_OTHER, [(LOCATION, address)]).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// Exact where addresses are registered; otherwise https anywhere and http on this machine. Never a fragment.
fn allowed_redirect(text: &str, registered: &[String]) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1"));
    let sensible = url.fragment().is_none() && (url.scheme() == "https" || url.scheme() == "http" && local);
    let known = if registered.is_empty() { sensible } else { registered.iter().any(|known| known == text) };
    known.then_some(url)
}

/// Xero's scopes by family, so that a mistyped one is noticed without a list that ages.
fn is_scope(scope: &str) -> bool {
    const WHOLE: [&str; 7] = ["openid", "profile", "email", "offline_access", "files", "assets", "projects"];
    const FAMILIES: [&str; 5] = ["accounting.", "payroll.", "files.", "assets.", "projects."];
    let family = FAMILIES.iter().find_map(|family| scope.strip_prefix(family));
    WHOLE.contains(&scope)
        || family
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'.'))
}

fn consent_page(sandbox: &Sandbox, request: &Request, mistake: Option<&str>) -> Response {
    let live = sandbox.live();
    let bulk = live.settings.bulk_connections;
    let html = page::consent(&Consent { request, bulk, mistake, names: &live.state.tenant_names });
    let status = if mistake.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    // Chromium applies form-action to the redirect that answers the form as well.
    let forms = format!("'self' {}", request.redirect_uri.origin().ascii_serialization());
    secured(status, html, &forms)
}

fn error_page(refusal: &Unacceptable) -> Response {
    secured(StatusCode::BAD_REQUEST, page::error(refusal), "'none'")
}

fn secured(status: StatusCode, html: String, forms: &str) -> Response {
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src data:; form-action {forms}; base-uri 'none'; frame-ancestors 'none'"
    );
    let mut response = (status, Html(html)).into_response();
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // With no-referrer the form would name no origin, and the app's own checks would refuse it.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_match_exactly_or_stay_sensible() {
        let registered = ["https://app.example/cb".to_owned()];
        assert!(allowed_redirect("https://app.example/cb", &registered).is_some());
        assert!(allowed_redirect("https://app.example/cb/", &registered).is_none());
        assert!(allowed_redirect("http://localhost:3000/cb", &[]).is_some());
        assert!(allowed_redirect("http://127.0.0.1:3000/cb", &[]).is_some());
        assert!(allowed_redirect("https://app.example/cb", &[]).is_some());
        for bad in ["http://app.example/cb", "javascript:alert(1)", "http://localhost/#x", "/cb", ""] {
            assert!(allowed_redirect(bad, &[]).is_none(), "{bad}");
        }
    }

    #[test]
    fn scopes_are_known_by_family() {
        for good in ["openid", "offline_access", "accounting.settings.read", "accounting.reports.aged.read"] {
            assert!(is_scope(good), "{good}");
        }
        for bad in ["accounting", "accounting.", "offline", "accounting.Settings", "admin", "accounting.a<b"] {
            assert!(!is_scope(bad), "{bad}");
        }
    }
}
