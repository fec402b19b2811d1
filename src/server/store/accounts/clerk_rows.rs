//! The rows of Clerk's users, organizations and memberships, which session tokens and webhook events both state. They
//! are written in the caller's transaction.

use sqlx::{AnyConnection, Row};

use crate::model::{OrgId, Role, UserId};
use crate::server::store::notifications::moved_contacts::move_contact;
use crate::server::store::{StoreError, new_id};

/// Inserts or updates the row of a Clerk user. An email address that another account holds is not taken over: the row
/// then gets Clerk's user id in its place.
pub(in crate::server::store) async fn upsert_user(
    connection: &mut AnyConnection,
    external: &str,
    email: Option<&str>,
    now: i64,
) -> Result<UserId, StoreError> {
    let email = email.map(str::to_lowercase);
    let taken = sqlx::query("SELECT id FROM users WHERE email = $1 AND (external_id IS NULL OR external_id <> $2)")
        .bind(email.as_deref())
        .bind(external)
        .fetch_optional(&mut *connection)
        .await?
        .is_some();
    let email = email.filter(|_| !taken);
    // Another request may add the same user now, or another account with the same address. No conflict target is named,
    // because either of two unique columns may then refuse the row.
    for address in [email.as_deref().unwrap_or(external), external] {
        sqlx::query(
            "INSERT INTO users (id, email, password_hash, created_at, external_id) VALUES ($1, $2, '', $3, $4) \
             ON CONFLICT DO NOTHING",
        )
        .bind(new_id::<UserId>().as_str())
        .bind(address)
        .bind(now)
        .bind(external)
        .execute(&mut *connection)
        .await?;
        let known = sqlx::query("SELECT id, email FROM users WHERE external_id = $1").bind(external);
        if let Some(known) = known.fetch_optional(&mut *connection).await? {
            let user = UserId(known.try_get("id")?);
            if let Some(email) = &email {
                set_email(connection, &user, &known.try_get::<String, _>("email")?, email, now).await?;
            }
            return Ok(user);
        }
    }
    Err(sqlx::Error::RowNotFound.into())
}

/// Updates a user's address, also where it is a contact of connections.
async fn set_email(
    connection: &mut AnyConnection,
    user: &UserId,
    old: &str,
    new: &str,
    now: i64,
) -> Result<(), StoreError> {
    if old == new {
        return Ok(());
    }
    sqlx::query("UPDATE users SET email = $1 WHERE id = $2")
        .bind(new)
        .bind(user.as_str())
        .execute(&mut *connection)
        .await?;
    move_contact(connection, user, old, new, now).await
}

/// Inserts or updates the row of a Clerk organization. The slug is its name until a Clerk event brings the real one.
pub(in crate::server::store) async fn upsert_org(
    connection: &mut AnyConnection,
    external: &str,
    slug: Option<&str>,
    now: i64,
) -> Result<OrgId, StoreError> {
    let row = sqlx::query(
        "INSERT INTO organizations (id, name, created_at, external_id, external_slug) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (external_id) WHERE external_id IS NOT NULL DO UPDATE SET \
         name = CASE WHEN organizations.external_updated_at IS NULL THEN COALESCE($5, organizations.name) \
         ELSE organizations.name END, \
         external_slug = COALESCE($5, organizations.external_slug) RETURNING id",
    )
    .bind(new_id::<OrgId>().as_str())
    .bind(slug.unwrap_or(external))
    .bind(now)
    .bind(external)
    .bind(slug)
    .fetch_one(&mut *connection)
    .await?;
    Ok(OrgId(row.try_get("id")?))
}

/// Inserts or updates a membership, unless a newer event or token contradicts it.
pub(in crate::server::store) async fn upsert_membership(
    connection: &mut AnyConnection,
    org: &OrgId,
    user: &UserId,
    role: Role,
    at: i64,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM membership_removals WHERE org_id = $1 AND user_id = $2 AND removed_at < $3")
        .bind(org.as_str())
        .bind(user.as_str())
        .bind(at)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO memberships (org_id, user_id, role, created_at, external_updated_at) \
         SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS \
         (SELECT 1 FROM membership_removals WHERE org_id = $1 AND user_id = $2) AND EXISTS \
         (SELECT 1 FROM organizations WHERE id = $1 AND external_deleted_at IS NULL) \
         ON CONFLICT (org_id, user_id) DO UPDATE SET role = excluded.role, external_updated_at = excluded.external_updated_at \
         WHERE memberships.external_updated_at IS NULL OR memberships.external_updated_at <= excluded.external_updated_at",
    )
    .bind(org.as_str())
    .bind(user.as_str())
    .bind(role.as_str())
    .bind(now)
    .bind(at)
    .execute(&mut *connection)
    .await?;
    Ok(())
}
