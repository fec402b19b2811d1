//! What becomes of consents that connect links start, and of the links with them.

use sqlx::{AnyConnection, Row};

use super::connect_links::ConnectLink;
use super::oauth_states::{OAUTH_STATE_LIFETIME, PendingConsent, pending_consent_from};
use crate::model::{Action, ConnectLinkId, LinkOutcome, OrgId};
use crate::server::domain::{AuditEvent, Tenant, latest_plausible};
use crate::server::store::live::changes::ChangeTx;
use crate::server::store::{RowChange, Store, StoreError};

/// How long a late callback still finds its link, in seconds: a day longer than its consent lasts.
const LATE_CALLBACK_WINDOW: i64 = 24 * 60 * 60;

/// One consent by a link.
#[derive(Clone, Copy, Debug)]
pub struct LinkUse<'a> {
    /// The link.
    pub link: &'a ConnectLink,
    /// The hash of the consent's `state`.
    pub state_hash: &'a str,
    /// How the browser names itself.
    pub browser: &'a str,
}

impl Store {
    /// Remembers what became of a consent that connected nothing. The link stays open. Returns what its callback tells:
    /// `None` if the link was used meanwhile, as its page says.
    pub async fn note_link_outcome(
        &self,
        usage: &LinkUse<'_>,
        outcome: LinkOutcome,
        chosen: &[Tenant],
    ) -> Result<Option<LinkOutcome>, StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        let noted = sqlx::query(
            "UPDATE connect_links SET outcome = $1, outcome_at = $2, outcome_names = $3 \
             WHERE id = $4 AND used_at IS NULL",
        )
        .bind(outcome.as_str())
        .bind(self.clock.now())
        .bind(names(chosen))
        .bind(usage.link.id.as_str())
        .execute(&mut *transaction)
        .await?;
        let told = (noted.rows_affected() > 0).then_some(outcome);
        // A failure may follow what has ended already.
        if self.end_link_state(&mut transaction, usage, told).await? == RowChange::Applied && told.is_some() {
            self.record_link_use(&mut transaction, usage, outcome, chosen).await?;
        }
        transaction.commit().await?;
        Ok(told)
    }

    /// Uses the link up. `NotFound` if it was used or cancelled meanwhile. The consent has ended either way.
    pub(super) async fn end_link(
        &self,
        transaction: &mut ChangeTx,
        usage: &LinkUse<'_>,
        outcome: LinkOutcome,
        tenants: &[Tenant],
    ) -> Result<RowChange, StoreError> {
        let claimed = sqlx::query(
            "UPDATE connect_links SET used_at = $1, outcome = $2, outcome_at = $1, outcome_names = $3 \
             WHERE id = $4 AND used_at IS NULL AND cancelled_at IS NULL",
        )
        .bind(self.clock.now())
        .bind(outcome.as_str())
        .bind(names(tenants))
        .bind(usage.link.id.as_str())
        .execute(&mut **transaction)
        .await?;
        if claimed.rows_affected() == 0 {
            _ = self.end_link_state(transaction, usage, None).await?;
            return Ok(RowChange::NotFound);
        }
        _ = self.end_link_state(transaction, usage, Some(outcome)).await?;
        self.record_link_use(transaction, usage, outcome, tenants).await?;
        Ok(RowChange::Applied)
    }

    /// Stores how a consent ended, for its callback that comes again. `NotFound` if it has ended already.
    async fn end_link_state(
        &self,
        connection: &mut AnyConnection,
        usage: &LinkUse<'_>,
        outcome: Option<LinkOutcome>,
    ) -> Result<RowChange, StoreError> {
        let ended = sqlx::query(
            "UPDATE connect_link_states SET ended_at = $1, outcome = $2 WHERE id_hash = $3 AND ended_at IS NULL",
        );
        let ended = ended.bind(self.clock.now()).bind(outcome.map(LinkOutcome::as_str)).bind(usage.state_hash);
        Ok(RowChange::of(ended.execute(connection).await?.rows_affected()))
    }

    async fn record_link_use(
        &self,
        transaction: &mut ChangeTx,
        LinkUse { link, browser, .. }: &LinkUse<'_>,
        outcome: LinkOutcome,
        tenants: &[Tenant],
    ) -> Result<(), StoreError> {
        let event = AuditEvent::new(self.actor(), Action::ConnectLinkUsed).in_org(&link.org);
        let event =
            event.subject("connect_link", &link.id).detail("link", &link.id).detail("outcome", outcome.as_str());
        let chosen: Vec<&str> = tenants.iter().map(|tenant| tenant.name.as_str()).collect();
        self.record(transaction, &event.detail("chosen", chosen.join(", ")).detail("browser", browser)).await
    }

    /// Stores what became of a consent that waited for a member, for its callback that comes again, too.
    pub(super) async fn answer_link(
        &self,
        connection: &mut AnyConnection,
        id: &ConnectLinkId,
        outcome: LinkOutcome,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE connect_links SET outcome = $1, outcome_at = $2 WHERE id = $3 AND outcome = $4")
            .bind(outcome.as_str())
            .bind(self.clock.now())
            .bind(id.as_str())
            .bind(LinkOutcome::Waiting.as_str())
            .execute(&mut *connection)
            .await?;
        sqlx::query("UPDATE connect_link_states SET outcome = $1 WHERE link_id = $2 AND outcome = $3")
            .bind(outcome.as_str())
            .bind(id.as_str())
            .bind(LinkOutcome::Waiting.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Deletes link consents that have ended and that nobody was asked about, or nobody answered since `asked_before`.
    /// Returns the number of consents.
    pub(in crate::server::store) async fn delete_ended_link_states(
        &self,
        asked_before: i64,
    ) -> Result<u64, StoreError> {
        let now = self.clock().now();
        let mut transaction = self.begin_change_tx().await?;
        let done = sqlx::query(
            "DELETE FROM connect_link_states WHERE (expires_at <= $1 OR expires_at > $3) \
             AND (pending_grant_id IS NULL OR created_at <= $2)",
        )
        .bind(now - LATE_CALLBACK_WINDOW)
        .bind(asked_before)
        .bind(latest_plausible(OAUTH_STATE_LIFETIME, now))
        .execute(&mut *transaction)
        .await?;
        // Whatever ended the question, nobody answers it any more.
        sqlx::query(
            "UPDATE connect_links SET outcome = $1, outcome_at = $2 WHERE outcome = 'waiting' AND NOT EXISTS \
             (SELECT 1 FROM connect_link_states s WHERE s.link_id = connect_links.id AND s.pending_grant_id IS NOT NULL)",
        )
        .bind(LinkOutcome::NotConfirmed.as_str())
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }
}

/// Takes the organization's link consent with this id that waits for confirmation. Only one of two concurrent calls gets
/// it. The row stays, so that a late callback finds its link.
pub(super) async fn take_pending_of_link(
    connection: &mut AnyConnection,
    org: &OrgId,
    id: &str,
) -> Result<Option<(ConnectLinkId, PendingConsent)>, StoreError> {
    let row = sqlx::query(
        "SELECT link_id, pending_grant_id, pending_tenants FROM connect_link_states \
         WHERE id_hash = $1 AND org_id = $2 AND pending_grant_id IS NOT NULL",
    )
    .bind(id)
    .bind(org.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let taken = sqlx::query(
        "UPDATE connect_link_states SET pending_grant_id = NULL, pending_tenants = NULL \
         WHERE id_hash = $1 AND pending_grant_id IS NOT NULL",
    );
    if taken.bind(id).execute(connection).await?.rows_affected() == 0 {
        return Ok(None);
    }
    Ok(Some((ConnectLinkId(row.try_get("link_id")?), pending_consent_from(&row)?)))
}

fn names(tenants: &[Tenant]) -> String {
    serde_json::json!(tenants.iter().map(|tenant| &tenant.name).collect::<Vec<_>>()).to_string()
}
