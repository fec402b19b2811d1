//! A refresh token of another system that is to be imported, and what became of it.

use super::labels::{EXTERNAL_ID_RULE, TAGS_RULE, is_external_id, sorted_tags};
use super::secret::RefreshToken;
use crate::model::{BindingId, ImportOutcome};

/// The longest refresh token that is accepted, in bytes.
const MAX_TOKEN_BYTES: usize = 4096;

/// A refresh token, and what it belongs to.
pub struct ImportRow {
    /// The token, as the other system has it now.
    pub refresh_token: RefreshToken,
    /// The id of the Xero app that it was issued to, if the other system says.
    pub client_id: Option<String>,
    /// The tenant to connect. `None`: every tenant of the token's own consent.
    pub tenant_id: Option<String>,
    /// The program's own id of the connection.
    pub external_id: Option<String>,
    /// Tags of the connection.
    pub tags: Vec<String>,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportReport {
    /// The outcome.
    pub outcome: ImportOutcome,
    /// The connections that the row's token serves.
    pub bindings: Vec<BindingId>,
    /// What is wrong with an invalid row, or what was left out of a valid one.
    pub detail: Option<&'static str>,
}

impl ImportReport {
    /// Returns the report of a row that connected nothing.
    pub fn of(outcome: ImportOutcome) -> Self {
        Self { outcome, bindings: Vec::new(), detail: None }
    }

    /// Returns the report of a row that can't be valid.
    pub fn invalid(detail: &'static str) -> Self {
        Self { detail: Some(detail), ..Self::of(ImportOutcome::Invalid) }
    }
}

impl ImportRow {
    /// Sorts the tags. Returns what is wrong with the row, if anything is.
    pub fn normalize(&mut self) -> Result<(), &'static str> {
        let token = self.refresh_token.expose();
        let is_token =
            (1..=MAX_TOKEN_BYTES).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_token {
            return Err("refreshToken is missing, or is no refresh token");
        }
        if !self.external_id.as_deref().is_none_or(is_external_id) {
            return Err(EXTERNAL_ID_RULE);
        }
        self.tags = sorted_tags(std::mem::take(&mut self.tags)).ok_or(TAGS_RULE)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(token: &str) -> ImportRow {
        let refresh_token = RefreshToken::new(token);
        ImportRow { refresh_token, client_id: None, tenant_id: None, external_id: None, tags: Vec::new() }
    }

    #[test]
    fn row_that_cannot_be_valid_says_why() {
        for token in ["", "two words", "line\nbreak", "caf\u{e9}", &"x".repeat(MAX_TOKEN_BYTES + 1)] {
            assert!(row(token).normalize().unwrap_err().contains("refreshToken"), "{token:?}");
        }
        let named = ImportRow { external_id: Some(String::new()), ..row("abc") }.normalize();
        assert_eq!(named, Err(EXTERNAL_ID_RULE));
        assert_eq!(ImportRow { tags: vec!["No".into()], ..row("abc") }.normalize(), Err(TAGS_RULE));
        assert_eq!(ImportReport::invalid(TAGS_RULE).detail, Some(TAGS_RULE));
        let mut valid = ImportRow { tags: vec!["b".into(), "a".into(), "b".into()], ..row("abc") };
        assert_eq!(valid.normalize(), Ok(()));
        assert_eq!(valid.tags, ["a", "b"]);
    }
}
