//! The scopes of a consent: which are asked for, and what happens if Xero refuses them.

use crate::model::{OrgId, SMALLEST_SCOPES, ScopeRefusalCause, ScopeRefusalView, scopes_beyond_smallest};
use crate::server::http::state::AppState;
use crate::server::store::StoreError;
use crate::server::views::scope_refusal_view;

/// How much of a description is looked at, in bytes. Xero's are short, and anybody can send another.
const MAX_DESCRIPTION_BYTES: usize = 500;

/// What Xero said about scopes that it refused. Only names of scopes that were asked for are taken from it.
#[derive(Debug)]
pub struct RefusedScopes {
    cause: ScopeRefusalCause,
    words: Vec<String>,
}

impl RefusedScopes {
    /// Reads the callback's `error` and `error_description`. Returns `None` if they are not about scopes.
    pub fn parse(error: &str, description: &str) -> Option<Self> {
        let description = description.get(..MAX_DESCRIPTION_BYTES).unwrap_or(description).to_ascii_lowercase();
        let is_about_scopes = match error {
            "invalid_scope" => true,
            "access_denied" | "unauthorized_client" => description.contains("scope"),
            _ => false,
        };
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| description.contains(phrase));
        let cause = if says(&["wrong app"]) {
            ScopeRefusalCause::WrongAppScopes
        } else if error == "invalid_scope" || says(&["invalid", "unknown", "not exist"]) {
            ScopeRefusalCause::InvalidScope
        } else if error == "unauthorized_client" || says(&["not allowed", "not permitted", "unauthori"]) {
            ScopeRefusalCause::NotAllowed
        } else {
            ScopeRefusalCause::Other
        };
        let separates = |letter: char| !letter.is_ascii_alphanumeric() && letter != '.' && letter != '_';
        // A full stop ends a sentence, and no scope.
        let words = description.split(separates).map(|word| word.trim_matches('.').to_owned());
        is_about_scopes.then(|| Self { cause, words: words.filter(|word| !word.is_empty()).collect() })
    }

    /// Logs, counts, stores and audits the refusal of a consent of the organization.
    pub async fn record(&self, state: &AppState, org: &OrgId, asked: &str) -> Result<(), StoreError> {
        let named: Vec<String> =
            scopes_beyond_smallest(asked).into_iter().filter(|scope| self.words.contains(scope)).collect();
        self.log(state, org, asked, &named);
        state.store.record_scope_refusal(org, asked, self.cause, &named).await
    }

    /// Logs a refusal that names no consent. Anybody can write such an address, so it raises no alarm.
    pub fn log_unattributed(&self) {
        tracing::info!(cause = self.cause.as_str(), "a callback without a state says that Xero refused the scopes");
    }

    fn log(&self, state: &AppState, org: &OrgId, asked: &str, named: &[String]) {
        state.tokens.metrics().count_scope_refusal(self.cause);
        tracing::error!(
            %org,
            cause = self.cause.as_str(),
            scopes = asked,
            named = named.join(" "),
            "Xero refused the scopes of a consent; correct XERO_SCOPES"
        );
    }
}

/// Returns the scopes to ask for: the smallest set if the person wants that, Xero has refused the configured scopes to
/// the organization, and the operator allows it.
pub async fn scopes_to_ask_for<'a>(
    state: &'a AppState,
    org: &OrgId,
    wants_least_access: bool,
) -> Result<&'a str, StoreError> {
    let configured = &state.config.xero.scopes;
    let is_allowed = wants_least_access && state.config.xero.allows_least_access();
    let is_refused = is_allowed && state.store.standing_scope_refusal(org, configured).await?.is_some();
    Ok(if is_refused { SMALLEST_SCOPES } else { configured })
}

/// Returns what the organization's owners and admins learn of the last refusal, if it stands.
pub async fn refusal_view(state: &AppState, org: &OrgId) -> Result<Option<ScopeRefusalView>, StoreError> {
    let refusal = state.store.standing_scope_refusal(org, &state.config.xero.scopes).await?;
    Ok(refusal.map(|refusal| scope_refusal_view(refusal, state.config.xero.allows_least_access())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn description_becomes_one_of_a_few_causes() {
        for (error, description, expected) in [
            ("access_denied", "Requested wrong apps scopes", Some(ScopeRefusalCause::WrongAppScopes)),
            ("access_denied", "Invalid scope: accounting.journals.read", Some(ScopeRefusalCause::InvalidScope)),
            ("access_denied", "Scope not allowed for this client", Some(ScopeRefusalCause::NotAllowed)),
            ("access_denied", "<b>scope</b> trouble", Some(ScopeRefusalCause::Other)),
            ("invalid_scope", "", Some(ScopeRefusalCause::InvalidScope)),
            ("access_denied", "The user said no", None),
            ("access_denied", "", None),
            ("server_error", "scope", None),
        ] {
            let parsed = RefusedScopes::parse(error, description).map(|refused| refused.cause);
            assert_eq!(parsed, expected, "{error} {description}");
        }
        let named = RefusedScopes::parse("invalid_scope", "No scope 'files.read', nor accounting.contacts.").unwrap();
        assert!(named.words.contains(&"files.read".into()) && named.words.contains(&"accounting.contacts".into()));
        let long = format!("scope {}", "é".repeat(MAX_DESCRIPTION_BYTES));
        assert!(RefusedScopes::parse("access_denied", &long).is_some());
    }
}
