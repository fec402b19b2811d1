//! What connections may do: the scopes of their consents beside those that the app asks for, and who consented.

use super::Viewer;
use crate::model::{BindingId, ConnectionView, ConsentView, OrgId, missing_scopes};
use crate::server::domain::{Grant, XeroUserName};
use crate::server::store::{BindingWithGrant, Store, StoreError};

/// How much of Xero's id of a user is shown, in characters, if nothing else is known of them.
const SHOWN_ID_CHARACTERS: usize = 8;

/// Returns the grant's scopes.
pub(super) fn granted_scopes(grant: &Grant) -> Vec<String> {
    grant.scopes.split_whitespace().map(str::to_owned).collect()
}

/// Fills in which of the wanted scopes each connection lacks, and its Xero user.
pub(super) fn with_access(
    mut connections: Vec<ConnectionView>,
    wanted: &str,
    users: &[(BindingId, XeroUserName)],
    viewer: &Viewer,
) -> Vec<ConnectionView> {
    for one in &mut connections {
        one.missing_scopes = missing_scopes(&one.granted_scopes.join(" "), wanted);
        let user = users.iter().find(|(id, _)| *id == one.id).map(|(_, user)| user.clone());
        one.xero_user = user.and_then(|user| user.name.or_else(|| user.email.map(|email| viewer.name(email))));
    }
    connections
}

/// Loads the view of a connection's consent, for its page.
pub async fn consent(
    store: &Store,
    org: &OrgId,
    (bound, viewer): (&BindingWithGrant, &Viewer),
    wanted: &str,
) -> Result<Option<ConsentView>, StoreError> {
    let Some(details) = store.consent_details(org, &bound.binding.id).await? else { return Ok(None) };
    let name = |email: Option<String>| email.map(|email| viewer.name(email));
    // An earlier version kept only who connected the tenant.
    let member = details.member.or_else(|| bound.connected_by_email.clone().filter(|_| !details.is_by_link));
    let short_id = details.xero_user_id.chars().take(SHOWN_ID_CHARACTERS).collect::<String>();
    let xero_user = match (details.xero_user.name, name(details.xero_user.email)) {
        (Some(full), Some(email)) => Some(format!("{full} ({email})")),
        (full, email) => full.or(email).or_else(|| (!short_id.is_empty()).then(|| format!("{short_id}…"))),
    };
    Ok(Some(ConsentView {
        granted: details.scopes.split_whitespace().map(str::to_owned).collect(),
        missing: missing_scopes(&details.scopes, wanted),
        given_by: name(member),
        is_by_link: details.is_by_link,
        link_created_by: name(details.link_created_by),
        given_at: details.given_at,
        xero_user,
    }))
}
