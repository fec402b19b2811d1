//! People and organisations that somebody else keeps, as a signed-in request claims them: their rows here are made
//! and brought up to date just in time.

use sqlx::{AnyConnection, Row};

use super::{Store, StoreError, new_id};
use crate::model::{OrgId, OrgView, Role, UserId};
use crate::server::domain::Actor;

/// What a checked token says of whoever sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct Asserted<'a> {
    pub user: &'a str,
    pub email: Option<&'a str>,
    pub org: Option<AssertedOrg<'a>>,
    /// How old the claim is, in unix seconds: newer news wins.
    pub issued_at: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AssertedOrg<'a> {
    pub id: &'a str,
    pub slug: Option<&'a str>,
    pub role: Role,
}

/// Our own rows for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub user: UserId,
    /// The address, or the external id where none is known.
    pub email: String,
    /// `None` where none was asserted, or where the organisation or the membership has ended since.
    pub org: Option<OrgView>,
}

/// The rows as they stand.
struct Rows {
    user: UserId,
    email: String,
    org: Option<OrgRow>,
}

struct OrgRow {
    id: OrgId,
    name: String,
    slug: Option<String>,
    ended: bool,
    last_used_at: Option<i64>,
    /// Role, and how old the news of it is.
    member: Option<(Role, i64)>,
    removed_at: Option<i64>,
}

/// How exact `last_used_at` is. Each request would be a write otherwise.
const USED_EVERY: i64 = 60 * 60;

impl Store {
    /// The rows of whoever a checked token speaks of. Writes only where something is new.
    pub async fn known(&self, asserted: &Asserted<'_>) -> Result<Known, StoreError> {
        let mut connection = self.pool().acquire().await?;
        let mut rows = read(&mut connection, asserted).await?;
        drop(connection);
        if !rows.as_ref().is_some_and(|rows| rows.agree_with(asserted)) {
            let mut transaction = self.database().begin().await?;
            let before = read(&mut transaction, asserted).await?;
            write(&mut transaction, asserted, self.clock().now()).await?;
            rows = read(&mut transaction, asserted).await?;
            if let Some(Rows { user, org: Some(org), .. }) = &rows {
                let before = before.and_then(|rows| rows.org).and_then(|org| org.member).map(|(role, _)| role);
                let keeper = self.acting(Actor::clerk());
                keeper.record_role(&mut transaction, &org.id, user, before).await?;
            }
            transaction.commit().await?;
        }
        let Some(rows) = rows else { return Err(sqlx::Error::RowNotFound.into()) };
        let org = rows.org.filter(|org| org.counts(asserted.issued_at));
        if let Some(org) = &org
            && org.last_used_at.is_none_or(|at| self.clock().now() - at >= USED_EVERY)
        {
            self.org_was_used(&org.id).await?;
        }
        let view = |org: OrgRow| org.member.map(|(role, _)| OrgView { id: org.id, name: org.name, role });
        Ok(Known { user: rows.user, email: rows.email, org: org.and_then(view) })
    }
}

impl Rows {
    fn agree_with(&self, asserted: &Asserted<'_>) -> bool {
        let email = asserted.email.is_none_or(|email| email == self.email);
        let Some(wanted) = &asserted.org else { return email };
        email
            && self.org.as_ref().is_some_and(|org| {
                // Of what has ended there is nothing to bring up to date.
                let told = org.slug.as_deref() == wanted.slug || wanted.slug.is_none();
                let over = org.ended || org.removed_at.is_some_and(|at| at >= asserted.issued_at);
                let member = org.member.is_some_and(|(role, at)| role == wanted.role || at > asserted.issued_at);
                over || (told && member && org.removed_at.is_none())
            })
    }
}

impl OrgRow {
    fn counts(&self, issued_at: i64) -> bool {
        !self.ended && self.removed_at.is_none_or(|at| at < issued_at)
    }
}

async fn read(connection: &mut AnyConnection, asserted: &Asserted<'_>) -> Result<Option<Rows>, StoreError> {
    let row = sqlx::query(
        "SELECT u.id AS user_id, u.email, o.id AS org_id, o.name, o.external_slug, o.external_deleted_at, \
         o.last_used_at, m.role, m.external_at, r.removed_at FROM users u \
         LEFT JOIN organizations o ON o.external_id = $1 \
         LEFT JOIN memberships m ON m.org_id = o.id AND m.user_id = u.id \
         LEFT JOIN membership_removals r ON r.org_id = o.id AND r.user_id = u.id WHERE u.external_id = $2",
    )
    .bind(asserted.org.as_ref().map(|org| org.id))
    .bind(asserted.user)
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let role: Option<String> = row.try_get("role")?;
    let role = role
        .map(|text| {
            Role::parse(&text).ok_or(StoreError::Unreadable { table: "memberships", column: "role", value: text })
        })
        .transpose()?;
    let told_at: Option<i64> = row.try_get("external_at")?;
    let org = match row.try_get::<Option<String>, _>("org_id")? {
        None => None,
        Some(id) => Some(OrgRow {
            id: OrgId(id),
            name: row.try_get("name")?,
            slug: row.try_get("external_slug")?,
            ended: row.try_get::<Option<i64>, _>("external_deleted_at")?.is_some(),
            last_used_at: row.try_get("last_used_at")?,
            member: role.map(|role| (role, told_at.unwrap_or(0))),
            removed_at: row.try_get("removed_at")?,
        }),
    };
    Ok(Some(Rows { user: UserId(row.try_get("user_id")?), email: row.try_get("email")?, org }))
}

