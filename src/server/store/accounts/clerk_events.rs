//! Applies Clerk's webhook events to organizations and memberships.

use sqlx::{AnyConnection, Row};

use super::clerk_rows::{upsert_membership, upsert_org, upsert_user};
use super::members::rows::find_role;
use crate::model::{Action, OrgId, Role, UserId};
use crate::server::domain::{Actor, AuditEvent};
use crate::server::store::accounts::api_keys::KeyEnd;
use crate::server::store::live::changes::{Change, ChangeTx};
use crate::server::store::notifications::contacts::remove_contact_everywhere;
use crate::server::store::{Store, StoreError};

/// A change of an organization or a membership in Clerk.
#[derive(Clone, Debug, PartialEq)]
pub enum ClerkEvent {
    /// An organization was created or updated.
    OrganizationChanged(ClerkOrg),
    /// An organization was deleted.
    OrganizationDeleted {
        /// Clerk's id of the organization.
        id: String,
    },
    /// A user joined an organization, or their membership was updated.
    MembershipChanged {
        /// Organization of the membership.
        org: ClerkOrg,
        /// The member.
        user: ClerkUser,
        /// Role of the member from now on.
        role: Role,
    },
    /// A user left an organization or was removed from it.
    MembershipDeleted {
        /// Organization of the former membership.
        org: ClerkOrg,
        /// The former member.
        user: ClerkUser,
    },
}

/// An organization as a Clerk event describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClerkOrg {
    /// Clerk's id of the organization.
    pub id: String,
    /// Name of the organization.
    pub name: String,
    /// Slug of the organization; `None` if it has none.
    pub slug: Option<String>,
}

/// A user as a Clerk event describes them.
#[derive(Clone, Debug, PartialEq)]
pub struct ClerkUser {
    /// Clerk's id of the user.
    pub id: String,
    /// Email address of the user; `None` if the event contains none.
    pub email: Option<String>,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceivedEvent {
    /// The event was new, and its change has been committed.
    Applied,
    /// An event with the same id was applied before.
    Duplicate,
}

/// How long event ids are kept to detect repeats, in seconds. Far longer than a webhook signature is valid.
const EVENT_ID_RETENTION: i64 = 24 * 60 * 60;

impl Store {
    /// Applies an event once. `at` is when Clerk sent it, in unix seconds.
    pub async fn receive_clerk_event(
        &self,
        id: &str,
        at: i64,
        event: &ClerkEvent,
    ) -> Result<ReceivedEvent, StoreError> {
        let now = self.clock().now();
        let mut transaction = self.begin_change_tx().await?;
        let inserted =
            sqlx::query("INSERT INTO clerk_events (id, received_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING")
                .bind(id)
                .bind(now)
                .execute(&mut *transaction)
                .await?
                .rows_affected();
        if inserted == 0 {
            return Ok(ReceivedEvent::Duplicate);
        }
        sqlx::query("DELETE FROM clerk_events WHERE received_at < $1")
            .bind(now - EVENT_ID_RETENTION)
            .execute(&mut *transaction)
            .await?;
        self.as_actor(Actor::clerk()).apply_event(&mut transaction, event, at, now).await?;
        transaction.commit().await?;
        Ok(ReceivedEvent::Applied)
    }

