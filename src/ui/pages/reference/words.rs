//! The words of the API reference. Those of the operations are in the API's description.

pub const TITLE: &str = "API";
pub const OPENAPI_DOCUMENT: &str = "OpenAPI document";
pub const AUTHENTICATION: &str = "Authentication";
pub fn version(version: &str) -> String {
    format!("Version {version}")
}

// An operation.
pub fn needed_scopes(scopes: &[String]) -> String {
    format!("Scope {}", scopes.join(", "))
}
pub const PARAMETERS: &str = "Parameters";
pub const RESPONSE: &str = "Response";
pub const FIELDS: &str = "Fields";
pub fn field_type(kind: &str, is_required: bool) -> String {
    if is_required { kind.to_owned() } else { format!("{kind}, optional") }
}
pub const STATUSES: &str = "Statuses";

// The problems that every operation can return.
pub const PROBLEMS: &str = "Problems";
pub const WHAT_PROBLEMS_ARE: &str = "Errors are returned as problem details (RFC 9457), application/problem+json: code names the problem, detail says what happened and what to do.";
pub const WHAT_TO_DO: &str = "What to do";
