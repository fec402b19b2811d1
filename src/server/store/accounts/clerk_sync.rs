//! Creates and updates the rows of Clerk's users, organizations and memberships from the claims of a verified session
//! token, at request time.

use sqlx::{AnyConnection, Row};

use super::clerk_rows::{upsert_membership, upsert_org, upsert_user};
use super::members::rows::{count, needing_reauth_sql};
use crate::model::{EventKind, OrgId, OrgView, Role, UserId};
use crate::server::domain::Actor;
use crate::server::store::notifications::read_markers::{
    ReadState, read_state_from, read_until_sql, unread_events_sql,
};
use crate::server::store::text_values::optional_text_value;
use crate::server::store::{Store, StoreError};

/// The claims of a verified session token.
#[derive(Clone, Debug, PartialEq)]
pub struct IdentityClaims<'a> {
    /// Clerk's id of the user.
    pub user: &'a str,
    /// Email address of the user; `None` if the token has no such claim.
    pub email: Option<&'a str>,
    /// Active organization; `None` if the token names none.
    pub org: Option<OrgClaims<'a>>,
    /// When the token was issued, in unix seconds. A newer token or event overrides an older one.
    pub issued_at: i64,
}

/// The token's active organization, and the user's role in it.
#[derive(Clone, Debug, PartialEq)]
pub struct OrgClaims<'a> {
    /// Clerk's id of the organization.
    pub id: &'a str,
    /// Clerk's slug of the organization; `None` if the token has no such claim.
    pub slug: Option<&'a str>,
    /// The user's role in the organization.
    pub role: Role,
}

/// The stored user and organization that a token's claims refer to.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredIdentity {
    /// Id of the stored user.
    pub user: UserId,
    /// The email address, or Clerk's user id if none is known.
    pub email: String,
    /// The time zone that the user chose here. Clerk knows none.
    pub time_zone: Option<String>,
    /// `None` if the token names no organization, or if the organization or the membership has ended since.
    pub org: Option<OrgView>,
    /// What the user has read of the organization's events.
    pub read: Option<ReadState>,
}

/// The rows that the claims refer to, as they are stored now.
struct IdentityRows {
    user: UserId,
    email: String,
    time_zone: Option<String>,
    org: Option<OrgRow>,
}

struct OrgRow {
    id: OrgId,
    name: String,
    slug: Option<String>,
    deleted: bool,
    last_used_at: Option<i64>,
    /// The role, and when Clerk last stated it (unix seconds).
    member: Option<(Role, i64)>,
    removed_at: Option<i64>,
    attention: u32,
    read: Option<ReadState>,
}

/// The precision of `last_used_at`, in seconds. It saves a write per request.
const LAST_USED_PRECISION: i64 = 60 * 60;

impl Store {
    /// Returns the stored user and organization that the claims refer to, and creates or updates their rows if they
    /// differ from the claims.
    pub async fn sync_identity(&self, asserted: &IdentityClaims<'_>) -> Result<StoredIdentity, StoreError> {
        let mut connection = self.pool().acquire().await?;
        let mut rows = read_identity(&mut connection, asserted).await?;
        drop(connection);
        if !rows.as_ref().is_some_and(|rows| rows.matches_claims(asserted)) {
            let mut transaction = self.database().begin().await?;
            let before = read_identity(&mut transaction, asserted).await?;
            upsert_identity(&mut transaction, asserted, self.clock().now()).await?;
            rows = read_identity(&mut transaction, asserted).await?;
            if let Some(IdentityRows { user, org: Some(org), .. }) = &rows {
                let before = before.and_then(|rows| rows.org).and_then(|org| org.member).map(|(role, _)| role);
                let keeper = self.as_actor(Actor::clerk());
                keeper.record_role_change(&mut transaction, &org.id, user, before).await?;
            }
            transaction.commit().await?;
        }
        let Some(rows) = rows else { return Err(sqlx::Error::RowNotFound.into()) };
        let org = rows.org.filter(|org| org.accepts_token_issued_at(asserted.issued_at));
        if let Some(org) = &org
            && org.last_used_at.is_none_or(|at| self.clock().now() - at >= LAST_USED_PRECISION)
        {
            self.touch_org(&org.id).await?;
        }
        let read = org.as_ref().and_then(|org| org.read);
        let view = |OrgRow { id, name, member, attention, .. }: OrgRow| {
            member.map(|(role, _)| OrgView { id, name, role, attention })
        };
        let IdentityRows { user, email, time_zone, .. } = rows;
        Ok(StoredIdentity { user, email, time_zone, org: org.and_then(view), read })
    }
}

