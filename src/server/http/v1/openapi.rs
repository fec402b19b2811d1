//! `GET /api/openapi.json`: the OpenAPI 3.1 description, generated from the response types and the list of problems.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::PartialSchema;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn, PathsBuilder};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, Header, HttpMethod, InfoBuilder, Object, ObjectBuilder, OpenApi, OpenApiBuilder,
    PathItem, Ref, RefOr, Required, Response, Schema, Server, Type,
};

use super::bindings::{Connection, ConnectionList};
use super::problem::ProblemBody;
use super::token::{AccessTokenView, DEFAULT_MIN_TTL};
use crate::model::{BindingStatus, ProblemCode, Scope, paths};
use crate::server::http::state::AppState;
use crate::server::tokens::MAX_TTL;

const API_DESCRIPTION: &str = "Valid access tokens for an organisation's Xero connections. Get a token right before each call \
    to Xero and never refresh one yourself: Evergrant refreshes it once for all callers.";
const API_KEY_DESCRIPTION: &str = "An API key of the organisation; it starts with egk_. Owners and admins create keys under Settings, \
    API keys. A key gives access to the connections of its organisation, not to pages or settings.";
const LIST_DESCRIPTION: &str =
    "Lists all connections of the key's organisation, including those that have to be reconnected.";
const TOKEN_DESCRIPTION: &str = "If the stored token is valid for at least min_ttl seconds, it is returned at once; otherwise it \
    is refreshed first. While Xero is down, a token that is still valid is returned with a warning. Request a token each \
    time that you need one, and do not store it.";

/// The problems that any call with a key can return.
const COMMON_PROBLEMS: [ProblemCode; 7] = [
    ProblemCode::MissingKey,
    ProblemCode::InvalidKey,
    ProblemCode::ExpiredKey,
    ProblemCode::MissingScope,
    ProblemCode::MethodNotAllowed,
    ProblemCode::TooManyRequests,
    ProblemCode::Internal,
];
/// The further problems that a call for a token can return.
const TOKEN_PROBLEMS: [ProblemCode; 5] = [
    ProblemCode::NoSuchConnection,
    ProblemCode::NotConnected,
    ProblemCode::InvalidMinTtl,
    ProblemCode::NotFresh,
    ProblemCode::TooShort,
];

/// Serves the description. It is public and may be cached for five minutes.
pub async fn get_document(State(state): State<AppState>) -> impl IntoResponse {
    ([(CACHE_CONTROL, "public, max-age=300")], Json(build_document(&state.config.public_url.url_for(""))))
}

/// Builds the description for a server at `origin`.
pub fn build_document(origin: &str) -> OpenApi {
    let info =
        InfoBuilder::new().title("Evergrant").version(env!("CARGO_PKG_VERSION")).description(Some(API_DESCRIPTION));
    let key =
        HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("egk_…").description(Some(API_KEY_DESCRIPTION));
    let components = ComponentsBuilder::new()
        .schema_from::<ConnectionList>()
        .schema_from::<Connection>()
        .schema_from::<AccessTokenView<'_>>()
        .schema("Problem", ProblemBody::schema())
        .security_scheme("apiKey", SecurityScheme::Http(key.build()));
    let paths = PathsBuilder::new()
        .path(paths::V1_BINDINGS, PathItem::new(HttpMethod::Get, list_operation(origin)))
        .path(paths::V1_TOKEN, PathItem::new(HttpMethod::Get, token_operation(origin)));
    OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([Server::new(origin)]))
        .paths(paths.build())
        .components(Some(components.build()))
        .build()
}

fn list_operation(origin: &str) -> OperationBuilder {
    let tag = ParameterBuilder::new()
        .name("If-None-Match")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("The ETag of a list that you have: 304 without a body if it is still current."))
        .schema(Some(Object::with_type(Type::String)));
    let known = with_rate_limit_headers(ResponseBuilder::new().description("The list has not changed."));
    let found = with_rate_limit_headers(ResponseBuilder::new().description("The connections, with an ETag."));
    let found = found.header("ETag", header(Type::String, "Identifies this version of the list."));
    let operation = OperationBuilder::new()
        .operation_id(Some("listBindings"))
        .summary(Some("List the connections"))
        .description(Some(LIST_DESCRIPTION))
        .parameter(tag)
        .response("200", found.content("application/json", json_content("ConnectionList", &ConnectionList::example())))
        .response("304", known);
    with_api_key(operation, Scope::BindingsRead, &format!("{origin}{}", paths::V1_BINDINGS), &COMMON_PROBLEMS)
}

