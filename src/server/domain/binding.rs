//! Bindings, tenants and Xero's connections.

use serde::{Deserialize, Serialize};

use crate::model::{BindingId, BindingStatus, GrantId, OrgId, UserId};

/// Connects an organization to a Xero tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// Evergrant's id of the binding.
    pub id: BindingId,
    /// The organization that the tenant is bound to.
    pub org_id: OrgId,
    /// The tenant, as Xero last described it.
    pub tenant: Tenant,
    /// The grant whose tokens it uses; `None` if it has none.
    pub active_grant_id: Option<GrantId>,
    /// Whether the binding works, needs a new consent, or is disconnected.
    pub status: BindingStatus,
    /// Unix seconds at which Xero was first seen not to list the connection. If the binding is active, a second list has to
    /// confirm that. If it is disconnected, it recovers if Xero lists the connection again.
    pub unlisted_at: Option<i64>,
    /// Unix seconds at which its grant's token was exported, if another system keeps the connection alive since then.
    pub moved_at: Option<i64>,
    /// The user who connected it; `None` if unknown or deleted.
    pub connected_by: Option<UserId>,
    /// Unix seconds at which the tenant was first bound.
    pub created_at: i64,
    /// Unix seconds of the last change of its grant, status, owner or names.
    pub updated_at: i64,
}

/// A tenant and its connection, from a consent or from Xero's list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tenant {
    /// Xero's id of the tenant, which API requests name.
    pub id: String,
    /// The tenant's name in Xero, or its id if Xero sent no name.
    pub name: String,
    /// `ORGANISATION`, `PRACTICE` or `PRACTICEMANAGER`; empty if Xero sent none.
    pub tenant_type: String,
    /// Xero's id of the connection, which a disconnect deletes.
    pub connection_id: String,
}

/// A connection in Xero's list. An id is empty if it cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteConnection {
    /// The tenant and the id of its connection.
    pub tenant: Tenant,
    /// The consent that created it, possibly another organization's. A connect flow binds only its own. Empty if Xero sent
    /// none.
    pub auth_event_id: String,
}

impl RemoteConnection {
    /// Returns whether nothing tells which connection it is.
    pub fn is_unreadable(&self) -> bool {
        self.tenant.id.is_empty() && self.tenant.connection_id.is_empty()
    }

    /// Returns whether it can be bound: API calls need the tenant's id, and a disconnect the connection's.
    pub fn is_bindable(&self) -> bool {
        !self.tenant.id.is_empty() && !self.tenant.connection_id.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_needs_both_ids_to_be_bound_and_one_to_be_recognized() {
        for (id, connection_id, is_bindable, is_unreadable) in
            [("t-1", "c-1", true, false), ("t-1", "", false, false), ("", "c-1", false, false), ("", "", false, true)]
        {
            let [id, connection_id, name, tenant_type] = [id, connection_id, "", ""].map(str::to_owned);
            let tenant = Tenant { id, name, tenant_type, connection_id };
            let seen = RemoteConnection { tenant, auth_event_id: String::new() };
            assert_eq!((seen.is_bindable(), seen.is_unreadable()), (is_bindable, is_unreadable), "{seen:?}");
        }
    }
}