    async fn apply_event(
        &self,
        writing: &mut ChangeTx,
        event: &ClerkEvent,
        at: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        match event {
            ClerkEvent::OrganizationChanged(org) => {
                upsert_named_org(writing, org, at, now).await?;
            }
            ClerkEvent::OrganizationDeleted { id } => {
                let org = upsert_org(writing, id, None, now).await?;
                mark_org_deleted(writing, &org, at).await?;
                self.revoke_api_keys(writing, &org, KeyEnd::OrganizationDeleted, at).await?;
                let event = AuditEvent::new(self.actor(), Action::OrganizationDeleted).in_org(&org);
                self.record(writing, &event.subject("organization", &org)).await?;
            }
            ClerkEvent::MembershipChanged { org, user, role } => {
                let org = upsert_named_org(writing, org, at, now).await?;
                let user = upsert_user(writing, &user.id, user.email.as_deref(), now).await?;
                let before = find_role(writing, &org, &user).await?;
                upsert_membership(writing, &org, &user, *role, at, now).await?;
                self.record_role_change(writing, &org, &user, before).await?;
                writing.publish(Change::Person { user }).await?;
            }
            ClerkEvent::MembershipDeleted { org, user } => {
                let org = upsert_named_org(writing, org, at, now).await?;
                let user = upsert_user(writing, &user.id, user.email.as_deref(), now).await?;
                let before = find_role(writing, &org, &user).await?;
                delete_membership(writing, &org, &user, at).await?;
                if let Some(email) = email_of(writing, &user).await? {
                    remove_contact_everywhere(writing, &org, &email, now).await?;
                }
                self.revoke_api_keys(writing, &org, KeyEnd::CreatorLeft(&user), at).await?;
                self.record_role_change(writing, &org, &user, before).await?;
                writing.publish(Change::Person { user }).await?;
            }
        }
        Ok(())
    }
}

async fn email_of(connection: &mut AnyConnection, user: &UserId) -> Result<Option<String>, StoreError> {
    let row =
        sqlx::query("SELECT email FROM users WHERE id = $1").bind(user.as_str()).fetch_optional(connection).await?;
    Ok(row.map(|row| row.try_get("email")).transpose()?)
}

/// Deletes a membership and its unfinished consents, and records the removal so that older tokens are refused.
async fn delete_membership(
    connection: &mut AnyConnection,
    org: &OrgId,
    user: &UserId,
    at: i64,
) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM memberships WHERE org_id = $1 AND user_id = $2",
        "DELETE FROM oauth_states WHERE org_id = $1 AND user_id = $2 AND pending_grant_id IS NULL",
    ] {
        sqlx::query(statement).bind(org.as_str()).bind(user.as_str()).execute(&mut *connection).await?;
    }
    sqlx::query(
        "INSERT INTO membership_removals (org_id, user_id, removed_at) VALUES ($1, $2, $3) \
         ON CONFLICT (org_id, user_id) DO UPDATE SET removed_at = excluded.removed_at",
    )
    .bind(org.as_str())
    .bind(user.as_str())
    .bind(at)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// Inserts or updates the organization's row. Its name is the one from the newest event.
async fn upsert_named_org(
    connection: &mut AnyConnection,
    org: &ClerkOrg,
    at: i64,
    now: i64,
) -> Result<OrgId, StoreError> {
    let id = upsert_org(connection, &org.id, org.slug.as_deref(), now).await?;
    sqlx::query(
        "UPDATE organizations SET name = $1, external_updated_at = $2 \
         WHERE id = $3 AND (external_updated_at IS NULL OR external_updated_at <= $2)",
    )
    .bind(&org.name)
    .bind(at)
    .bind(id.as_str())
    .execute(&mut *connection)
    .await?;
    Ok(id)
}

