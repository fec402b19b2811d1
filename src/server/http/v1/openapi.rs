//! `GET /api/openapi.json`: the OpenAPI 3.1 description, generated from the handlers and their types.

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use serde_json::json;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{self, Components, RefOr, Server, Type};
use utoipa::{Modify, OpenApi};

use super::problem::ProblemBody;
use super::problem_responses::header;
use super::{bindings, connect_links, events, import, token, xero};
use crate::model::{Scope, paths};
use crate::server::http::state::AppState;

/// The headers of every response to a valid key.
const RATE_LIMIT_HEADERS: [(&str, &str); 3] = [
    ("RateLimit-Limit", "Calls per minute that the key may make (draft-ietf-httpapi-ratelimit-headers-07)."),
    ("RateLimit-Remaining", "Calls that remain."),
    ("RateLimit-Reset", "Seconds until the full limit is available again."),
];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Evergrant",
        description = "Xero's API for an organisation's connections, without a thought for tokens: Evergrant refreshes \
            them once for all callers, and keeps within Xero's limits. Programs that need a token get a valid one \
            right before each call to Xero and never refresh one themselves."
    ),
    paths(
        bindings::list,
        bindings::read,
        bindings::label,
        bindings::disconnect::disconnect,
        bindings::refresh,
        connect_links::list,
        connect_links::post,
        connect_links::read,
        connect_links::cancel,
        events::list,
        token::vend,
        import::import,
        xero::forward
    ),
    components(schemas(ProblemBody)),
    modifiers(&ApiKeyScheme)
)]
struct Document;

struct ApiKeyScheme;

impl Modify for ApiKeyScheme {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let what = "An API key of the organisation; it starts with egk_. Owners and admins create keys under Settings, \
            API keys. A key gives access to the connections of its organisation, not to pages or settings.";
        let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("egk_…").description(Some(what));
        let components = document.components.get_or_insert_with(Components::new);
        components.add_security_scheme("apiKey", SecurityScheme::Http(key.build()));
    }
}

/// Serves the description. It is public and may be cached for five minutes.
pub async fn get_document(State(state): State<AppState>) -> impl IntoResponse {
    ([(CACHE_CONTROL, "public, max-age=300")], Json(build_document(&state.config.public_url.url_for(""))))
}

/// Builds the description for a server at `origin`.
pub fn build_document(origin: &str) -> openapi::OpenApi {
    let mut document = Document::openapi();
    document.servers = Some(vec![Server::new(origin)]);
    for (path, item) in &mut document.paths.paths {
        let PathItem { get, post, put, patch, delete, .. } = item;
        let methods = [("get", get), ("post", post), ("put", put), ("patch", patch), ("delete", delete)];
        for (method, operation) in
            methods.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
        {
            add_rate_limit_headers(operation);
            if path == xero::DOCUMENTED_PATH {
                let scope = if method == "get" { Scope::XeroRead } else { Scope::XeroWrite };
                operation.operation_id = Some(format!("{method}{}", xero::OPERATION));
                operation.security = Some(vec![SecurityRequirement::new("apiKey", [scope.as_str()])]);
            }
            let sample = json!([{ "lang": "Shell", "label": "curl", "source": curl_sample(origin, method, path) }]);
            operation.extensions = Some(ExtensionsBuilder::new().add("x-codeSamples", sample).build());
        }
    }
    document
}

fn add_rate_limit_headers(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && ["200", "201", "204", "304"].contains(&status.as_str())
        {
            let headers = RATE_LIMIT_HEADERS.map(|(name, what)| (name.to_owned(), header(Type::Integer, what).into()));
            response.headers.extend(headers);
        }
    }
}

/// Returns a command that runs as it is in a shell with the variables `EVERGRANT_KEY`, and `BINDING` or `LINK`.
fn curl_sample(origin: &str, method: &str, path: &str) -> String {
    let query = if path.ends_with("/token") { token::SAMPLE_QUERY } else { "" };
    let id = if path == paths::V1_CONNECT_LINK { "$LINK" } else { "$BINDING" };
    let path = path.replace("{id}", id).replace("{path}", "api.xro/2.0/Organisation");
    let method = if method == "get" { String::new() } else { format!("-X {} ", method.to_uppercase()) };
    format!("curl {method}-H \"Authorization: Bearer $EVERGRANT_KEY\" \"{origin}{path}{query}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProblemCode;

    #[test]
    fn every_problem_except_no_such_route_is_documented() {
        let described = json!(build_document("https://evergrant.example.com"));
        let items = described["paths"].as_object().unwrap().values();
        let operations: Vec<_> = items.flat_map(|item| item.as_object().unwrap().values()).collect();
        for code in ProblemCode::ALL.iter().filter(|code| **code != ProblemCode::NoSuchRoute) {
            let example = format!(
                "/responses/{}/content/application~1problem+json/examples/{}/value",
                code.status(),
                code.as_str()
            );
            let example = operations.iter().find_map(|operation| operation.pointer(&example));
            let example = example.unwrap_or_else(|| panic!("{} is not documented", code.as_str()));
            assert_eq!(example["code"], code.as_str());
        }
    }

    #[test]
    fn texts_have_single_blanks() {
        let described = json!(build_document("https://evergrant.example.com")).to_string();
        assert_eq!(described.split("\",").find(|text| text.contains("  ")), None);
    }

    #[test]
    fn operations_have_ids_of_their_own() {
        let described = json!(build_document("https://evergrant.example.com"));
        let items = described["paths"].as_object().unwrap().values();
        let operations = items.flat_map(|item| item.as_object().unwrap().values());
        let mut ids: Vec<_> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "{ids:?}");
        assert!(all >= 7, "{ids:?}");
    }
}
