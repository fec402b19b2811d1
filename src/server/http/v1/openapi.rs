//! `GET /api/openapi.json`: the API in OpenAPI's words (3.1), made from the types that its answers are made of and
//! from the one list of problems.

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

use super::bindings::{Connection, List};
use super::problem::Body;
use super::token::{Answer, USUAL_TTL};
use crate::model::{BindingStatus, ProblemCode, Scope};
use crate::server::state::AppState;
use crate::server::tokens::LONGEST_TTL;

const ABOUT: &str = "Fresh access tokens for an organisation's Xero connections. A program asks right before it calls \
    Xero, and never refreshes one itself: Evergrant does, once, whoever asks.";
const KEY: &str = "An API key of the organisation's, which begins with egk_. Owners and admins make one under Settings, \
    API keys; it opens its own organisation's connections, and neither pages nor settings.";
const LIST: &str = "Those of the key's organisation, also those that a person has to connect again.";
const TOKEN: &str = "A token that lasts min_ttl is answered from the database; otherwise it is refreshed first. While \
    Xero is down a token that is still good comes with a warning. Ask each time that you need one, and keep none.";

/// What any call with a key can be answered.
const ALWAYS: [ProblemCode; 7] = [
    ProblemCode::MissingKey,
    ProblemCode::InvalidKey,
    ProblemCode::ExpiredKey,
    ProblemCode::MissingScope,
    ProblemCode::MethodNotAllowed,
    ProblemCode::TooManyRequests,
    ProblemCode::Internal,
];
/// What a call for a token can be answered beside.
const OF_A_TOKEN: [ProblemCode; 5] = [
    ProblemCode::NoSuchConnection,
    ProblemCode::NotConnected,
    ProblemCode::InvalidMinTtl,
    ProblemCode::NotFresh,
    ProblemCode::TooShort,
];

/// The same for everybody, so it may be kept for a while.
pub async fn document(State(state): State<AppState>) -> impl IntoResponse {
    ([(CACHE_CONTROL, "public, max-age=300")], Json(described(&state.config.public_url.at(""))))
}

/// The whole description, for an Evergrant at that address.
pub fn described(origin: &str) -> OpenApi {
    let info = InfoBuilder::new().title("Evergrant").version(env!("CARGO_PKG_VERSION")).description(Some(ABOUT));
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("egk_…").description(Some(KEY));
    let components = ComponentsBuilder::new()
        .schema_from::<List>()
        .schema_from::<Connection>()
        .schema_from::<Answer<'_>>()
        .schema("Problem", Body::schema())
        .security_scheme("apiKey", SecurityScheme::Http(key.build()));
    let paths = PathsBuilder::new()
        .path("/api/v1/bindings", PathItem::new(HttpMethod::Get, list(origin)))
        .path("/api/v1/bindings/{id}/token", PathItem::new(HttpMethod::Get, token(origin)));
    OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([Server::new(origin)]))
        .paths(paths.build())
        .components(Some(components.build()))
        .build()
}

fn list(origin: &str) -> OperationBuilder {
    let tag = ParameterBuilder::new()
        .name("If-None-Match")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("The ETag of a list that you have: 304 and no body where it is still this one."))
        .schema(Some(Object::with_type(Type::String)));
    let known = with_allowance(ResponseBuilder::new().description("The list is the one that you have."));
    let found = with_allowance(ResponseBuilder::new().description("The connections, with an ETag."));
    let found = found.header("ETag", header(Type::String, "Of this very list."));
    let operation = OperationBuilder::new()
        .operation_id(Some("listBindings"))
        .summary(Some("List the connections"))
        .description(Some(LIST))
        .parameter(tag)
        .response("200", found.content("application/json", shown("List", &List::example())))
        .response("304", known);
    asked_with_a_key(operation, Scope::BindingsRead, &format!("{origin}/api/v1/bindings"), &ALWAYS)
}

fn token(origin: &str) -> OperationBuilder {
    let id = ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("The connection's id, from the list."))
        .schema(Some(Object::with_type(Type::String)));
    let seconds = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(0))
        .maximum(Some(LONGEST_TTL))
        .default(Some(json!(USUAL_TTL)));
    let min_ttl = ParameterBuilder::new()
        .name("min_ttl")
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some("How many seconds the token has to last at least."))
        .schema(Some(seconds));
    let found = with_allowance(ResponseBuilder::new().description("The token. Nothing keeps it: no-store."));
    let operation = OperationBuilder::new()
        .operation_id(Some("getToken"))
        .summary(Some("Get an access token that lasts"))
        .description(Some(TOKEN))
        .parameter(id)
        .parameter(min_ttl)
        .response("200", found.content("application/json", shown("Answer", &Answer::example())));
    let address = format!("{origin}/api/v1/bindings/$BINDING/token?min_ttl={USUAL_TTL}");
    asked_with_a_key(operation, Scope::TokensRead, &address, &[&ALWAYS[..], &OF_A_TOKEN].concat())
}

