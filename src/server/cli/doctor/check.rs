//! What a check says: how it stands, what was found, and what to do about it.

use serde::Serialize;

use crate::model::GrantId;
use crate::server::store::StoreError;

/// How many are named before the rest is only counted.
pub const NAMED: usize = 5;

/// From good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    /// Tokens are kept fresh, but somebody should look.
    Warn,
    /// Tokens can't be kept fresh, or won't be for long.
    Fail,
}

/// One thing that was looked at. Free of secrets.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    pub name: &'static str,
    pub verdict: Verdict,
    pub found: String,
    /// Where there is something to do.
    pub to_do: Option<String>,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Check {
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into(), to_do: None }
    }

    pub fn warn(name: &'static str, found: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warn, found: found.into(), to_do: Some(to_do.into()) }
    }

    pub fn fail(name: &'static str, found: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fail, found: found.into(), to_do: Some(to_do.into()) }
    }
}

/// An error's text, which is made to stand inside a sentence, as a sentence of its own.
pub fn sentence(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// So many of them, the word in the right number.
pub fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

pub fn unread(name: &'static str, error: &StoreError) -> Check {
    Check::fail(name, format!("They couldn't be read: {error}."), "See that the database answers, then look again.")
}

/// The first few, and how many more there are. Each once.
pub fn ids<'a>(grants: impl Iterator<Item = &'a GrantId>) -> String {
    let mut all: Vec<&str> = Vec::new();
    for grant in grants {
        if !all.contains(&grant.as_str()) {
            all.push(grant.as_str());
        }
    }
    let named: Vec<&str> = all.iter().take(NAMED).copied().collect();
    format!("{}{}", named.join(", "), rest(all.len()))
}

pub fn rest(number: usize) -> String {
    if number > NAMED { format!(" and {} more", number - NAMED) } else { String::new() }
}
