//! One check's result: the verdict, what was found and what to do.

use std::path::Path;

use serde::Serialize;

use crate::model::GrantId;
use crate::server::store::StoreError;

/// How many items are listed by name; the rest are counted.
pub const MAX_LISTED: usize = 5;

/// How a check went, ordered from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    /// Tokens are kept fresh, but an operator should look.
    Warn,
    /// Tokens can't be kept fresh, now or soon.
    Fail,
}

/// The result of one check. Contains no secrets.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    pub name: &'static str,
    pub verdict: Verdict,
    pub found: String,
    /// Set if there is something to do.
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

/// Turns an error's text into a sentence, with a capital letter and a full stop.
pub fn to_sentence(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// Formats a count with its noun in the singular or the plural.
pub fn pluralize(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// A failed check, because the database couldn't be read.
pub fn unreadable(name: &'static str, error: &StoreError) -> Check {
    Check::fail(name, format!("Can't be read: {error}."), "Make sure that the database answers, then run this again.")
}

/// Lists the first `MAX_LISTED` distinct ids, and counts the rest.
pub fn list_grant_ids<'a>(grants: impl Iterator<Item = &'a GrantId>) -> String {
    let mut all: Vec<&str> = Vec::new();
    for grant in grants {
        if !all.contains(&grant.as_str()) {
            all.push(grant.as_str());
        }
    }
    let named: Vec<&str> = all.iter().take(MAX_LISTED).copied().collect();
    format!("{}{}", named.join(", "), and_n_more(all.len()))
}

/// Says how many items there are beyond the first `MAX_LISTED`.
pub fn and_n_more(number: usize) -> String {
    if number > MAX_LISTED { format!(" and {} more", number - MAX_LISTED) } else { String::new() }
}

/// Makes a file in the folder, or in the nearest one above it that exists, and removes it.
pub fn try_to_write(folder: &Path) -> std::io::Result<()> {
    let absolute = std::path::absolute(folder)?;
    let existing = absolute.ancestors().find(|path| path.exists()).unwrap_or(&absolute);
    let file = existing.join(format!(".evergrant-doctor-{}", std::process::id()));
    std::fs::OpenOptions::new().write(true).create_new(true).open(&file)?;
    std::fs::remove_file(&file)
}
