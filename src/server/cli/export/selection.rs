//! Which grants an export hands over. Everything is checked before the first one is stopped.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{BindingId, BindingStatus, GrantId, OrgId};
use crate::server::cli::CliError;
use crate::server::store::{BindingWithGrant, Store};
use crate::server::tokens::SharedUsers;

/// A grant to export, and the names of the tenants that it serves.
pub struct SelectedGrant {
    pub id: GrantId,
    pub names: Vec<String>,
}

/// Returns the grants of the organization's working connections, or of those in `wanted` if it names any.
///
/// # Errors
/// Fails if a connection in `wanted` is unknown, does not work, or shares its grant with one that is not in it; if a
/// Xero user also connects another organization and that is refused; or if nothing is left.
pub async fn select_grants(
    store: &Store,
    org: &OrgId,
    wanted: &BTreeSet<BindingId>,
    shared_users: SharedUsers,
) -> Result<Vec<SelectedGrant>, CliError> {
    let bound = store.bindings_of_org(org).await?;
    for id in wanted {
        match bound.iter().find(|one| one.binding.id == *id) {
            None => return Err(format!("the organization has no connection {id}: nothing was exported").into()),
            Some(one) if one.binding.status != BindingStatus::Active => {
                let name = &one.binding.tenant.name;
                return Err(format!("{name} ({id}) has no working token: nothing was exported").into());
            }
            Some(_) => {}
        }
    }
    let mut grants: BTreeMap<&GrantId, Vec<&BindingWithGrant>> = BTreeMap::new();
    let working = bound.iter().filter(|one| one.binding.status == BindingStatus::Active);
    for one in working {
        if let Some(grant) = &one.binding.active_grant_id {
            grants.entry(grant).or_default().push(one);
        }
    }
    let is_wanted = |one: &&BindingWithGrant| wanted.is_empty() || wanted.contains(&one.binding.id);
    grants.retain(|_, served| served.iter().any(is_wanted));
    for served in grants.values() {
        if let Some(other) = served.iter().find(|one| !is_wanted(one)) {
            return Err(format!(
                "{} ({}) has the same token as a connection that you chose, and would stop too. Choose it with --binding \
                 as well, or none: nothing was exported",
                other.binding.tenant.name, other.binding.id
            )
            .into());
        }
        let shared = served.iter().find(|one| one.reaches_other_orgs);
        if let Some(one) = shared.filter(|_| shared_users == SharedUsers::Refuse) {
            return Err(format!(
                "the Xero user of {} ({}) also connects another organization, and the token opens both. If that is \
                 intended, pass --allow-shared-users: nothing was exported",
                one.binding.tenant.name, one.binding.id
            )
            .into());
        }
    }
    if grants.is_empty() {
        return Err("the organization has no working connection: nothing was exported".into());
    }
    let names = |served: Vec<&BindingWithGrant>| served.iter().map(|one| one.binding.tenant.name.clone()).collect();
    Ok(grants.into_iter().map(|(id, served)| SelectedGrant { id: id.clone(), names: names(served) }).collect())
}
