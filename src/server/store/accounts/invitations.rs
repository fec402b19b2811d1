//! Invitations: links with which one person can join an organization, once, within a week.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::account_messages::unconfirmed::is_address_confirmed;
use super::identities::{ExternalIdentity, insert_user_with_identity};
use super::members::rows::{find_role, insert_member, lock_org, role_from};
use super::users::insert_user;
use crate::model::{Action, InvitationDetails, InvitationId, InvitationView, OrgId, Role, UserId};
use crate::server::domain::{Actor, AuditEvent, Secret, latest_plausible};
use crate::server::store::live::changes::Change;
use crate::server::store::{AddUserError, RowChange, Store, StoreError, new_id};

/// How long an invitation link works, in seconds.
pub const INVITATION_LIFETIME: i64 = 7 * 24 * 60 * 60;
/// The most open invitations that an organization may have.
const MAX_OPEN_INVITATIONS: i64 = 50;

/// Why an invitation was not created.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// The acting user's role does not permit invitations to the requested role.
    #[error("the acting user's current role does not permit the invitation")]
    NotAllowed,
    /// The organization has reached its limit of open invitations.
    #[error("the organization already has {MAX_OPEN_INVITATIONS} open invitations")]
    TooMany,
    /// The store or its database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for InviteError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// An invitation to create.
#[derive(Clone, Copy, Debug)]
pub struct NewInvitation<'a> {
    /// Role that the invited person receives.
    pub role: Role,
    /// Hash of the secret of the link that the inviter receives.
    pub hash: &'a str,
    /// The only email address that may accept, in lower case; `None` if the link is enough.
    pub email: Option<&'a str>,
    /// Whether a mail with a link of its own is sent there.
    pub by_mail: bool,
}

/// An accepted invitation.
#[derive(Clone, Debug, PartialEq)]
pub struct AcceptedInvitation {
    /// The organization.
    pub org: OrgId,
    /// The new member.
    pub user: UserId,
    /// Whether the link came from a mail to the member's address, which shows that they read its mailbox.
    pub is_confirmed: bool,
}

/// The person who follows an invitation link.
pub enum Invitee<'a> {
    /// A signed-in user.
    SignedIn {
        /// The user's id.
        user: &'a UserId,
        /// The user's email address.
        email: &'a str,
    },
    /// A person who gets an account when they accept. `email` must already be lower case.
    NewAccount {
        /// The new account's email address, in lower case.
        email: &'a str,
        /// The hash of the password that the person chose.
        password_hash: &'a Secret,
    },
    /// A person who gets an account that they sign in to with an OpenID Connect provider. `email` must already be lower
    /// case.
    NewIdentity {
        /// The new account's email address, in lower case.
        email: &'a str,
        /// The person's account at the provider.
        identity: ExternalIdentity<'a>,
        /// Whether the provider says that the address is theirs.
        is_verified: bool,
    },
}

/// Why an invitation was not accepted. It stays open if it was.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The user already belongs to the organization.
    #[error("the user is already a member")]
    AlreadyMember {
        /// The organization of the invitation.
        org: OrgId,
    },
    /// Another account has the email address.
    #[error("the email address is taken")]
    EmailTaken,
    /// The invitation is for another email address.
    #[error("the invitation is for another email address")]
    OtherAddress,
    /// The invitation is sent to an email address, which nobody has confirmed by opening the link in that mail.
    #[error("the invitation has to be opened by the link in its mail")]
    NotByMail,
    /// No open invitation has this link.
    #[error("the invitation was used, canceled, has expired or never existed")]
    NotOpen,
    /// The store or its database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AddUserError> for AcceptError {
    fn from(error: AddUserError) -> Self {
        match error {
            AddUserError::EmailTaken => Self::EmailTaken,
            AddUserError::Store(error) => Self::Store(error),
        }
    }
}

impl From<sqlx::Error> for AcceptError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// SQL condition that `$1` is the hash of a link of the invitation `i`: the inviter's, or one of a mail.
macro_rules! has_link {
    () => {
        "(i.token_hash = $1 OR i.id = (SELECT l.invitation_id FROM invitation_links l WHERE l.token_hash = $1))"
    };
}

/// SQL for whether the link with the hash `$1` is one of a mail: 1 or 0.
macro_rules! is_mailed_link {
    () => {
        "(SELECT COUNT(*) FROM invitation_links l WHERE l.token_hash = $1)"
    };
}

