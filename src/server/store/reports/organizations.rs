//! All organizations, for operators. A name is no identity: several may have the same one.

use sqlx::Row;

use crate::model::OrgId;
use crate::server::store::{Database, StoreError};

/// An organization as operators tell it from others.
#[derive(Clone, Debug, PartialEq)]
pub struct OrgSummary {
    /// Id of the organization.
    pub id: OrgId,
    /// Name that its owners gave it.
    pub name: String,
    /// When it was created, in unix seconds.
    pub created_at: i64,
    /// Email addresses of its owners.
    pub owners: Vec<String>,
    /// Number of its members, owners included.
    pub members: i64,
}

impl Database {
    /// Returns all organizations by name, or those with exactly this name or id. Leaves out those deleted in Clerk.
    pub async fn org_summaries(&self, name: Option<&str>, id: Option<&str>) -> Result<Vec<OrgSummary>, StoreError> {
        let rows = sqlx::query(
            "SELECT o.id, o.name, o.created_at, u.email, m.role FROM organizations o \
             LEFT JOIN memberships m ON m.org_id = o.id LEFT JOIN users u ON u.id = m.user_id \
             WHERE o.external_deleted_at IS NULL AND ($1 = '' OR o.name = $1) AND ($2 = '' OR o.id = $2) \
             ORDER BY o.name, o.created_at, o.id, u.email",
        )
        .bind(name.unwrap_or_default())
        .bind(id.unwrap_or_default())
        .fetch_all(self.pool())
        .await?;
        let mut listed: Vec<OrgSummary> = Vec::new();
        for row in rows {
            let id = OrgId(row.try_get("id")?);
            if listed.last().is_none_or(|last| last.id != id) {
                let (name, created_at) = (row.try_get("name")?, row.try_get("created_at")?);
                listed.push(OrgSummary { id, name, created_at, owners: Vec::new(), members: 0 });
            }
            let (email, role): (Option<String>, Option<String>) = (row.try_get("email")?, row.try_get("role")?);
            if let (Some(org), Some(email)) = (listed.last_mut(), email) {
                org.members += 1;
                if role.as_deref() == Some(crate::model::Role::Owner.as_str()) {
                    org.owners.push(email);
                }
            }
        }
        Ok(listed)
    }
}
