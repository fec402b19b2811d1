//! The API's description as `/api-reference` shows it.

use serde::{Deserialize, Serialize};

/// What `/api-reference` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReferenceView {
    pub version: String,
    /// What the API is for.
    pub about: String,
    /// What a key is.
    pub key: String,
    pub operations: Vec<OperationView>,
}

/// One operation of the API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OperationView {
    /// The operation's anchor on the page.
    pub id: String,
    pub method: String,
    pub path: String,
    pub summary: String,
    pub description: String,
    /// Scopes that the key needs.
    pub scopes: Vec<String>,
    pub parameters: Vec<FieldView>,
    /// A shell command that calls it.
    pub sample: String,
    /// An example response, as JSON.
    pub example: String,
    /// The example's fields.
    pub fields: Vec<FieldView>,
    pub answers: Vec<ResponseView>,
}

/// A parameter, a header, or a field of a response.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FieldView {
    pub name: String,
    /// The type in words, such as "whole number" or "text".
    pub kind: String,
    pub required: bool,
    pub description: String,
}

/// One response status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResponseView {
    pub status: String,
    pub description: String,
    pub headers: Vec<FieldView>,
}
