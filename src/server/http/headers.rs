//! What every answer tells the browser to refuse.

use axum::extract::{Request, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::server::auth::Sources;
use crate::server::state::AppState;

/// On every answer that says nothing else of the same name. `same-origin`: Xero never learns which page sent a
/// person there, and our own forms still know where they were posted from.
const ALWAYS: [(HeaderName, &str); 7] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "same-origin"),
    (X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), microphone=(), payment=(), usb=()",
    ),
    // What isn't a page loads nothing; a page brings a policy of its own.
    (CONTENT_SECURITY_POLICY, "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
];

/// A year, in seconds. Without `includeSubDomains`: other names are their owners' business.
const HTTPS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Adds the security headers to an answer.
pub async fn secure(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        add(headers, &name, HeaderValue::from_static(value));
    }
    if state.secure() {
        add(headers, &STRICT_TRANSPORT_SECURITY, HTTPS_ONLY);
    }
    response
}

fn add(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) {
    headers.entry(name).or_insert(value);
}

/// A page's own policy: what we serve ourselves, scripts that carry the render's nonce, and no inline style.
///
/// `login_origin` is where Connect leads: Chromium holds a form's redirects to `form-action` too. `reload_port` is
/// the development server's socket, while it watches. `others` is what whoever knows our visitors brings along.
pub fn page_policy(nonce: &str, login_origin: &str, reload_port: Option<u32>, others: &Sources) -> Option<HeaderValue> {
    let Sources { script, style, image, connect, more } = others;
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
    fn a_page_runs_scripts_of_its_own_render_alone() {
        let policy = page_policy("abc", "https://login.xero.com", None, &Sources::default()).unwrap();
        let policy = policy.to_str().unwrap();
        assert!(policy.contains("script-src 'self' 'nonce-abc' 'wasm-unsafe-eval';"));
        assert!(policy.contains("form-action 'self' https://login.xero.com;"));
        assert!(!policy.contains("unsafe-inline") && !policy.contains("ws:"));
        assert!(
            page_policy("a", "b", Some(3001), &Sources::default())
                .unwrap()
                .to_str()
                .unwrap()
                .contains("ws://localhost:3001")
        );
    }
}
