//! The session of a request, with what each page needs of its user: who it is, the organizations, and their counts. One
//! statement reads all of it.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Proof, SESSION_LIFETIME};
use crate::model::{EventKind, OrgId, OrgView, ProofMethod, UserId};
use crate::server::domain::latest_plausible;
use crate::server::domain::name_order::sort_by_name;
use crate::server::store::accounts::factor_policy::FactorDeadline;
use crate::server::store::accounts::members::rows::{member_of, needing_reauth_sql};
use crate::server::store::notifications::read_markers::{
    ReadState, read_state_from, read_until_sql, unread_events_sql,
};
use crate::server::store::{Store, StoreError};

/// A session that has not ended, its user, and the user's organizations.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The id of the signed-in user.
    pub user: UserId,
    /// The user's email address.
    pub email: String,
    /// The organization that was last chosen. The user may have left it since.
    pub active_org: Option<OrgId>,
    /// When and how the person last proved who they are.
    pub proof: Proof,
    /// The organizations that the user belongs to, by name.
    pub orgs: Vec<OrgView>,
    /// Those of them that require a second factor, and from when on. The demo login can't have one and isn't concerned.
    pub factor_deadlines: Vec<FactorDeadline>,
    /// What the user has read of the last chosen organization's events; `None` if they have left it.
    pub read: Option<ReadState>,
    /// Whether this session has begun to add a second factor.
    pub is_enrolling: bool,
    /// The time zone that the user chose.
    pub time_zone: Option<String>,
    pub(super) last_seen_at: i64,
}

impl Store {
    /// Returns the session with this hash if it has not ended.
    pub async fn session(&self, hash: &str) -> Result<Option<Session>, StoreError> {
        let now = self.clock().now();
        let rows = sqlx::query(concat!(
            "SELECT u.id AS user_id, u.email, u.time_zone, s.active_org_id, s.last_seen_at, s.provider_at, \
             COALESCE(s.proven_at, s.provider_at, s.created_at) AS proof_at, \
             CAST(CASE WHEN f.confirmed_at IS NOT NULL THEN 2 WHEN u.password_hash <> '' THEN 1 ELSE 0 END AS BIGINT) AS method, \
             CAST(CASE WHEN f.begun_by = s.id_hash AND f.confirmed_at IS NULL THEN 1 ELSE 0 END AS BIGINT) AS is_enrolling, o.id, o.name, m.role, \
             CASE WHEN u.demo_since IS NULL THEN o.factor_required_from END AS factor_required_from, ",
            needing_reauth_sql!("o.id"),
            " AS attention, CASE WHEN o.id = s.active_org_id THEN ",
            read_until_sql!(),
            " END AS read_until, CASE WHEN o.id = s.active_org_id THEN ",
            unread_events_sql!("$6", "$7", "$8", "$9"),
            " END AS unread FROM sessions s JOIN users u ON u.id = s.user_id LEFT JOIN second_factors f ON f.user_id = u.id \
             LEFT JOIN memberships m ON m.user_id = u.id LEFT JOIN organizations o ON o.id = m.org_id \
             WHERE s.id_hash = $1 AND s.expires_at > $2 AND s.last_seen_at > $3 AND s.expires_at <= $4 \
             AND u.disabled_at IS NULL AND (u.demo_since IS NULL OR $5 = 1) ORDER BY o.id"
        ))
        .bind(hash)
        .bind(now)
        .bind(now - self.session_idle_timeout)
        .bind(latest_plausible(SESSION_LIFETIME, now))
        .bind(i64::from(self.demo_login))
        .bind(EventKind::Test.as_str())
        .bind(EventKind::FOR_PROGRAMS[0].as_str())
        .bind(EventKind::FOR_PROGRAMS[1].as_str())
        .bind(EventKind::FOR_PROGRAMS[2].as_str())
        .fetch_all(self.pool())
        .await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let mut session = session_from(first)?;
        for row in &rows {
            // A user without organizations has one row.
            let Some(org) = member_of(row)? else { continue };
            session.factor_deadlines.extend(self.factor_deadline(&org.id, row.try_get("factor_required_from")?));
            session.read = session.read.or(read_state_from(row)?);
            session.orgs.push(org);
        }
        sort_by_name(&mut session.orgs, |org| &org.name);
        Ok(Some(session))
    }
}

/// Reads what each of a session's rows repeats.
fn session_from(row: &AnyRow) -> Result<Session, StoreError> {
    Ok(Session {
        user: UserId(row.try_get("user_id")?),
        email: row.try_get("email")?,
        active_org: row.try_get::<Option<String>, _>("active_org_id")?.map(OrgId),
        proof: Proof {
            at: row.try_get("proof_at")?,
            method: match row.try_get::<i64, _>("method")? {
                2 => ProofMethod::Code,
                1 => ProofMethod::Password,
                _ => ProofMethod::Provider,
            },
            by_provider: row.try_get::<Option<i64>, _>("provider_at")?.is_some(),
        },
        orgs: Vec::new(),
        factor_deadlines: Vec::new(),
        read: None,
        is_enrolling: row.try_get::<i64, _>("is_enrolling")? > 0,
        time_zone: row.try_get("time_zone")?,
        last_seen_at: row.try_get("last_seen_at")?,
    })
}
