//! A binding as its row says it.

use crate::model::{BindingId, BindingStatus, GrantId, OrgId, UserId};

/// What ties an organisation to a Xero tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    pub id: BindingId,
    pub org_id: OrgId,
    pub tenant_id: String,
    pub tenant_name: String,
    pub tenant_type: String,
    /// Xero's id of the connection: what a disconnect deletes.
    pub connection_id: String,
    pub active_grant_id: Option<GrantId>,
    pub status: BindingStatus,
    /// Since when Xero hasn't listed it, where it is disconnected because of that: then it may recover by itself.
    pub gone_at: Option<i64>,
    pub connected_by: Option<UserId>,
    pub created_at: i64,
    pub updated_at: i64,
}

/// A tenant that a consent named, about to be bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    pub connection_id: String,
    pub tenant_id: String,
    pub tenant_name: String,
    pub tenant_type: String,
}

/// A connection as Xero lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub tenant: Tenant,
    /// The consent that made it, of whichever organisation.
    pub auth_event_id: String,
}
