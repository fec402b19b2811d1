//! The scopes of a consent: which are asked for, and what happens if Xero refuses them.

use crate::model::{
    OrgId, SMALLEST_SCOPES, ScopeRefusalCause, ScopeRefusalView, scope_sentences, scopes_beyond_smallest,
};
use crate::server::config::ScopesFallback;
use crate::server::http::state::AppState;
use crate::server::store::{ConnectionNotices, ScopeRefusal, StoreError};

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
    let is_allowed = wants_least_access && state.config.xero.scopes_fallback == ScopesFallback::Smallest;
    let is_refused = is_allowed && state.store.standing_scope_refusal(org, configured).await?.is_some();
    Ok(if is_refused { SMALLEST_SCOPES } else { configured })
}

/// Returns what the organization's owners and admins learn of the last refusal, if it stands.
pub async fn refusal_view(state: &AppState, org: &OrgId) -> Result<Option<ScopeRefusalView>, StoreError> {
    Ok(notices_view(state, org).await?.0)
}

/// Returns the same, and what else the page with the connections says beside them.
pub async fn notices_view(
    state: &AppState,
    org: &OrgId,
) -> Result<(Option<ScopeRefusalView>, ConnectionNotices), StoreError> {
    let mut notices = state.store.connection_notices(org, &state.config.xero.scopes).await?;
    let allows_least = state.config.xero.scopes_fallback == ScopesFallback::Smallest;
    Ok((notices.refusal.take().map(|refusal| view_of(refusal, allows_least)), notices))
}

fn view_of(refusal: ScopeRefusal, allows_least: bool) -> ScopeRefusalView {
    let ScopeRefusal { scopes, named, cause, refused_at, .. } = refusal;
    let beyond = scopes_beyond_smallest(&scopes);
    let lacks = scope_sentences(beyond.iter().map(String::as_str));
    ScopeRefusalView {
        at: refused_at,
        cause,
        least_access_lacks: (allows_least && !beyond.is_empty()).then_some(lacks),
        scopes: if named.is_empty() { beyond } else { named },
    }
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

    #[test]
    fn view_tells_the_named_scopes_or_all_beyond_the_smallest_set() {
        let refusal = |named: &[&str]| ScopeRefusal {
            scopes: "openid offline_access files accounting.contacts".into(),
            named: named.iter().map(|&scope| scope.to_owned()).collect(),
            cause: ScopeRefusalCause::Other,
            refused_at: 1,
            accepted_at: None,
        };
        assert_eq!(view_of(refusal(&[]), false).scopes, ["files", "accounting.contacts"]);
        let view = view_of(refusal(&["files"]), true);
        assert_eq!(view.scopes, ["files"]);
        let lacks = view.least_access_lacks.unwrap();
        assert_eq!(lacks, ["Read and change files", "Read and change contacts"]);
    }
}
