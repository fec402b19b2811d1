//! The odd forms of a token response.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::OddityKind;

/// The byte order mark of UTF-8.
const BOM: &str = "\u{feff}";

/// Returns the response with these tokens, in the form that the oddities ask for.
pub(crate) fn response(mut body: Map<String, Value>, kinds: &[OddityKind]) -> Response {
    for kind in kinds {
        change_body(&mut body, *kind);
    }
    let has = |kind| kinds.contains(&kind);
    let text = Value::from(body).to_string();
    let text = if has(OddityKind::Bom) { format!("{BOM}{text}") } else { text };
    let mut response = Response::new(Body::from(text));
    if has(OddityKind::Status201) {
        *response.status_mut() = StatusCode::CREATED;
    }
    let content_type = if has(OddityKind::ContentTypeText) {
        "text/plain; charset=utf-8"
    } else if has(OddityKind::ContentTypeHtml) {
        "text/html; charset=utf-8"
    } else {
        "application/json"
    };
    if !has(OddityKind::ContentTypeMissing) {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

fn change_body(body: &mut Map<String, Value>, kind: OddityKind) {
    let lifetime = body.get("expires_in").and_then(Value::as_i64).unwrap_or_default();
    let mut set = |name: &str, value: Value| _ = body.insert(name.to_owned(), value);
    match kind {
        OddityKind::ExpiresInText => set("expires_in", json!(lifetime.to_string())),
        OddityKind::ExpiresInFloat => set("expires_in", json!(format_float(lifetime))),
        OddityKind::ExpiresInNull => set("expires_in", Value::Null),
        OddityKind::ExpiresInZero => set("expires_in", json!(0)),
        OddityKind::ExpiresInNegative => set("expires_in", json!(-lifetime)),
        OddityKind::ExpiresInAbsurd => set("expires_in", json!(9e99)),
        OddityKind::ExpiresInMissing => drop(body.remove("expires_in")),
        OddityKind::ScopeList => {
            let scopes = body.get("scope").and_then(Value::as_str).unwrap_or_default();
            let scopes: Vec<String> = scopes.split(' ').map(str::to_owned).collect();
            body.insert("scope".to_owned(), json!(scopes));
        }
        OddityKind::ScopeMissing => drop(body.remove("scope")),
        OddityKind::TokenTypeOther => set("token_type", json!("JWT")),
        OddityKind::TokenTypeMissing => drop(body.remove("token_type")),
        OddityKind::RefreshTokenKept | OddityKind::RefreshTokenRemoved => drop(body.remove("refresh_token")),
        // The others change the head, another endpoint, or add what only the endpoint can make.
        _ => {}
    }
}

/// Returns the lifetime with a fraction of half a second.
#[expect(clippy::cast_precision_loss, reason = "a lifetime of seconds is far below 2^52")]
fn format_float(lifetime: i64) -> f64 {
    lifetime as f64 + 0.5
}