impl IdentityRows {
    fn matches_claims(&self, asserted: &IdentityClaims<'_>) -> bool {
        let email = asserted.email.is_none_or(|email| email == self.email);
        let Some(wanted) = &asserted.org else { return email };
        email
            && self.org.as_ref().is_some_and(|org| {
                // A deleted organization or an ended membership is not updated.
                let is_same = org.slug.as_deref() == wanted.slug || wanted.slug.is_none();
                let over = org.deleted || org.removed_at.is_some_and(|at| at >= asserted.issued_at);
                let member = org.member.is_some_and(|(role, at)| role == wanted.role || at > asserted.issued_at);
                over || (is_same && member && org.removed_at.is_none())
            })
    }
}

impl OrgRow {
    fn accepts_token_issued_at(&self, issued_at: i64) -> bool {
        !self.deleted && self.removed_at.is_none_or(|at| at < issued_at)
    }
}

async fn read_identity(
    connection: &mut AnyConnection,
    asserted: &IdentityClaims<'_>,
) -> Result<Option<IdentityRows>, StoreError> {
    let row = sqlx::query(concat!(
        "SELECT u.id AS user_id, u.email, u.time_zone, o.id AS org_id, o.name, o.external_slug, \
         o.external_deleted_at, o.last_used_at, m.role, m.external_updated_at, r.removed_at, ",
        needing_reauth_sql!("o.id"),
        " AS attention, ",
        read_until_sql!(),
        " AS read_until, CASE WHEN m.role IS NOT NULL THEN ",
        unread_events_sql!("$3", "$4", "$5", "$6"),
        " END AS unread FROM users u \
         LEFT JOIN organizations o ON o.external_id = $1 \
         LEFT JOIN memberships m ON m.org_id = o.id AND m.user_id = u.id \
         LEFT JOIN membership_removals r ON r.org_id = o.id AND r.user_id = u.id WHERE u.external_id = $2"
    ))
    .bind(asserted.org.as_ref().map(|org| org.id))
    .bind(asserted.user)
    .bind(EventKind::Test.as_str())
    .bind(EventKind::FOR_PROGRAMS[0].as_str())
    .bind(EventKind::FOR_PROGRAMS[1].as_str())
    .bind(EventKind::FOR_PROGRAMS[2].as_str())
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let role: Option<Role> = optional_text_value(&row, "memberships", "role")?;
    let told_at: Option<i64> = row.try_get("external_updated_at")?;
    let org = match row.try_get::<Option<String>, _>("org_id")? {
        None => None,
        Some(id) => Some(OrgRow {
            id: OrgId(id),
            name: row.try_get("name")?,
            slug: row.try_get("external_slug")?,
            deleted: row.try_get::<Option<i64>, _>("external_deleted_at")?.is_some(),
            last_used_at: row.try_get("last_used_at")?,
            member: role.map(|role| (role, told_at.unwrap_or(0))),
            removed_at: row.try_get("removed_at")?,
            attention: count(row.try_get("attention")?),
            read: read_state_from(&row)?,
        }),
    };
    let (user, email) = (UserId(row.try_get("user_id")?), row.try_get("email")?);
    Ok(Some(IdentityRows { user, email, time_zone: row.try_get("time_zone")?, org }))
}

