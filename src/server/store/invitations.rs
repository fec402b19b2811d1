//! Invitations: links that let somebody join an organisation, once, within a week.

use sqlx::{AnyConnection, Row};

use super::changes::Change;
use super::members::{By, hold, role_in, role_of};
use super::orgs::insert_member;
use super::users::insert_user;
use super::{Store, StoreError, new_id};
use crate::model::{Action, InvitationId, InvitationView, Invited, OrgId, Role, UserId};
use crate::server::domain::{Actor, AuditEvent, Secret};

/// How long a link works, in seconds.
pub const INVITATION_LIFE: i64 = 7 * 24 * 60 * 60;
/// More open ones than anybody needs.
const MOST_OPEN: i64 = 50;

/// What came of making one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inviting {
    Made(InvitationId),
    NotAllowed,
    TooMany,
}

/// Who follows a link.
pub enum Guest<'a> {
    /// Somebody who is signed in.
    Known { user: &'a UserId, email: &'a str },
    /// Somebody who gets an account with it. The address is in lower case already.
    New { email: &'a str, password_hash: &'a Secret },
}

/// What came of following a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    Joined {
        org: OrgId,
        user: UserId,
    },
    /// Nothing was used up.
    MemberAlready {
        org: OrgId,
    },
    EmailTaken,
    /// Used, taken back, too old, or never there.
    Over,
}

impl Store {
    /// Makes an invitation, known by the hash of its link's secret. Nobody invites as more than they may manage.
    pub async fn invite(&self, org: &OrgId, by: By<'_>, role: Role, hash: &str) -> Result<Inviting, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.write().await?;
        hold(&mut transaction, org).await?;
        let mine = role_of(&mut transaction, org, by.user).await?;
        if !mine.is_some_and(|mine| mine.may_manage(role)) {
            return Ok(Inviting::NotAllowed);
        }
        let open = sqlx::query(
            "SELECT COUNT(*) FROM invitations WHERE org_id = $1 AND expires_at > $2 AND accepted_at IS NULL \
             AND revoked_at IS NULL",
        );
        let open: i64 = open.bind(org.as_str()).bind(now).fetch_one(&mut *transaction).await?.try_get(0)?;
        if open >= MOST_OPEN {
            return Ok(Inviting::TooMany);
        }
        let id: InvitationId = new_id();
        sqlx::query(
            "INSERT INTO invitations (id, org_id, token_hash, role, invited_by, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(id.as_str())
        .bind(org.as_str())
        .bind(hash)
        .bind(role.as_str())
        .bind(by.user.as_str())
        .bind(now)
        .bind(now + INVITATION_LIFE)
        .execute(&mut *transaction)
        .await?;
        let event = AuditEvent::new(by.actor, Action::InvitationCreated).of(org).on("invitation", &id);
        self.record(&mut transaction, &event.with("role", role.as_str())).await?;
        transaction.commit().await?;
        Ok(Inviting::Made(id))
    }

    /// The organisation's open invitations, newest first.
    pub async fn invitations(&self, org: &OrgId) -> Result<Vec<InvitationView>, StoreError> {
        let rows = sqlx::query(
            "SELECT i.id, i.role, i.created_at, i.expires_at, u.email FROM invitations i \
             LEFT JOIN users u ON u.id = i.invited_by WHERE i.org_id = $1 AND i.expires_at > $2 \
             AND i.accepted_at IS NULL AND i.revoked_at IS NULL ORDER BY i.created_at DESC, i.id",
        )
        .bind(org.as_str())
        .bind(self.clock.now())
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(InvitationView {
                    id: InvitationId(row.try_get("id")?),
                    role: role_in(row)?,
                    invited_by: row.try_get("email")?,
                    created_at: row.try_get("created_at")?,
                    expires_at: row.try_get("expires_at")?,
                })
            })
            .collect()
    }

    /// Takes an open invitation back. `false` where the organisation has no such one.
    pub async fn revoke_invitation(&self, org: &OrgId, actor: &Actor, id: &InvitationId) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let done = sqlx::query(
            "UPDATE invitations SET revoked_at = $1 WHERE id = $2 AND org_id = $3 AND accepted_at IS NULL \
             AND revoked_at IS NULL RETURNING role",
        )
        .bind(self.clock.now())
        .bind(id.as_str())
        .bind(org.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = done else { return Ok(false) };
        let event = AuditEvent::new(actor, Action::InvitationRevoked).of(org).on("invitation", id);
        self.record(&mut transaction, &event.with("role", role_in(&row)?.as_str())).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// What the page behind a link says; `None` for one that is over.
    pub async fn invited(&self, hash: &str) -> Result<Option<Invited>, StoreError> {
        let row = sqlx::query(
            "SELECT o.name, i.role, u.email FROM invitations i JOIN organizations o ON o.id = i.org_id \
             LEFT JOIN users u ON u.id = i.invited_by WHERE i.token_hash = $1 AND i.expires_at > $2 \
             AND i.accepted_at IS NULL AND i.revoked_at IS NULL",
        )
        .bind(hash)
        .bind(self.clock.now())
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Invited {
            organisation: row.try_get("name")?,
            role: role_in(&row)?,
            invited_by: row.try_get("email")?,
        }))
    }

    /// Uses an invitation up: the guest joins, in one transaction with the account where one is made.
    pub async fn accept_invitation(
        &self,
        hash: &str,
        guest: Guest<'_>,
        address: Option<String>,
    ) -> Result<Accepted, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.write().await?;
        let Some((id, org, role)) = use_up(&mut transaction, hash, now).await? else { return Ok(Accepted::Over) };
        let (user, email) = match guest {
            Guest::Known { user, email } => (user.clone(), email),
            Guest::New { email, password_hash } => {
                match insert_user(&mut transaction, email, password_hash, now).await? {
                    Some(user) => (user, email),
                    None => return Ok(Accepted::EmailTaken),
                }
            }
        };
        if role_of(&mut transaction, &org, &user).await?.is_some() {
            return Ok(Accepted::MemberAlready { org });
        }
        insert_member(&mut transaction, &org, &user, role, now).await?;
        for (statement, value) in [
            ("UPDATE invitations SET accepted_by = $1 WHERE id = $2", id.as_str()),
            // Whoever comes back hasn't left any more: what they connected stays.
            ("DELETE FROM membership_removals WHERE user_id = $1 AND org_id = $2", org.as_str()),
        ] {
            sqlx::query(statement).bind(user.as_str()).bind(value).execute(&mut *transaction).await?;
        }
        let actor = Actor::person(&user, email, address);
        let event = AuditEvent::new(&actor, Action::MemberJoined).of(&org).on("user", &user);
        self.record(&mut transaction, &event.with("role", role.as_str())).await?;
        transaction.tell(Change::Person { user: user.clone() }).await?;
        transaction.commit().await?;
        Ok(Accepted::Joined { org, user })
    }
}

/// Marks the link as used, whoever else follows it at the same time; undone where nobody joins after all.
async fn use_up(
    connection: &mut AnyConnection,
    hash: &str,
    now: i64,
) -> Result<Option<(InvitationId, OrgId, Role)>, StoreError> {
    let row = sqlx::query(
        "UPDATE invitations SET accepted_at = $1 WHERE token_hash = $2 AND expires_at > $1 \
         AND accepted_at IS NULL AND revoked_at IS NULL RETURNING id, org_id, role",
    )
    .bind(now)
    .bind(hash)
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((InvitationId(row.try_get("id")?), OrgId(row.try_get("org_id")?), role_in(&row)?)))
}
