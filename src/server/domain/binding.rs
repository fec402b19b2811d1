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