async fn upsert_identity(
    connection: &mut AnyConnection,
    asserted: &IdentityClaims<'_>,
    now: i64,
) -> Result<(), StoreError> {
    let user = upsert_user(connection, asserted.user, asserted.email, now).await?;
    if let Some(wanted) = &asserted.org {
        let org = upsert_org(connection, wanted.id, wanted.slug, now).await?;
        upsert_membership(connection, &org, &user, wanted.role, asserted.issued_at, now).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EmailChoice;
    use crate::server::domain::Secret;
    use crate::server::store::testing::{START, each_store};
    use crate::server::store::{NewUser, RowChange};

    fn claim(role: Role) -> IdentityClaims<'static> {
        let org = OrgClaims { id: "org_1", slug: Some("harbour"), role };
        IdentityClaims { user: "user_1", email: None, org: Some(org), issued_at: START }
    }

    #[apply(each_store!)]
    async fn rows_are_created_once_and_updated_from_claims(store: Store) {
        let first = store.sync_identity(&claim(Role::Admin)).await.unwrap();
        let org = first.org.clone().unwrap();
        assert_eq!((first.email.as_str(), org.name.as_str(), org.role), ("user_1", "harbour", Role::Admin));
        assert_eq!(store.sync_identity(&claim(Role::Admin)).await.unwrap(), first);

        assert_eq!(
            store.notification_email(&org.id, first.user.as_str()).await.unwrap(),
            None,
            "no email address is known yet"
        );
        let later = IdentityClaims { email: Some("ann@example.com"), issued_at: START + 1, ..claim(Role::Member) };
        let known = store.sync_identity(&later).await.unwrap();
        assert_eq!((&known.user, known.email.as_str()), (&first.user, "ann@example.com"));
        assert_eq!(known.org.unwrap().role, Role::Member);
        let set = store.set_email_notifications(&org.id, &first.user, EmailChoice::On).await.unwrap();
        assert_eq!(set, RowChange::Applied);
        let mailbox = store.notification_email(&org.id, first.user.as_str()).await.unwrap();
        let mailbox = mailbox.map(|one| (one.email, one.org_name));
        assert_eq!(mailbox, Some(("ann@example.com".into(), "harbour".into())));
        let older = store.sync_identity(&claim(Role::Admin)).await.unwrap();
        assert_eq!(older.org.unwrap().role, Role::Member, "an older token does not restore a lost role");

        let nowhere = store.sync_identity(&IdentityClaims { org: None, ..claim(Role::Admin) }).await.unwrap();
        assert_eq!((nowhere.user, nowhere.org), (first.user, None));
    }

    #[apply(each_store!)]
    async fn concurrent_first_requests_create_one_user(store: Store) {
        let claims = claim(Role::Member);
        let all = futures::future::join_all((0..8).map(|_| store.sync_identity(&claims))).await;
        let known: Vec<StoredIdentity> = all.into_iter().map(Result::unwrap).collect();
        assert!(known.iter().all(|one| one.user == known[0].user && one.org.is_some()));
    }

    #[apply(each_store!)]
    async fn email_address_of_another_account_is_not_taken_over(store: Store) {
        let hash = Secret::new("hash");
        let new = NewUser { email: "ann@example.com", password_hash: &hash, org: None };
        let local = store.add_user(new).await.unwrap();
        let asserted = IdentityClaims { email: Some("Ann@example.com"), ..claim(Role::Admin) };
        let known = store.sync_identity(&asserted).await.unwrap();
        assert_ne!(known.user, local.user);
        assert_eq!(known.email, "user_1");
        assert_eq!(store.account("ann@example.com").await.unwrap().unwrap().id, local.user);
        assert!(store.account("user_1").await.unwrap().is_none(), "an account with an empty hash cannot sign in");
    }
}