/// What holds for each call: the key and its scope, an example to run, and the problems.
fn asked_with_a_key(
    operation: OperationBuilder,
    scope: Scope,
    address: &str,
    codes: &[ProblemCode],
) -> OperationBuilder {
    let source = format!("curl -H \"Authorization: Bearer $EVERGRANT_KEY\" \"{address}\"");
    let sample = json!([{ "lang": "Shell", "label": "curl", "source": source }]);
    let mut by_status: BTreeMap<u16, Vec<ProblemCode>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status()).or_default().push(*code);
    }
    let operation = operation
        .security(SecurityRequirement::new("apiKey", [scope.as_str()]))
        .extensions(Some(ExtensionsBuilder::new().add("x-codeSamples", sample).build()));
    by_status
        .into_iter()
        .fold(operation, |operation, (status, codes)| operation.response(status.to_string(), problem(status, &codes)))
}

fn problem(status: u16, codes: &[ProblemCode]) -> Response {
    let titles: Vec<_> = codes.iter().map(|code| code.title()).collect();
    let examples = codes.iter().map(|code| {
        let example = ExampleBuilder::new().summary(code.title()).value(Some(value(&Body::example(*code))));
        (code.as_str(), RefOr::T(example.build()))
    });
    let schema: RefOr<Schema> = Ref::from_schema_name("Problem").into();
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples);
    let answer = ResponseBuilder::new().description(format!("{}.", titles.join("; ")));
    let answer = answer.content("application/problem+json", content.build());
    let waits = header(Type::Integer, "Seconds to wait before trying again, where waiting helps.");
    match status {
        401 | 403 => answer.header("WWW-Authenticate", header(Type::String, "What is needed (RFC 6750).")),
        405 => answer.header("Allow", header(Type::String, "GET.")),
        429 | 503 => answer.header("Retry-After", waits),
        _ => answer,
    }
    .build()
}

/// The three fields that each answer to a known key has.
fn with_allowance(answer: ResponseBuilder) -> ResponseBuilder {
    let fields = [
        ("RateLimit-Limit", "Calls that the key has in a minute (draft-ietf-httpapi-ratelimit-headers-07)."),
        ("RateLimit-Remaining", "Calls that are left."),
        ("RateLimit-Reset", "Seconds until all of them are back."),
    ];
    fields.into_iter().fold(answer, |answer, (name, what)| answer.header(name, header(Type::Integer, what)))
}

fn header(kind: Type, what: &str) -> Header {
    HeaderBuilder::new().schema(Some(Object::with_type(kind))).description(Some(what)).build()
}

fn shown(schema: &str, example: &impl Serialize) -> Content {
    let schema: RefOr<Schema> = Ref::from_schema_name(schema).into();
    ContentBuilder::new().schema(Some(schema)).example(Some(value(example))).build()
}

/// Strings and numbers alone, which all have a form in JSON.
fn value(example: &impl Serialize) -> Value {
    serde_json::to_value(example).unwrap_or_default()
}

/// One of these words. The type that it stands for is the browser's too, and knows nothing of schemas.
fn one_of(words: impl Iterator<Item = &'static str>, what: &str) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).description(Some(what)).build()
}

pub fn binding_status() -> Object {
    let words = BindingStatus::ALL.iter().map(|status| status.as_str());
    one_of(words, "Only an active one has tokens; needs_reauth waits for a person.")
}

pub fn problem_code() -> Object {
    let words = ProblemCode::ALL.iter().map(|code| code.as_str());
    one_of(words, "The kind in a word, which stays as it is.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_but_a_wrong_address_is_described_where_it_can_happen() {
        let described = value(&described("https://evergrant.example.com"));
        let token = described.pointer("/paths/~1api~1v1~1bindings~1{id}~1token/get/responses").unwrap();
        for code in ProblemCode::ALL.iter().filter(|code| **code != ProblemCode::NoSuchRoute) {
            let example =
                format!("/{}/content/application~1problem+json/examples/{}/value", code.status(), code.as_str());
            let example = token.pointer(&example).unwrap_or_else(|| panic!("{} in {token:#}", code.as_str()));
            assert_eq!(example["code"], code.as_str());
        }
    }
}
