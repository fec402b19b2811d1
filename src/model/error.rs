//! What a server function answers when it can't do what was asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use leptos::prelude::{FromServerFnError, ServerFnErrorErr, use_context};
use leptos::server_fn::codec::JsonEncoding;
use serde::{Deserialize, Serialize};

/// The one error of the server functions: a sentence for a person, and an id to find the cause in the log by.
///
/// On the wire: `{"error":"…","id":"…"}` beside the status that the server function sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiError {
    pub error: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Unix seconds of the next automatic try, where waiting for it can help.
    #[serde(default, rename = "nextAttemptAt", skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<i64>,
}

/// In the context of a request to a server function: whether its arguments were none. The framework would answer that
/// as a failure of ours.
#[derive(Clone, Default)]
pub struct Misread(Arc<AtomicBool>);

impl Misread {
    pub fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl ApiError {
    pub fn new(error: impl Into<String>) -> Self {
        Self { error: error.into(), id: None, next_attempt_at: None }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{} Quote {id} if it goes on.", self.error),
            None => f.write_str(&self.error),
        }
    }
}

impl std::error::Error for ApiError {}

impl FromServerFnError for ApiError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        Self::new(match error {
            // The browser's own failure to reach us: no server, no network.
            ServerFnErrorErr::Request(_) => "Evergrant isn't answering. Check your network, then try again.".to_owned(),
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) | ServerFnErrorErr::Deserialization(_) => {
                if let Some(misread) = use_context::<Misread>() {
                    misread.0.store(true, Ordering::Relaxed);
                }
                "The request wasn't understood. Reload the page, then try again.".to_owned()
            }
            _ => "Something went wrong on our side. Try again in a moment.".to_owned(),
        })
    }
}
