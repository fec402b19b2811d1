//! What connections may do: the scopes of their consents beside those that the app asks for, and who consented.

use super::Viewer;
use crate::model::{
    AccessSummary, ConnectionView, ConsentView, ScopeRefusalView, missing_scopes, scope_sentences,
    scopes_beyond_smallest,
};
use crate::server::domain::XeroUserName;
use crate::server::store::{ConsentDetails, ScopeRefusal};

/// How much of Xero's id of a user is shown, in characters, if nothing else is known of them.
const SHOWN_ID_CHARACTERS: usize = 8;

/// The wanted scopes that consents lack. Most connections have the same scopes, so that these are compared once.
pub(super) struct MissingScopes<'a> {
    wanted: &'a str,
    /// With the scopes that lack them.
    known: Vec<(String, Vec<String>)>,
}

impl<'a> MissingScopes<'a> {
    /// Nothing is compared yet.
    pub(super) fn new(wanted: &'a str) -> Self {
        Self { wanted, known: Vec::new() }
    }

    /// Returns what a consent lacks.
    fn of(&mut self, granted: &str) -> &[String] {
        let index = self.known.iter().position(|(known, _)| known == granted).unwrap_or_else(|| {
            self.known.push((granted.to_owned(), missing_scopes(granted, self.wanted)));
            self.known.len() - 1
        });
        &self.known[index].1
    }
}

/// Sums up which connections lack access that the app asks for, from the scopes of those that work.
pub(super) fn access_summary<'a>(
    granted: impl Iterator<Item = &'a str>,
    missing_scopes: &mut MissingScopes<'_>,
) -> AccessSummary {
    let mut summary = AccessSummary::default();
    for scopes in granted {
        summary.known += usize::from(!scopes.trim().is_empty());
        let missing = missing_scopes.of(scopes);
        if !missing.is_empty() {
            summary.missing.push(missing.to_owned());
        }
    }
    summary
}

/// Fills in which of the wanted scopes the connection lacks, and its Xero user.
pub(super) fn with_access(
    connection: ConnectionView,
    missing_scopes: &mut MissingScopes<'_>,
    user: XeroUserName,
    viewer: &Viewer,
) -> ConnectionView {
    let missing_scopes = missing_scopes.of(&connection.granted_scopes).to_owned();
    let xero_user = user.name.or_else(|| user.email.map(|email| viewer.name(email)));
    ConnectionView { missing_scopes, xero_user, ..connection }
}

/// Returns what owners and admins learn of a refusal that stands. `allows_least` says whether a consent may ask for the
/// smallest set of scopes instead.
pub fn scope_refusal_view(refusal: ScopeRefusal, allows_least: bool) -> ScopeRefusalView {
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

/// Returns the view of a connection's consent, for its page.
pub(super) fn consent_view(
    details: ConsentDetails,
    connected_by_email: Option<&String>,
    wanted: &str,
    viewer: &Viewer,
) -> ConsentView {
    let name = |email: Option<String>| email.map(|email| viewer.name(email));
    // An earlier version kept only who connected the tenant.
    let member = details.member.or_else(|| connected_by_email.filter(|_| !details.is_by_link).cloned());
    let short_id = details.xero_user_id.chars().take(SHOWN_ID_CHARACTERS).collect::<String>();
    let xero_user = match (details.xero_user.name, name(details.xero_user.email)) {
        (Some(full), Some(email)) => Some(format!("{full} ({email})")),
        (full, email) => full.or(email).or_else(|| (!short_id.is_empty()).then(|| format!("{short_id}…"))),
    };
    ConsentView {
        granted: details.scopes.split_whitespace().map(str::to_owned).collect(),
        missing: missing_scopes(&details.scopes, wanted),
        given_by: name(member),
        is_by_link: details.is_by_link,
        link_created_by: name(details.link_created_by),
        given_at: details.given_at,
        xero_user,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ScopeRefusalCause;

    #[test]
    fn view_tells_the_named_scopes_or_all_beyond_the_smallest_set() {
        let refusal = |named: &[&str]| ScopeRefusal {
            scopes: "openid offline_access files accounting.contacts".into(),
            named: named.iter().map(|&scope| scope.to_owned()).collect(),
            cause: ScopeRefusalCause::Other,
            refused_at: 1,
            accepted_at: None,
        };
        assert_eq!(scope_refusal_view(refusal(&[]), false).scopes, ["files", "accounting.contacts"]);
        let view = scope_refusal_view(refusal(&["files"]), true);
        assert_eq!(view.scopes, ["files"]);
        let lacks = view.least_access_lacks.unwrap();
        assert_eq!(lacks, ["Read and change files", "Read and change contacts"]);
    }
}