impl Store {
    /// Creates an invitation, stored under the hash of its link's secret. The acting user can only invite to roles that
    /// they may manage.
    pub async fn invite(&self, org: &OrgId, by: &UserId, new: NewInvitation<'_>) -> Result<InvitationId, InviteError> {
        let NewInvitation { role, hash, email, by_mail } = new;
        let now = self.clock.now();
        let mut transaction = self.begin_change_tx().await?;
        lock_org(&mut transaction, org).await?;
        let acting_role = find_role(&mut transaction, org, by).await?;
        if !acting_role.is_some_and(|acting| acting.may_manage(role)) {
            return Err(InviteError::NotAllowed);
        }
        let open = sqlx::query(
            "SELECT COUNT(*) FROM invitations WHERE org_id = $1 AND expires_at > $2 AND expires_at <= $3 \
             AND accepted_at IS NULL AND revoked_at IS NULL",
        );
        let open = open.bind(org.as_str()).bind(now).bind(latest_plausible(INVITATION_LIFETIME, now));
        let open: i64 = open.fetch_one(&mut *transaction).await?.try_get(0)?;
        if open >= MAX_OPEN_INVITATIONS {
            return Err(InviteError::TooMany);
        }
        let id: InvitationId = new_id();
        sqlx::query(
            "INSERT INTO invitations (id, org_id, token_hash, role, invited_by, created_at, expires_at, email, \
             mail_due_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(id.as_str())
        .bind(org.as_str())
        .bind(hash)
        .bind(role.as_str())
        .bind(by.as_str())
        .bind(now)
        .bind(now + INVITATION_LIFETIME)
        .bind(email)
        .bind((by_mail && email.is_some()).then_some(now))
        .execute(&mut *transaction)
        .await?;
        let event = AuditEvent::new(self.actor(), Action::InvitationCreated).in_org(org).subject("invitation", &id);
        let event = event.detail("role", role.as_str());
        let event = match email {
            Some(email) => event.detail("for", email),
            None => event,
        };
        self.record(&mut transaction, &event).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Returns the organization's open invitations, newest first.
    pub async fn invitations(&self, org: &OrgId) -> Result<Vec<InvitationView>, StoreError> {
        let now = self.clock.now();
        let rows = sqlx::query(
            "SELECT i.id, i.role, i.created_at, i.expires_at, i.email AS invited_email, u.email FROM invitations i \
             LEFT JOIN users u ON u.id = i.invited_by WHERE i.org_id = $1 AND i.expires_at > $2 \
             AND i.expires_at <= $3 AND i.accepted_at IS NULL AND i.revoked_at IS NULL ORDER BY i.created_at DESC, i.id",
        )
        .bind(org.as_str())
        .bind(now)
        .bind(latest_plausible(INVITATION_LIFETIME, now))
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(InvitationView {
                    id: InvitationId(row.try_get("id")?),
                    role: role_from(row)?,
                    email: row.try_get("invited_email")?,
                    invited_by: row.try_get("email")?,
                    created_at: row.try_get("created_at")?,
                    expires_at: row.try_get("expires_at")?,
                })
            })
            .collect()
    }