fn token_operation(origin: &str) -> OperationBuilder {
    let id = ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("The connection's id, from the list."))
        .schema(Some(Object::with_type(Type::String)));
    let seconds = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(0))
        .maximum(Some(MAX_TTL))
        .default(Some(json!(DEFAULT_MIN_TTL)));
    let min_ttl = ParameterBuilder::new()
        .name("min_ttl")
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some("The minimum remaining lifetime of the token, in seconds."))
        .schema(Some(seconds));
    let found =
        with_rate_limit_headers(ResponseBuilder::new().description("The token. It must not be cached (no-store)."));
    let operation = OperationBuilder::new()
        .operation_id(Some("getToken"))
        .summary(Some("Get an access token"))
        .description(Some(TOKEN_DESCRIPTION))
        .parameter(id)
        .parameter(min_ttl)
        .response(
            "200",
            found.content("application/json", json_content("AccessTokenView", &AccessTokenView::example())),
        );
    let address = format!("{origin}/api/v1/bindings/$BINDING/token?min_ttl={DEFAULT_MIN_TTL}");
    with_api_key(operation, Scope::TokensRead, &address, &[&COMMON_PROBLEMS[..], &TOKEN_PROBLEMS].concat())
}

/// Adds what every call has: the key and its scope, a curl example, and the problem responses.
fn with_api_key(operation: OperationBuilder, scope: Scope, address: &str, codes: &[ProblemCode]) -> OperationBuilder {
    let source = format!("curl -H \"Authorization: Bearer $EVERGRANT_KEY\" \"{address}\"");
    let sample = json!([{ "lang": "Shell", "label": "curl", "source": source }]);
    let mut by_status: BTreeMap<u16, Vec<ProblemCode>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status()).or_default().push(*code);
    }
    let operation = operation
        .security(SecurityRequirement::new("apiKey", [scope.as_str()]))
        .extensions(Some(ExtensionsBuilder::new().add("x-codeSamples", sample).build()));
    by_status.into_iter().fold(operation, |operation, (status, codes)| {
        operation.response(status.to_string(), problem_response(status, &codes))
    })
}

fn problem_response(status: u16, codes: &[ProblemCode]) -> Response {
    let titles: Vec<_> = codes.iter().map(|code| code.title()).collect();
    let examples = codes.iter().map(|code| {
        let example = ExampleBuilder::new().summary(code.title()).value(Some(to_json(&ProblemBody::example(*code))));
        (code.as_str(), RefOr::T(example.build()))
    });
    let schema: RefOr<Schema> = Ref::from_schema_name("Problem").into();
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples);
    let answer = ResponseBuilder::new().description(format!("{}.", titles.join("; ")));
    let answer = answer.content("application/problem+json", content.build());
    let waits = header(Type::Integer, "Seconds to wait before retrying, if a retry can succeed.");
    match status {
        401 | 403 => answer.header("WWW-Authenticate", header(Type::String, "What is required (RFC 6750).")),
        405 => answer.header("Allow", header(Type::String, "GET.")),
        429 | 503 => answer.header("Retry-After", waits),
        _ => answer,
    }
    .build()
}

/// Adds the rate limit headers, which every response to a valid key has.
fn with_rate_limit_headers(answer: ResponseBuilder) -> ResponseBuilder {
    let fields = [
        ("RateLimit-Limit", "Calls per minute that the key may make (draft-ietf-httpapi-ratelimit-headers-07)."),
        ("RateLimit-Remaining", "Calls that remain."),
        ("RateLimit-Reset", "Seconds until the full limit is available again."),
    ];
    fields.into_iter().fold(answer, |answer, (name, what)| answer.header(name, header(Type::Integer, what)))
}

fn header(kind: Type, what: &str) -> Header {
    HeaderBuilder::new().schema(Some(Object::with_type(kind))).description(Some(what)).build()
}

fn json_content(schema: &str, example: &impl Serialize) -> Content {
    let schema: RefOr<Schema> = Ref::from_schema_name(schema).into();
    ContentBuilder::new().schema(Some(schema)).example(Some(to_json(example))).build()
}

/// Serializes an example, which contains strings and numbers only and can't fail.
fn to_json(example: &impl Serialize) -> Value {
    serde_json::to_value(example).unwrap_or_default()
}

/// Builds a string enum. The model types are shared with the browser and can't derive a schema.
fn string_enum(words: impl Iterator<Item = &'static str>, what: &str) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).description(Some(what)).build()
}

/// Returns the schema of `BindingStatus`.
pub fn binding_status_schema() -> Object {
    let words = BindingStatus::ALL.iter().map(|status| status.as_str());
    string_enum(words, "Only an active connection has tokens; needs_reauth means that a person has to reconnect it.")
}

/// Returns the schema of `ProblemCode`.
pub fn problem_code_schema() -> Object {
    let words = ProblemCode::ALL.iter().map(|code| code.as_str());
    string_enum(words, "The kind of problem. Codes are stable.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_except_no_such_route_is_documented() {
        let described = to_json(&build_document("https://evergrant.example.com"));
        let token = described.pointer("/paths/~1api~1v1~1bindings~1{id}~1token/get/responses").unwrap();
        for code in ProblemCode::ALL.iter().filter(|code| **code != ProblemCode::NoSuchRoute) {
            let example =
                format!("/{}/content/application~1problem+json/examples/{}/value", code.status(), code.as_str());
            let example = token.pointer(&example).unwrap_or_else(|| panic!("{} in {token:#}", code.as_str()));
            assert_eq!(example["code"], code.as_str());
        }
    }
}
