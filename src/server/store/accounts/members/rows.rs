//! The rows of memberships, read and changed in the caller's transaction.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::MemberChangeError;
use crate::model::{OrgId, OrgView, Permission, Role, UserId};
use crate::server::store::StoreError;
use crate::server::store::text_values::{optional_text_value, text_value};

/// A member as read in the current transaction.
pub(super) struct Member {
    pub user: UserId,
    pub email: String,
    pub role: Role,
}

/// Counts the connections of the organization `$org` that need reconnecting. Those that moved to another system don't.
macro_rules! needing_reauth_sql {
    ($org:literal) => {
        concat!(
            "(SELECT COUNT(*) FROM integration_tenant_bindings b LEFT JOIN integration_grants g ON g.id = b.active_grant_id \
             WHERE b.org_id = ",
            $org,
            " AND b.status = 'needs_reauth' AND g.exported_at IS NULL)"
        )
    };
}
pub(in crate::server::store) use needing_reauth_sql;

/// Locks the organization, then reads the acting user's role and the member to change.
pub(super) async fn lock_and_load_members(
    connection: &mut AnyConnection,
    org: &OrgId,
    by: &UserId,
    whom: &UserId,
) -> Result<(Role, Member), MemberChangeError> {
    lock_org(connection, org).await?;
    let acting = find_member(connection, org, by).await?.ok_or(MemberChangeError::NotAllowed)?;
    let member = find_member(connection, org, whom).await?.ok_or(MemberChangeError::MemberNotFound)?;
    Ok((acting.role, member))
}

/// Locks the organization's row until the transaction ends.
pub(in crate::server::store) async fn lock_org(connection: &mut AnyConnection, org: &OrgId) -> Result<(), StoreError> {
    let hold = "UPDATE organizations SET name = name WHERE id = $1";
    sqlx::query(hold).bind(org.as_str()).execute(connection).await?;
    Ok(())
}

/// Locks the organization, and returns whether a person may do this in it now: what a request began with may have ended
/// since, and what it creates would outlive that.
pub(in crate::server::store) async fn lock_and_check(
    connection: &mut AnyConnection,
    org: &OrgId,
    user: &UserId,
    permission: Permission,
) -> Result<bool, StoreError> {
    lock_org(connection, org).await?;
    Ok(find_role(connection, org, user).await?.is_some_and(|role| role.may(permission)))
}

/// Returns a member of the organization.
pub(super) async fn find_member(
    connection: &mut AnyConnection,
    org: &OrgId,
    user: &UserId,
) -> Result<Option<Member>, StoreError> {
    let row = sqlx::query(
        "SELECT m.role, u.email FROM memberships m JOIN users u ON u.id = m.user_id \
         WHERE m.org_id = $1 AND m.user_id = $2",
    )
    .bind(org.as_str())
    .bind(user.as_str())
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Member { user: user.clone(), email: row.try_get("email")?, role: role_from(&row)? }))
}

/// Inserts a membership's row, in the caller's transaction.
pub(in crate::server::store) async fn insert_member(
    connection: &mut AnyConnection,
    org: &OrgId,
    user: &UserId,
    role: Role,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO memberships (org_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)")
        .bind(org.as_str())
        .bind(user.as_str())
        .bind(role.as_str())
        .bind(now)
        .execute(connection)
        .await?;
    Ok(())
}

/// Returns a user's role in an organization, as read in the current transaction.
pub(in crate::server::store) async fn find_role(
    connection: &mut AnyConnection,
    org: &OrgId,
    user: &UserId,
) -> Result<Option<Role>, StoreError> {
    Ok(find_member(connection, org, user).await?.map(|member| member.role))
}

/// Returns whether the organization has no other owner than this one who can sign in.
pub(in crate::server::store::accounts) async fn is_last_owner(
    connection: &mut AnyConnection,
    org: &OrgId,
    owner: &UserId,
) -> Result<bool, StoreError> {
    let row = sqlx::query(
        "SELECT COUNT(*) FROM memberships m JOIN users u ON u.id = m.user_id \
         WHERE m.org_id = $1 AND m.role = 'owner' AND m.user_id <> $2 AND u.disabled_at IS NULL",
    )
    .bind(org.as_str())
    .bind(owner.as_str())
    .fetch_one(connection)
    .await?;
    Ok(row.try_get::<i64, _>(0)? == 0)
}

/// Reads an organization as its member sees it, from `id`, `name`, `role` and `attention`. `None` if the row has none.
pub(in crate::server::store) fn member_of(row: &AnyRow) -> Result<Option<OrgView>, StoreError> {
    let Some(role) = optional_text_value(row, "memberships", "role")? else { return Ok(None) };
    let attention = count(row.try_get("attention")?);
    Ok(Some(OrgView { id: OrgId(row.try_get("id")?), name: row.try_get("name")?, role, attention }))
}

/// Returns a count of rows as pages show it.
pub(in crate::server::store) fn count(rows: i64) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}

/// Reads the `role` column.
pub(in crate::server::store) fn role_from(row: &AnyRow) -> Result<Role, StoreError> {
    text_value(row, "memberships", "role")
}