    /// Cancels an open invitation. `NotFound` if the organization has no open invitation with this id.
    pub async fn revoke_invitation(&self, org: &OrgId, id: &InvitationId) -> Result<RowChange, StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        let done = sqlx::query(
            "UPDATE invitations SET revoked_at = $1 WHERE id = $2 AND org_id = $3 AND accepted_at IS NULL \
             AND revoked_at IS NULL RETURNING role",
        )
        .bind(self.clock.now())
        .bind(id.as_str())
        .bind(org.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = done else { return Ok(RowChange::NotFound) };
        let event = AuditEvent::new(self.actor(), Action::InvitationRevoked).in_org(org).subject("invitation", id);
        self.record(&mut transaction, &event.detail("role", role_from(&row)?.as_str())).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Returns what the invitation page shows, or `None` if the invitation is no longer open.
    pub async fn find_open_invitation(&self, hash: &str) -> Result<Option<InvitationDetails>, StoreError> {
        let now = self.clock.now();
        let row = sqlx::query(concat!(
            "SELECT o.id, o.name, i.role, i.email AS invited_email, u.email, ",
            is_mailed_link!(),
            " AS is_mailed, i.mail_due_at, i.mail_attempts FROM invitations i JOIN organizations o ON o.id = i.org_id \
             LEFT JOIN users u ON u.id = i.invited_by WHERE ",
            has_link!(),
            " AND i.expires_at > $2 AND i.expires_at <= $3 AND i.accepted_at IS NULL AND i.revoked_at IS NULL"
        ))
        .bind(hash)
        .bind(now)
        .bind(latest_plausible(INVITATION_LIFETIME, now))
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let org = OrgId(row.try_get("id")?);
        let owners = self.members(&org, &UserId(String::new())).await?;
        Ok(Some(InvitationDetails {
            organisation: row.try_get("name")?,
            owners: owners.into_iter().filter(|one| one.role == Role::Owner).map(|one| one.email).collect(),
            org_id: org,
            role: role_from(&row)?,
            invited_by: row.try_get("email")?,
            email: row.try_get("invited_email")?,
            is_mailed: row.try_get::<i64, _>("is_mailed")? > 0,
            is_sent_by_mail: is_sent_by_mail(&row)?,
        }))
    }

    /// Returns the name of the organization that the user has joined with this link.
    pub async fn org_joined_with(&self, hash: &str, user: &UserId) -> Result<Option<String>, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT o.name FROM invitations i JOIN organizations o ON o.id = i.org_id \
             JOIN memberships m ON m.org_id = i.org_id AND m.user_id = i.accepted_by \
             WHERE i.accepted_by = $2 AND ",
            has_link!()
        ))
        .bind(hash)
        .bind(user.as_str())
        .fetch_optional(self.pool())
        .await?;
        Ok(row.map(|row| row.try_get("name")).transpose()?)
    }

    /// Accepts an invitation: marks it as used, creates the account if needed and inserts the membership, in one
    /// transaction. `address` is the client's IP address, for the audit log.
    pub async fn accept_invitation(
        &self,
        hash: &str,
        invitee: Invitee<'_>,
        address: Option<String>,
    ) -> Result<AcceptedInvitation, AcceptError> {
        let now = self.clock.now();
        let mut transaction = self.begin_change_tx().await?;
        let Some(used) = mark_invitation_used(&mut transaction, hash, now).await? else {
            return Err(AcceptError::NotOpen);
        };
        let UsedInvitation { id, org, role, .. } = &used;
        let (Invitee::SignedIn { email, .. } | Invitee::NewAccount { email, .. } | Invitee::NewIdentity { email, .. }) =
            invitee;
        if used.email.as_deref().is_some_and(|invited| invited != email) {
            return Err(AcceptError::OtherAddress);
        }
        // Whoever passed on or saw the inviter's own link may be anybody: the mail went to the address.
        if used.is_sent_by_mail && !used.is_mailed && !is_address_confirmed(&mut transaction, &invitee).await? {
            return Err(AcceptError::NotByMail);
        }
        let is_confirmed = used.is_mailed && used.email.is_some();
        let user = match invitee {
            Invitee::SignedIn { user, .. } => user.clone(),
            Invitee::NewAccount { password_hash, .. } => {
                let user = insert_user(&mut transaction, email, password_hash, now).await?;
                if !is_confirmed {
                    self.ask_for_confirmation(&mut transaction, &user, email).await?;
                }
                user
            }
            Invitee::NewIdentity { identity, is_verified, .. } => {
                let user = insert_user_with_identity(&mut transaction, email, identity, now).await?;
                if !is_confirmed && !is_verified {
                    self.ask_for_confirmation(&mut transaction, &user, email).await?;
                }
                user
            }
        };
        if find_role(&mut transaction, org, &user).await?.is_some() {
            return Err(AcceptError::AlreadyMember { org: org.clone() });
        }
        insert_member(&mut transaction, org, &user, *role, now).await?;
        for (statement, value) in [
            ("UPDATE invitations SET accepted_by = $1, mail_due_at = NULL WHERE id = $2", id.as_str()),
            // The user is back, so their connections are no longer due for offboarding.
            ("DELETE FROM membership_removals WHERE user_id = $1 AND org_id = $2", org.as_str()),
        ] {
            sqlx::query(statement).bind(user.as_str()).bind(value).execute(&mut *transaction).await?;
        }
        let actor = Actor::person(&user, email, address);
        let event = AuditEvent::new(&actor, Action::MemberJoined).in_org(org).subject("user", &user);
        self.record(&mut transaction, &event.detail("role", role.as_str())).await?;
        transaction.publish(Change::Person { user: user.clone() }).await?;
        transaction.commit().await?;
        Ok(AcceptedInvitation { org: used.org, user, is_confirmed })
    }
}

/// An invitation that was just marked as used.
struct UsedInvitation {
    id: InvitationId,
    org: OrgId,
    role: Role,
    email: Option<String>,
    /// Whether the link is one of a mail.
    is_mailed: bool,
    /// Whether such a mail was due, or still is.
    is_sent_by_mail: bool,
}

/// Marks the invitation as used, so that only one of several concurrent requests succeeds. The caller rolls back if
/// nobody joins.
async fn mark_invitation_used(
    connection: &mut AnyConnection,
    hash: &str,
    now: i64,
) -> Result<Option<UsedInvitation>, StoreError> {
    let row = sqlx::query(concat!(
        "UPDATE invitations AS i SET accepted_at = $2 WHERE ",
        has_link!(),
        " AND i.expires_at > $2 AND i.expires_at <= $3 AND i.accepted_at IS NULL AND i.revoked_at IS NULL \
         RETURNING id, org_id, role, email, ",
        is_mailed_link!(),
        " AS is_mailed, mail_due_at, mail_attempts"
    ))
    .bind(hash)
    .bind(now)
    .bind(latest_plausible(INVITATION_LIFETIME, now))
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(UsedInvitation {
        id: InvitationId(row.try_get("id")?),
        org: OrgId(row.try_get("org_id")?),
        role: role_from(&row)?,
        email: row.try_get("email")?,
        is_mailed: row.try_get::<i64, _>("is_mailed")? > 0,
        is_sent_by_mail: is_sent_by_mail(&row)?,
    }))
}

/// Returns whether a mail with a link of its own was due for the invitation, or still is.
fn is_sent_by_mail(row: &AnyRow) -> Result<bool, StoreError> {
    Ok(row.try_get::<Option<i64>, _>("mail_due_at")?.is_some() || row.try_get::<i64, _>("mail_attempts")? > 0)
}
