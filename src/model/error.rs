//! The error that server functions return.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use leptos::prelude::{FromServerFnError, ServerFnErrorErr, use_context};
use leptos::server_fn::codec::JsonEncoding;
use serde::{Deserialize, Serialize};

/// The error of every server function: a sentence for a person, and an id that finds the cause in the log.
///
/// On the wire: `{"error":"…","id":"…"}` beside the status that the server function sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiError {
    /// Sentence for a person that says what went wrong.
    pub error: String,
    /// Reference of the log entry with the cause, or `None` if the cause was not logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Unix seconds of the next automatic attempt, if waiting for it can help.
    #[serde(default, rename = "nextAttemptAt", skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<i64>,
    /// Path of the page on which the person goes on: the one that asks who they are, or the organization's that they work
    /// in now. It shows the same sentence.
    #[serde(default, rename = "continueAt", skip_serializing_if = "Option::is_none")]
    pub continue_at: Option<String>,
    /// Whether what the call is about does not exist. For the page that the server renders; the status says it to others.
    #[serde(skip)]
    pub is_not_found: bool,
}

/// Request context that records whether a server function's arguments could not be parsed, so that the response is a
/// client error. The framework alone would respond 500.
#[derive(Clone, Default)]
pub struct MalformedArguments(Arc<AtomicBool>);

impl MalformedArguments {
    /// Returns whether the arguments could not be parsed.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl ApiError {
    /// Creates an error from a sentence for a person.
    pub fn new(error: impl Into<String>) -> Self {
        Self { error: error.into(), id: None, next_attempt_at: None, continue_at: None, is_not_found: false }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.id {
            Some(id) => {
                write!(f, "{} If this keeps happening, give your administrator this reference: {id}.", self.error)
            }
            None => f.write_str(&self.error),
        }
    }
}

impl std::error::Error for ApiError {}

impl FromServerFnError for ApiError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        Self::new(match error {
            // The browser could not reach the server.
            ServerFnErrorErr::Request(_) => "Evergrant isn't answering. Check your network, then try again.".to_owned(),
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) | ServerFnErrorErr::Deserialization(_) => {
                if let Some(misread) = use_context::<MalformedArguments>() {
                    misread.0.store(true, Ordering::Relaxed);
                }
                "The request wasn't understood. Reload the page, then try again.".to_owned()
            }
            _ => "Something went wrong on our side. Try again in a moment.".to_owned(),
        })
    }
}