/// Marks an organization as deleted and ends its memberships and unfinished consents. Its connections are disconnected
/// later, by offboarding.
async fn mark_org_deleted(writing: &mut ChangeTx, org: &OrgId, at: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE organizations SET external_deleted_at = $1 WHERE id = $2 AND external_deleted_at IS NULL")
        .bind(at)
        .bind(org.as_str())
        .execute(&mut **writing)
        .await?;
    for statement in [
        "DELETE FROM oauth_states WHERE org_id = $1 AND pending_grant_id IS NULL",
        "UPDATE sessions SET active_org_id = NULL WHERE active_org_id = $1",
    ] {
        sqlx::query(statement).bind(org.as_str()).execute(&mut **writing).await?;
    }
    let members = sqlx::query("DELETE FROM memberships WHERE org_id = $1 RETURNING user_id")
        .bind(org.as_str())
        .fetch_all(&mut **writing)
        .await?;
    for row in members {
        writing.publish(Change::Person { user: UserId(row.try_get("user_id")?) }).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::{START, each_store};
    use crate::server::store::{IdentityClaims, OrgClaims};

    fn org(name: &str) -> ClerkOrg {
        ClerkOrg { id: "org_1".into(), name: name.into(), slug: Some("harbour".into()) }
    }

    fn ann() -> ClerkUser {
        ClerkUser { id: "user_1".into(), email: Some("ann@example.com".into()) }
    }

    fn claim(issued_at: i64) -> IdentityClaims<'static> {
        let org = OrgClaims { id: "org_1", slug: Some("harbour"), role: Role::Admin };
        IdentityClaims { user: "user_1", email: None, org: Some(org), issued_at }
    }

    async fn role(store: &Store, issued_at: i64) -> Option<Role> {
        store.sync_identity(&claim(issued_at)).await.unwrap().org.map(|org| org.role)
    }

    #[apply(each_store!)]
    async fn newest_name_wins_and_repeated_events_are_ignored(store: Store) {
        let news = |name| ClerkEvent::OrganizationChanged(org(name));
        assert_eq!(
            store.receive_clerk_event("1", START, &news("Harbour Group")).await.unwrap(),
            ReceivedEvent::Applied
        );
        let known = store.sync_identity(&claim(START)).await.unwrap().org.unwrap();
        assert_eq!(known.name, "Harbour Group");
        assert_eq!(
            store.receive_clerk_event("2", START + 9, &news("Harbour Coffee")).await.unwrap(),
            ReceivedEvent::Applied
        );
        assert_eq!(store.receive_clerk_event("3", START + 5, &news("Older")).await.unwrap(), ReceivedEvent::Applied);
        assert_eq!(
            store.receive_clerk_event("2", START + 99, &news("Repeated")).await.unwrap(),
            ReceivedEvent::Duplicate
        );
        let known = store.sync_identity(&claim(START)).await.unwrap().org.unwrap();
        assert_eq!(known.name, "Harbour Coffee");
    }

    #[apply(each_store!)]
    async fn older_token_does_not_restore_a_revoked_role(store: Store) {
        let news = |role| ClerkEvent::MembershipChanged { org: org("Harbour Group"), user: ann(), role };
        store.receive_clerk_event("1", START + 5, &news(Role::Member)).await.unwrap();
        assert_eq!(role(&store, START + 4).await, Some(Role::Member));
        assert_eq!(store.sync_identity(&claim(START)).await.unwrap().email, "ann@example.com");
        assert_eq!(role(&store, START + 6).await, Some(Role::Admin), "a newer token restores the role");
    }

    #[apply(each_store!)]
    async fn deleted_membership_invalidates_older_tokens(store: Store) {
        assert_eq!(role(&store, START).await, Some(Role::Admin));
        let ended = ClerkEvent::MembershipDeleted { org: org("Harbour Group"), user: ann() };
        store.receive_clerk_event("1", START + 5, &ended).await.unwrap();
        for issued_at in [START, START + 5] {
            assert_eq!(role(&store, issued_at).await, None);
        }
        assert_eq!(role(&store, START + 6).await, Some(Role::Admin), "invited again");
        assert_eq!(role(&store, START).await, Some(Role::Admin));
    }

    #[apply(each_store!)]
    async fn deleted_organization_is_never_restored(store: Store) {
        assert_eq!(role(&store, START).await, Some(Role::Admin));
        let ended = ClerkEvent::OrganizationDeleted { id: "org_1".into() };
        store.receive_clerk_event("1", START + 5, &ended).await.unwrap();
        assert_eq!(role(&store, START + 60).await, None);
        let back = ClerkEvent::MembershipChanged { org: org("Harbour Group"), user: ann(), role: Role::Admin };
        store.receive_clerk_event("2", START + 61, &back).await.unwrap();
        assert_eq!(role(&store, START + 62).await, None);
        let row = sqlx::query("SELECT COUNT(*) FROM memberships").fetch_one(store.pool()).await.unwrap();
        assert_eq!(row.get::<i64, _>(0), 0);
    }
}
