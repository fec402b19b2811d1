//! The API's description as `/api-reference` shows it.

use serde::{Deserialize, Serialize};

/// What `/api-reference` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReferenceView {
    /// The API's version, from the OpenAPI document.
    pub version: String,
    /// What the API is for.
    pub about: String,
    /// What a key is.
    pub key: String,
    /// Every operation of the API, in the document's order.
    pub operations: Vec<OperationView>,
}

/// One operation of the API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OperationView {
    /// The operation's anchor on the page.
    pub id: String,
    /// HTTP method in upper case.
    pub method: String,
    /// Path template, with parameters in braces.
    pub path: String,
    /// One-line summary, used as the heading.
    pub summary: String,
    /// What the operation does; empty if the document doesn't say.
    pub description: String,
    /// Scopes that the key needs.
    pub scopes: Vec<String>,
    /// Parameters of the path, query and headers.
    pub parameters: Vec<FieldView>,
    /// A shell command that calls it.
    pub sample: String,
    /// An example response, as JSON.
    pub example: String,
    /// The example's fields.
    pub fields: Vec<FieldView>,
    /// Possible responses, one per status.
    pub answers: Vec<ResponseView>,
}

/// A parameter, a header, or a field of a response.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FieldView {
    /// Name; for a nested field, its path from the root.
    pub name: String,
    /// The type in words, such as "whole number" or "text".
    pub kind: String,
    /// Whether it must be sent, or is always present in a response.
    pub required: bool,
    /// What it means; empty if the document doesn't say.
    pub description: String,
}

/// One response status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResponseView {
    /// HTTP status code as text.
    pub status: String,
    /// When the API responds with this status.
    pub description: String,
    /// Headers that the response carries.
    pub headers: Vec<FieldView>,
}
