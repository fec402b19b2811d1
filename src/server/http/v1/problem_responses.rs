//! Documents the problems of a call as OpenAPI responses, one for each status.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{Header, Object, Ref, RefOr, Response, Type};
use utoipa::{IntoResponses, ToSchema};

use super::problem::{PROBLEM_JSON, Problem, ProblemBody};
use crate::model::ProblemCode;

/// The problems that any call with a key can return.
const KEY_PROBLEMS: [ProblemCode; 10] = [
    ProblemCode::NulCharacter,
    ProblemCode::MissingKey,
    ProblemCode::InvalidKey,
    ProblemCode::ExpiredKey,
    ProblemCode::PersonalKey,
    ProblemCode::MissingScope,
    ProblemCode::MethodNotAllowed,
    ProblemCode::TooManyRequests,
    ProblemCode::Internal,
    ProblemCode::TimedOut,
];
/// The further problems of a call with a body of JSON.
const BODY_PROBLEMS: [ProblemCode; 2] = [ProblemCode::BodyIncomplete, ProblemCode::BodyTooLarge];
/// The further problems that a call for a token can return.
const TOKEN_PROBLEMS: [ProblemCode; 7] = [
    ProblemCode::LimitedKey,
    ProblemCode::NoSuchConnection,
    ProblemCode::NotConnected,
    ProblemCode::TokenReachesOtherOrganizations,
    ProblemCode::InvalidMinTtl,
    ProblemCode::NotFresh,
    ProblemCode::TooShort,
];

/// The further problems that a call to Xero can return. Other errors are Xero's own.
const XERO_PROBLEMS: [ProblemCode; 10] = [
    ProblemCode::NoSuchConnection,
    ProblemCode::NotConnected,
    ProblemCode::NotFresh,
    ProblemCode::XeroPathForbidden,
    ProblemCode::XeroBodyIncomplete,
    ProblemCode::XeroLimitReached,
    ProblemCode::XeroUnreachable,
    ProblemCode::XeroNoAnswer,
    ProblemCode::XeroTenantGone,
    ProblemCode::XeroScopeMissing,
];

/// The further problems that a call to one connection can return.
const BINDING_PROBLEMS: [ProblemCode; 7] = [
    ProblemCode::NoSuchConnection,
    ProblemCode::NotConnected,
    ProblemCode::ExternalIdTaken,
    ProblemCode::PreconditionFailed,
    ProblemCode::InvalidArgument,
    ProblemCode::NotFresh,
    ProblemCode::DisconnectFailed,
];

/// The further problems that a call about connect links can return.
const LINK_PROBLEMS: [ProblemCode; 7] = [
    ProblemCode::NoSuchLink,
    ProblemCode::NoSuchConnection,
    ProblemCode::ExternalIdTaken,
    ProblemCode::TooManyLinks,
    ProblemCode::TooManyMails,
    ProblemCode::InvalidArgument,
    ProblemCode::ReturnUrlNotAllowed,
];

/// The responses of a call about connect links that fails.
pub struct LinkProblems;

impl IntoResponses for LinkProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&[&KEY_PROBLEMS[..], &LINK_PROBLEMS].concat())
    }
}

/// The responses of a list that fails.
pub struct ListProblems;

impl IntoResponses for ListProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&[&KEY_PROBLEMS[..], &[ProblemCode::InvalidArgument]].concat())
    }
}

/// The further problems of a POST that may have an `Idempotency-Key`.
const IDEMPOTENCY_PROBLEMS: [ProblemCode; 2] = [ProblemCode::IdempotencyKeyReused, ProblemCode::IdempotencyInProgress];

/// The responses of a refresh that fails.
pub struct RefreshProblems;

impl IntoResponses for RefreshProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&[&KEY_PROBLEMS[..], &BINDING_PROBLEMS, &IDEMPOTENCY_PROBLEMS].concat())
    }
}

/// The responses of an import that fails.
pub struct ImportProblems;

impl IntoResponses for ImportProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let further = [ProblemCode::InvalidArgument, ProblemCode::LimitedKey];
        responses(&[&KEY_PROBLEMS[..], &further, &BODY_PROBLEMS, &IDEMPOTENCY_PROBLEMS].concat())
    }
}

/// The responses of a call to one connection that fails.
pub struct BindingProblems;

impl IntoResponses for BindingProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&[&KEY_PROBLEMS[..], &BINDING_PROBLEMS, &BODY_PROBLEMS].concat())
    }
}

/// The responses of a call for a token that fails.
pub struct TokenProblems;

/// The responses of a call to Xero that fails without a response of Xero's.
pub struct XeroProblems;

impl IntoResponses for XeroProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&[&KEY_PROBLEMS[..], &XERO_PROBLEMS].concat())
    }
}

impl IntoResponses for TokenProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&[&KEY_PROBLEMS[..], &TOKEN_PROBLEMS].concat())
    }
}

fn responses(codes: &[ProblemCode]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<ProblemCode>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status()).or_default().push(*code);
    }
    by_status.into_iter().map(|(status, codes)| (status.to_string(), response(status, &codes).into())).collect()
}

fn response(status: u16, codes: &[ProblemCode]) -> Response {
    let titles: Vec<_> = codes.iter().map(|code| code.title()).collect();
    let examples = codes.iter().map(|code| {
        let example = ExampleBuilder::new().summary(code.title()).value(Some(example(*code)));
        (code.as_str(), RefOr::T(example.build()))
    });
    let schema = Ref::from_schema_name(ProblemBody::name());
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples);
    let answer = ResponseBuilder::new().description(format!("{}.", titles.join("; ")));
    let answer = answer.content(PROBLEM_JSON, content.build());
    let code = header(Type::String, "The problem's code. Only a response of Evergrant's has it.");
    let answer = answer.header("X-Evergrant-Problem", code);
    let waits = header(Type::Integer, "Seconds to wait before retrying, if a retry can succeed.");
    match status {
        401 | 403 => answer.header("WWW-Authenticate", header(Type::String, "What is required (RFC 6750).")),
        405 => answer.header("Allow", header(Type::String, "GET.")),
        409 | 429 | 503 => answer.header("Retry-After", waits),
        _ => answer,
    }
    .build()
}

/// Returns the problem's body, which has strings and numbers only and can always be serialized.
fn example(code: ProblemCode) -> Value {
    serde_json::to_value(Problem::of(code).body()).unwrap_or_default()
}

/// Returns the description of a response header.
pub fn header(kind: Type, what: &str) -> Header {
    HeaderBuilder::new().schema(Some(Object::with_type(kind))).description(Some(what)).build()
}
