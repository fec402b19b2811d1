//! What a command prints: text for people, or JSON for programs.

use clap::builder::{BoolValueParser, TypedValueParser};
use serde::Serialize;

/// How a command prints its result. The value of the flag `--json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Text,
    Json,
}

impl Output {
    /// Parses the flag `--json`.
    pub fn flag() -> impl TypedValueParser<Value = Self> {
        BoolValueParser::new().map(|json| if json { Self::Json } else { Self::Text })
    }

    /// Prints a result on standard output: the value as one line of JSON, or the text.
    pub fn print(self, value: &impl Serialize, text: &str) {
        match self {
            // The values have text keys and no secret types, so they always serialize.
            Self::Json => println!("{}", serde_json::to_value(value).unwrap_or_default()),
            Self::Text => println!("{}", text.trim_end()),
        }
    }
}
