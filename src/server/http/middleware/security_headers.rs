//! The security headers of every response, and the content security policy of pages.

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::server::auth::CspSources;
use crate::server::http::state::AppState;

/// Set on every response that does not set the header itself. The referrer policy `same-origin` hides our pages' URLs
/// from Xero, and keeps `Referer` on our own forms.
const SECURITY_HEADERS: [(HeaderName, &str); 8] = [
    // Responses can carry a new secret or personal data. Static files, and what may be cached, say so themselves.
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "same-origin"),
    (X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), microphone=(), payment=(), usb=()",
    ),
    // For responses that are not pages. Pages set a policy of their own.
    (CONTENT_SECURITY_POLICY, "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
];

/// HSTS for one year. Without `includeSubDomains`, because other subdomains may belong to other services.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Adds the security headers to the response.
pub async fn add_security_headers(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        insert_if_absent(headers, &name, HeaderValue::from_static(value));
    }
    if state.is_https() {
        insert_if_absent(headers, &STRICT_TRANSPORT_SECURITY, HSTS);
    }
    response
}

fn insert_if_absent(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) {
    headers.entry(name).or_insert(value);
}

/// Returns the content security policy of a page: our own files, scripts with the render's nonce, no inline styles.
///
/// `login_origin` is the redirect target of the Connect form: Chromium checks redirects against `form-action` too.
/// `reload_port` is the live-reload socket of the development server. `others` are the sources of the identity
/// provider.
pub fn page_content_security_policy(
    nonce: &str,
    login_origin: &str,
    reload_port: Option<u32>,
    auth_sources: &CspSources,
) -> Option<HeaderValue> {
    let CspSources { script, style, image, connect, extra_directives: more } = auth_sources;
    let reload = reload_port.map(|port| format!(" ws://localhost:{port} ws://127.0.0.1:{port}")).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'{script}; style-src 'self'{style}; \
         img-src 'self' data:{image}; font-src 'self'; manifest-src 'self'; connect-src 'self'{connect}{reload};{more} \
         form-action 'self' {login_origin}; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_policy_allows_only_scripts_with_the_nonce() {
        let policy =
            page_content_security_policy("abc", "https://login.xero.com", None, &CspSources::default()).unwrap();
        let policy = policy.to_str().unwrap();
        assert!(policy.contains("script-src 'self' 'nonce-abc' 'wasm-unsafe-eval';"));
        assert!(policy.contains("form-action 'self' https://login.xero.com;"));
        assert!(!policy.contains("unsafe-inline") && !policy.contains("ws:"));
        assert!(
            page_content_security_policy("a", "b", Some(3001), &CspSources::default())
                .unwrap()
                .to_str()
                .unwrap()
                .contains("ws://localhost:3001")
        );
    }
}
