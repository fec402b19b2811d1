//! The session of a request, with what each page needs of its user: who it is, the organizations, and their counts. One
//! statement reads all of it.

use serde::Deserialize;

use super::{Proof, SESSION_LIFETIME};
use crate::model::{EventKind, OrgId, OrgView, ProofMethod, UserId};
use crate::server::domain::latest_plausible;
use crate::server::domain::name_order::sort_by_name;
use crate::server::store::accounts::factor_policy::FactorDeadline;
use crate::server::store::accounts::members::rows::{count, needing_reauth_sql};
use crate::server::store::json_rows::{JsonRows, json_rows_sql};
use crate::server::store::notifications::read_markers::{ReadState, read_until_sql, unread_events_sql};
use crate::server::store::text_values::known_value;
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

/// A session and one of its user's organizations, of which a user without any has none.
#[derive(Deserialize)]
struct SessionRow {
    user: UserId,
    email: String,
    time_zone: Option<String>,
    active_org: Option<OrgId>,
    last_seen_at: i64,
    provider_at: Option<i64>,
    proof_at: i64,
    method: i64,
    is_enrolling: i64,
    org: Option<OrgId>,
    org_name: Option<String>,
    role: Option<String>,
    factor_required_from: Option<i64>,
    attention: i64,
    read_until: Option<i64>,
    unread: Option<i64>,
}

impl Store {
    /// Returns the session with this hash if it has not ended.
    pub async fn session(&self, hash: &str) -> Result<Option<Session>, StoreError> {
        let now = self.clock().now();
        let row = sqlx::query(json_rows_sql!(
            self.database().kind(),
            concat!(
                "u.id, u.email, u.time_zone, s.active_org_id, s.last_seen_at, s.provider_at, \
                 COALESCE(s.proven_at, s.provider_at, s.created_at), \
                 CASE WHEN f.confirmed_at IS NOT NULL THEN 2 WHEN u.password_hash <> '' THEN 1 ELSE 0 END, \
                 CASE WHEN f.begun_by = s.id_hash AND f.confirmed_at IS NULL THEN 1 ELSE 0 END, o.id, o.name, m.role, \
                 CASE WHEN u.demo_since IS NULL THEN o.factor_required_from END, ",
                needing_reauth_sql!("o.id"),
                ", CASE WHEN o.id = s.active_org_id THEN ",
                read_until_sql!(),
                " END, CASE WHEN o.id = s.active_org_id THEN ",
                unread_events_sql!("$6", "$7", "$8", "$9"),
                " END"
            ),
            "FROM sessions s JOIN users u ON u.id = s.user_id LEFT JOIN second_factors f ON f.user_id = u.id \
             LEFT JOIN memberships m ON m.user_id = u.id LEFT JOIN organizations o ON o.id = m.org_id \
             WHERE s.id_hash = $1 AND s.expires_at > $2 AND s.last_seen_at > $3 AND s.expires_at <= $4 \
             AND u.disabled_at IS NULL AND (u.demo_since IS NULL OR $5 = 1)"
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
        .fetch_one(self.pool())
        .await?;
        let mut rows: Vec<SessionRow> = JsonRows::of(&row, "list")?.read()?;
        rows.sort_by(|one, other| one.org.cmp(&other.org));
        let Some(first) = rows.first() else { return Ok(None) };
        let mut session = session_from(first);
        for row in rows {
            let (Some(id), Some(name), Some(role)) = (row.org, row.org_name, row.role) else { continue };
            let role = known_value(&role, "memberships", "role")?;
            session.factor_deadlines.extend(self.factor_deadline(&id, row.factor_required_from));
            let read = row.read_until.zip(row.unread).map(|(until, unread)| ReadState { until, unread: count(unread) });
            session.read = session.read.or(read);
            session.orgs.push(OrgView { id, name, role, attention: count(row.attention) });
        }
        sort_by_name(&mut session.orgs, |org| &org.name);
        Ok(Some(session))
    }
}

/// Reads what each of a session's rows repeats.
fn session_from(row: &SessionRow) -> Session {
    Session {
        user: row.user.clone(),
        email: row.email.clone(),
        active_org: row.active_org.clone(),
        proof: Proof {
            at: row.proof_at,
            method: match row.method {
                2 => ProofMethod::Code,
                1 => ProofMethod::Password,
                _ => ProofMethod::Provider,
            },
            by_provider: row.provider_at.is_some(),
        },
        orgs: Vec::new(),
        factor_deadlines: Vec::new(),
        read: None,
        is_enrolling: row.is_enrolling > 0,
        time_zone: row.time_zone.clone(),
        last_seen_at: row.last_seen_at,
    }
}
