//! Bindings, tenants and Xero's connections.

use crate::model::{BindingId, BindingStatus, GrantId, OrgId, UserId};

/// Connects an organization to a Xero tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    pub id: BindingId,
    pub org_id: OrgId,
    pub tenant_id: String,
    pub tenant_name: String,
    pub tenant_type: String,
    /// Xero's id of the connection, which a disconnect deletes.
    pub connection_id: String,
    pub active_grant_id: Option<GrantId>,
    pub status: BindingStatus,
    /// Unix seconds at which Xero stopped listing the connection, if that disconnected the binding. It recovers if Xero
    /// lists the connection again.
    pub unlisted_at: Option<i64>,
    pub connected_by: Option<UserId>,
    pub created_at: i64,
    pub updated_at: i64,
}

/// A tenant and its connection, from a consent or from Xero's list.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    pub connection_id: String,
    pub tenant_id: String,
    pub tenant_name: String,
    pub tenant_type: String,
}

/// A connection in Xero's list.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteConnection {
    pub tenant: Tenant,
    /// The consent that created it, possibly another organization's.
    pub auth_event_id: String,
}
