//! What the keeper of people and organisations tells us by itself: new names and roles, and what has ended.

use sqlx::{AnyConnection, Row};

use super::changes::{Change, Writing};
use super::external::{join, organisation, person};
use super::members::role_of;
use super::{Store, StoreError};
use crate::model::{Action, OrgId, Role, UserId};
use crate::server::domain::{Actor, AuditEvent};

/// Something that happened to an organisation or a membership.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    Organisation(ExternalOrg),
    OrganisationEnded { id: String },
    Membership { org: ExternalOrg, user: ExternalUser, role: Role },
    MembershipEnded { org: ExternalOrg, user: ExternalUser },
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExternalOrg {
    pub id: String,
    pub name: String,
    pub slug: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExternalUser {
    pub id: String,
    pub email: Option<String>,
}

/// How long an id is remembered, in seconds: far longer than a signature counts.
const REMEMBERED: i64 = 24 * 60 * 60;

impl Store {
    /// Takes news in, once: `false` where this id was taken in before. `at` says how old it is.
    pub async fn take_news(&self, id: &str, at: i64, news: &News) -> Result<bool, StoreError> {
        let now = self.clock().now();
        let mut transaction = self.write().await?;
        let new =
            sqlx::query("INSERT INTO external_news (id, received_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING")
                .bind(id)
                .bind(now)
                .execute(&mut *transaction)
                .await?
                .rows_affected();
        if new == 0 {
            return Ok(false);
        }
        sqlx::query("DELETE FROM external_news WHERE received_at < $1")
            .bind(now - REMEMBERED)
            .execute(&mut *transaction)
            .await?;
        self.acting(Actor::clerk()).take_in(&mut transaction, news, at, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn take_in(&self, writing: &mut Writing, news: &News, at: i64, now: i64) -> Result<(), StoreError> {
        match news {
            News::Organisation(org) => {
                named(writing, org, at, now).await?;
            }
            News::OrganisationEnded { id } => {
                let org = organisation(writing, id, None, now).await?;
                end_organisation(writing, &org, at).await?;
                self.end_api_keys(writing, &org, None, at, self.actor()).await?;
                let event = AuditEvent::new(self.actor(), Action::OrganizationEnded).of(&org);
                self.record(writing, &event.on("organization", &org)).await?;
            }
            News::Membership { org, user, role } => {
                let org = named(writing, org, at, now).await?;
                let user = person(writing, &user.id, user.email.as_deref(), now).await?;
                let before = role_of(writing, &org, &user).await?;
                join(writing, &org, &user, *role, at, now).await?;
                self.record_role(writing, &org, &user, before).await?;
                writing.tell(Change::Person { user }).await?;
            }
            News::MembershipEnded { org, user } => {
                let org = named(writing, org, at, now).await?;
                let user = person(writing, &user.id, user.email.as_deref(), now).await?;
                let before = role_of(writing, &org, &user).await?;
                end_membership(writing, &org, &user, at).await?;
                self.end_api_keys(writing, &org, Some(&user), at, self.actor()).await?;
                self.record_role(writing, &org, &user, before).await?;
                writing.tell(Change::Person { user }).await?;
            }
        }
        Ok(())
    }
}

/// Tokens and consents from before end with it.
async fn end_membership(connection: &mut AnyConnection, org: &OrgId, user: &UserId, at: i64) -> Result<(), StoreError> {
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

/// The organisation's row, with the name that came with the newest news of it.
async fn named(connection: &mut AnyConnection, org: &ExternalOrg, at: i64, now: i64) -> Result<OrgId, StoreError> {
    let id = organisation(connection, &org.id, org.slug.as_deref(), now).await?;
    sqlx::query(
        "UPDATE organizations SET name = $1, external_at = $2 \
         WHERE id = $3 AND (external_at IS NULL OR external_at <= $2)",
    )
    .bind(&org.name)
    .bind(at)
    .bind(id.as_str())
    .execute(&mut *connection)
    .await?;
    Ok(id)
}

/// Nobody works in it any more; its connections wait for their own end.
async fn end_organisation(writing: &mut Writing, org: &OrgId, at: i64) -> Result<(), StoreError> {
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
        writing.tell(Change::Person { user: UserId(row.try_get("user_id")?) }).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::{START, stores};
    use crate::server::store::{Asserted, AssertedOrg};

    fn org(name: &str) -> ExternalOrg {
        ExternalOrg { id: "org_1".into(), name: name.into(), slug: Some("harbour".into()) }
    }

    fn ann() -> ExternalUser {
        ExternalUser { id: "user_1".into(), email: Some("ann@example.com".into()) }
    }

    fn claim(issued_at: i64) -> Asserted<'static> {
        let org = AssertedOrg { id: "org_1", slug: Some("harbour"), role: Role::Admin };
        Asserted { user: "user_1", email: None, org: Some(org), issued_at }
    }

    async fn role(store: &Store, issued_at: i64) -> Option<Role> {
        store.known(&claim(issued_at)).await.unwrap().org.map(|org| org.role)
    }

    #[tokio::test]
    async fn the_newest_name_stays_and_no_news_counts_twice() {
        for (name, store) in stores().await {
            let news = |name| News::Organisation(org(name));
            assert!(store.take_news("1", START, &news("Harbour Group")).await.unwrap());
            let known = store.known(&claim(START)).await.unwrap().org.unwrap();
            assert_eq!(known.name, "Harbour Group", "{name}");
            assert!(store.take_news("2", START + 9, &news("Harbour Coffee")).await.unwrap());
            assert!(store.take_news("3", START + 5, &news("Older")).await.unwrap());
            assert!(!store.take_news("2", START + 99, &news("Repeated")).await.unwrap(), "{name}");
            let known = store.known(&claim(START)).await.unwrap().org.unwrap();
            assert_eq!(known.name, "Harbour Coffee", "{name}");
        }
    }

    #[tokio::test]
    async fn a_role_that_was_taken_away_does_not_come_back_with_an_older_token() {
        for (name, store) in stores().await {
            let news = |role| News::Membership { org: org("Harbour Group"), user: ann(), role };
            store.take_news("1", START + 5, &news(Role::Member)).await.unwrap();
            assert_eq!(role(&store, START + 4).await, Some(Role::Member), "{name}");
            assert_eq!(store.known(&claim(START)).await.unwrap().email, "ann@example.com", "{name}");
            assert_eq!(role(&store, START + 6).await, Some(Role::Admin), "and with a newer one it does, on {name}");
        }
    }

    #[tokio::test]
    async fn a_membership_that_ended_takes_every_token_from_before() {
        for (name, store) in stores().await {
            assert_eq!(role(&store, START).await, Some(Role::Admin), "{name}");
            let ended = News::MembershipEnded { org: org("Harbour Group"), user: ann() };
            store.take_news("1", START + 5, &ended).await.unwrap();
            for issued_at in [START, START + 5] {
                assert_eq!(role(&store, issued_at).await, None, "{name}");
            }
            assert_eq!(role(&store, START + 6).await, Some(Role::Admin), "invited again on {name}");
            assert_eq!(role(&store, START).await, Some(Role::Admin), "{name}");
        }
    }

    #[tokio::test]
    async fn an_organisation_that_ended_stays_so() {
        for (name, store) in stores().await {
            assert_eq!(role(&store, START).await, Some(Role::Admin), "{name}");
            let ended = News::OrganisationEnded { id: "org_1".into() };
            store.take_news("1", START + 5, &ended).await.unwrap();
            assert_eq!(role(&store, START + 60).await, None, "{name}");
            let back = News::Membership { org: org("Harbour Group"), user: ann(), role: Role::Admin };
            store.take_news("2", START + 61, &back).await.unwrap();
            assert_eq!(role(&store, START + 62).await, None, "{name}");
            let row = sqlx::query("SELECT COUNT(*) FROM memberships").fetch_one(store.pool()).await.unwrap();
            assert_eq!(row.get::<i64, _>(0), 0, "{name}");
        }
    }
}
