//! `/api-reference`: the API's description as the page shows it.

use serde::{Deserialize, Serialize};

/// What the page shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReferenceView {
    pub version: String,
    /// What the API is for.
    pub about: String,
    /// What a key is.
    pub key: String,
    pub operations: Vec<OperationView>,
}

/// One call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OperationView {
    /// Names it in the page's address.
    pub id: String,
    pub method: String,
    pub path: String,
    pub summary: String,
    pub description: String,
    /// What its key needs.
    pub scopes: Vec<String>,
    pub parameters: Vec<FieldView>,
    /// How it is asked, for a shell.
    pub sample: String,
    /// An answer, as JSON.
    pub example: String,
    /// What the example's fields are.
    pub fields: Vec<FieldView>,
    pub answers: Vec<AnswerView>,
}

/// A parameter, or a field of an answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FieldView {
    pub name: String,
    /// What it is made of, as "whole number" or "text".
    pub kind: String,
    pub required: bool,
    pub description: String,
}

/// One status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AnswerView {
    pub status: String,
    pub description: String,
    pub headers: Vec<FieldView>,
}
