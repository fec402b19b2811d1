//! `/identity/connect/authorize`: checks the request, shows the consent page, and redirects to the app with the result.

mod page;
mod request;
mod scope_refusal;

use axum::extract::{RawQuery, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};

use crate::people::{Person, Tenant, person, tenant};
use crate::responses::internal_error;
use crate::sandbox::Sandbox;
use crate::state::{Code, Consent, random_token};
use page::ConsentPage;
use request::{AuthorizeRequest, Fields, InvalidRequest};

pub use scope_refusal::ScopeRefusal;

/// Shows the consent page, or an error page if the request is invalid.
pub(crate) async fn show(State(sandbox): State<Sandbox>, RawQuery(query): RawQuery) -> Response {
    match AuthorizeRequest::parse(&Fields::parse(query.as_deref().unwrap_or_default()), &sandbox) {
        Ok(request) => {
            scope_refusal::refusal(&sandbox, &request).unwrap_or_else(|| consent_page(&sandbox, &request, None))
        }
        Err(invalid) => error_page(&invalid),
    }
}

/// Accepts the consent form. Its hidden fields are checked again, because they passed through the browser.
pub(crate) async fn decide(State(sandbox): State<Sandbox>, body: String) -> Response {
    let fields = Fields::parse(&body);
    let request = match AuthorizeRequest::parse(&fields, &sandbox) {
        Ok(request) => request,
        Err(invalid) => return error_page(&invalid),
    };
    if let Some(refusal) = scope_refusal::refusal(&sandbox, &request) {
        return refusal;
    }
    if fields.get("decision") != Some("allow") {
        return request.redirect(&[("error", "access_denied")]);
    }
    let Some(person) = fields.get("person").and_then(person) else {
        return consent_page(&sandbox, &request, Some("Choose who you are."));
    };
    let lost = fields.all("tenant").find(|key| has_lost_access(&sandbox, person, key));
    if lost.is_some() {
        return consent_page(&sandbox, &request, Some("This person has no access to that organisation any more."));
    }
    let chosen = fields.all("tenant").filter(|_| !request.is_sign_in());
    let tenants: Vec<&'static Tenant> = chosen.filter_map(tenant).collect();
    let allows_many = sandbox.live().settings.bulk_connections;
    if !request.is_sign_in() && !allows_many && tenants.len() != 1 {
        return consent_page(&sandbox, &request, Some("Choose one organisation to connect."));
    }
    let code = random_token();
    sandbox.update(|state, settings, now| {
        let consent = Consent {
            person,
            tenants: &tenants,
            scopes: &request.scope,
            client_id: &request.client_id,
            keep_auth_event_id: settings.keep_auth_event_id,
        };
        let auth_event_id = state.record_consent(&consent, now);
        state.codes.retain(|_, code| code.expires_at > now);
        let row = Code {
            auth_event_id,
            redirect_uri: request.redirect_text.clone(),
            code_challenge: request.code_challenge.clone(),
            nonce: request.nonce.clone(),
            expires_at: now + sandbox.options().code_ttl,
        };
        state.codes.insert(code.clone(), row);
    });
    sandbox.live().issued.record(&code);
    match sandbox.persist().await {
        Ok(()) => request.redirect(&[("code", &code), ("scope", &request.scope), ("session_state", &random_token())]),
        Err(error) => internal_error(&error),
    }
}

/// Returns whether a control route took the person's access to the tenant.
fn has_lost_access(sandbox: &Sandbox, person: &Person, tenant_key: &str) -> bool {
    let live = sandbox.live();
    tenant(tenant_key).is_some_and(|tenant| live.state.has_lost_access(person.xero_user_id, tenant.tenant_id))
}

/// Serves the style sheet of the consent and error pages.
pub(crate) async fn stylesheet() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("page.css")).into_response()
}

fn consent_page(sandbox: &Sandbox, request: &AuthorizeRequest, error: Option<&str>) -> Response {
    let live = sandbox.live();
    let allows_many = live.settings.bulk_connections;
    let html = page::consent(&ConsentPage { request, allows_many, error, tenant_names: &live.state.tenant_names });
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    // Chromium applies form-action to the redirect that follows the form too.
    let form_action = format!("'self' {}", request.redirect_uri.origin().ascii_serialization());
    html_response(status, html, &form_action)
}

fn error_page(invalid: &InvalidRequest) -> Response {
    html_response(StatusCode::BAD_REQUEST, page::error(invalid), "'none'")
}

fn html_response(status: StatusCode, html: String, form_action: &str) -> Response {
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src data:; form-action {form_action}; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    let mut response = (status, Html(html)).into_response();
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // With `no-referrer` the form would send `Origin: null`, which the app's origin check refuses.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}
