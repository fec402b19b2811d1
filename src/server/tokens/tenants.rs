//! Which tenants a consent or an imported token connects, according to Xero's lists of connections.

use crate::model::BindingStatus;
use crate::server::domain::{AccessToken, Binding, RemoteConnection, Tenant};
use crate::server::store::BindingWithGrant;
use crate::server::xero::{Claims, XeroClient, XeroError};

/// Returns the tenants that the consent with these claims connected. `bound` are the organization's own bindings.
///
/// The list of the consent is read first. If it has none, the whole list is read: an empty list is no proof, and Xero may
/// leave the first consent's id at a connection that is connected again. Then the organization's own tenants of the same
/// Xero user are meant. No other tenant is bound without this consent's id, because it may be another organization's.
pub async fn of_consent(
    xero: &XeroClient,
    access: &AccessToken,
    claims: &Claims,
    bound: &[BindingWithGrant],
) -> Result<Vec<Tenant>, XeroError> {
    let event = &claims.authentication_event_id;
    let tenants = with_event(&xero.connections(access, Some(event)).await?, event);
    if !tenants.is_empty() {
        return Ok(tenants);
    }
    let list = xero.connections(access, None).await?;
    let tenants = with_event(&list, event);
    Ok(if tenants.is_empty() { own_tenants(&list, &claims.xero_user_id, bound) } else { tenants })
}

/// Keeps the tenants of this consent. The token also lists the user's other connections, from earlier consents.
fn with_event(list: &[RemoteConnection], auth_event_id: &str) -> Vec<Tenant> {
    let of_event = list.iter().filter(|seen| seen.auth_event_id == auth_event_id && seen.is_bindable());
    of_event.map(|seen| seen.tenant.clone()).collect()
}

/// Returns the listed tenants that the organization has bound through this Xero user. A tenant that a person disconnected
/// here counts only if it is the only one.
fn own_tenants(list: &[RemoteConnection], xero_user_id: &str, bound: &[BindingWithGrant]) -> Vec<Tenant> {
    let own = |binding: &Binding| list.iter().find(|seen| seen.is_bindable() && seen.tenant.id == binding.tenant.id);
    let (disconnected_here, others): (Vec<_>, Vec<_>) = bound
        .iter()
        .filter(|bound| bound.grant.as_ref().is_some_and(|grant| grant.xero_user_id == xero_user_id))
        .filter_map(|bound| Some((&bound.binding, own(&bound.binding)?)))
        .partition(|(binding, _)| binding.status == BindingStatus::Disconnected && binding.unlisted_at.is_none());
    let chosen = match disconnected_here.len() {
        1 if others.is_empty() => disconnected_here,
        _ => others,
    };
    chosen.into_iter().map(|(_, seen)| seen.tenant.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::Grant;

    const USER: &str = "mere";

    fn listed(tenant: &str) -> RemoteConnection {
        let connection_id = format!("connection of {tenant}");
        let tenant = Tenant { id: tenant.into(), name: tenant.into(), tenant_type: String::new(), connection_id };
        RemoteConnection { tenant, auth_event_id: "an earlier consent".into() }
    }

    fn bound(tenant: &str, user: &str, status: BindingStatus, unlisted_at: Option<i64>) -> BindingWithGrant {
        let binding = Binding {
            id: "b".into(),
            org_id: "o".into(),
            tenant: listed(tenant).tenant,
            active_grant_id: None,
            status,
            unlisted_at,
            moved_at: None,
            connected_by: None,
            created_at: 0,
            updated_at: 0,
        };
        let grant = Grant { xero_user_id: user.into(), ..Grant::for_test(0, 0) };
        BindingWithGrant { binding, grant: Some(grant), connected_by_email: None, reaches_other_orgs: false }
    }

    fn ids(tenants: &[Tenant]) -> Vec<&str> {
        tenants.iter().map(|tenant| tenant.id.as_str()).collect()
    }

    #[test]
    fn only_own_listed_tenants_of_the_same_user_are_meant() {
        let list = ["ours", "dead", "theirs", "another user's", "gone"].map(listed);
        let bound = [
            bound("ours", USER, BindingStatus::Active, None),
            bound("dead", USER, BindingStatus::NeedsReauth, None),
            bound("gone", USER, BindingStatus::Disconnected, Some(1)),
            bound("another user's", "jonas", BindingStatus::Active, None),
            bound("not listed", USER, BindingStatus::Active, None),
        ];
        assert_eq!(ids(&own_tenants(&list, USER, &bound)), ["ours", "dead", "gone"]);
        assert!(own_tenants(&list, "priya", &bound).is_empty());
    }

    #[test]
    fn tenant_disconnected_here_is_meant_only_if_it_is_the_only_one() {
        let list = ["a", "b", "c"].map(listed);
        let disconnected = |tenant| bound(tenant, USER, BindingStatus::Disconnected, None);
        assert_eq!(ids(&own_tenants(&list, USER, &[disconnected("a")])), ["a"]);
        assert!(own_tenants(&list, USER, &[disconnected("a"), disconnected("b")]).is_empty());
        let both = [disconnected("a"), bound("c", USER, BindingStatus::Active, None)];
        assert_eq!(ids(&own_tenants(&list, USER, &both)), ["c"]);
    }

    #[test]
    fn entry_without_its_ids_is_not_bound() {
        let mut nameless = listed("a");
        nameless.tenant.connection_id = String::new();
        let event = nameless.auth_event_id.clone();
        assert_eq!(ids(&with_event(&[nameless, listed("b")], &event)), ["b"]);
    }
}