async fn write(connection: &mut AnyConnection, asserted: &Asserted<'_>, now: i64) -> Result<(), StoreError> {
    let user = person(connection, asserted.user, asserted.email, now).await?;
    if let Some(wanted) = &asserted.org {
        let org = organisation(connection, wanted.id, wanted.slug, now).await?;
        join(connection, &org, &user, wanted.role, asserted.issued_at, now).await?;
    }
    Ok(())
}

/// The row of a person, made where it isn't there. An address that is somebody else's here stays theirs: nobody
/// takes over an account by its address.
pub(super) async fn person(
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
    let row = sqlx::query(
        "INSERT INTO users (id, email, password_hash, created_at, external_id) VALUES ($1, $2, '', $3, $4) \
         ON CONFLICT (external_id) WHERE external_id IS NOT NULL \
         DO UPDATE SET email = COALESCE($5, users.email) RETURNING id",
    )
    .bind(new_id::<UserId>().as_str())
    .bind(email.as_deref().unwrap_or(external))
    .bind(now)
    .bind(external)
    .bind(email.as_deref())
    .fetch_one(&mut *connection)
    .await?;
    Ok(UserId(row.try_get("id")?))
}

/// The row of an organisation, made where it isn't there. Its slug is its name until its keeper tells a better one.
pub(super) async fn organisation(
    connection: &mut AnyConnection,
    external: &str,
    slug: Option<&str>,
    now: i64,
) -> Result<OrgId, StoreError> {
    let row = sqlx::query(
        "INSERT INTO organizations (id, name, created_at, external_id, external_slug) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (external_id) WHERE external_id IS NOT NULL DO UPDATE SET \
         name = CASE WHEN organizations.external_at IS NULL THEN COALESCE($5, organizations.name) \
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

/// Makes or renews a membership, unless newer news says otherwise.
pub(super) async fn join(
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
        "INSERT INTO memberships (org_id, user_id, role, created_at, external_at) \
         SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS \
         (SELECT 1 FROM membership_removals WHERE org_id = $1 AND user_id = $2) AND EXISTS \
         (SELECT 1 FROM organizations WHERE id = $1 AND external_deleted_at IS NULL) \
         ON CONFLICT (org_id, user_id) DO UPDATE SET role = excluded.role, external_at = excluded.external_at \
         WHERE memberships.external_at IS NULL OR memberships.external_at <= excluded.external_at",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::Secret;
    use crate::server::store::NewUser;
    use crate::server::store::testing::{START, stores};

    fn claim(role: Role) -> Asserted<'static> {
        let org = AssertedOrg { id: "org_1", slug: Some("harbour"), role };
        Asserted { user: "user_1", email: None, org: Some(org), issued_at: START }
    }

    #[tokio::test]
    async fn rows_are_made_once_and_follow_what_is_claimed() {
        for (name, store) in stores().await {
            let first = store.known(&claim(Role::Admin)).await.unwrap();
            let org = first.org.clone().unwrap();
            assert_eq!(
                (first.email.as_str(), org.name.as_str(), org.role),
                ("user_1", "harbour", Role::Admin),
                "{name}"
            );
            assert_eq!(store.known(&claim(Role::Admin)).await.unwrap(), first, "{name}");

            assert_eq!(store.mailbox(&org.id, first.user.as_str()).await.unwrap(), None, "no address yet on {name}");
            let later = Asserted { email: Some("ann@example.com"), issued_at: START + 1, ..claim(Role::Member) };
            let known = store.known(&later).await.unwrap();
            assert_eq!((&known.user, known.email.as_str()), (&first.user, "ann@example.com"), "{name}");
            assert_eq!(known.org.unwrap().role, Role::Member, "{name}");
            assert!(store.set_mail(&org.id, &first.user, true).await.unwrap(), "{name}");
            let mailbox = store.mailbox(&org.id, first.user.as_str()).await.unwrap();
            assert_eq!(mailbox, Some(("ann@example.com".into(), "harbour".into())), "{name}");
            let older = store.known(&claim(Role::Admin)).await.unwrap();
            assert_eq!(older.org.unwrap().role, Role::Member, "an older token brings no lost role back on {name}");

            let nowhere = store.known(&Asserted { org: None, ..claim(Role::Admin) }).await.unwrap();
            assert_eq!((nowhere.user, nowhere.org), (first.user, None), "{name}");
        }
    }

    #[tokio::test]
    async fn many_first_requests_make_one_person() {
        for (name, store) in stores().await {
            let claims = claim(Role::Member);
            let all = futures::future::join_all((0..8).map(|_| store.known(&claims))).await;
            let known: Vec<Known> = all.into_iter().map(Result::unwrap).collect();
            assert!(known.iter().all(|one| one.user == known[0].user && one.org.is_some()), "{name}");
        }
    }

    #[tokio::test]
    async fn an_address_that_is_somebody_elses_stays_theirs() {
        for (name, store) in stores().await {
            let hash = Secret::new("hash");
            let new = NewUser { email: "ann@example.com", password_hash: &hash, org: None };
            let local = store.add_user(new).await.unwrap().unwrap();
            let asserted = Asserted { email: Some("Ann@example.com"), ..claim(Role::Admin) };
            let known = store.known(&asserted).await.unwrap();
            assert_ne!(known.user, local.user, "{name}");
            assert_eq!(known.email, "user_1", "{name}");
            assert_eq!(store.account("ann@example.com").await.unwrap().unwrap().id, local.user, "{name}");
            assert!(store.account("user_1").await.unwrap().is_none(), "nobody signs in here with an empty hash");
        }
    }
}
