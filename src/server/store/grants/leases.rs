//! Leases: who may exchange a grant's refresh token.

use tokio::time::Instant;

use super::grant_from;
use super::lease_guard::{Fenced, LeaseGuard};
use crate::model::GrantId;
use crate::server::domain::lost_reply::LOST_REPLY_STANDS_FOR;
use crate::server::domain::{DueTimes, MAX_LEASE, latest_plausible};
use crate::server::store::column_lists::{columns, grant_columns};
use crate::server::store::{Store, StoreError};

/// When a dead holder sent its request: as its unfinished attempt says. Without one, when it took or last renewed its
/// lease, if that was as long as the new one (see `lost_reply::effective_reply_lost_at`).
macro_rules! dead_holder_sent_at_sql {
    ($now:literal, $until:literal) => {
        concat!(
            "COALESCE((SELECT MAX(a.sent_at) FROM refresh_attempts a WHERE a.grant_id = integration_grants.id ",
            "AND a.generation = integration_grants.generation AND a.finished_at IS NULL), lease_until - (",
            $until,
            " - ",
            $now,
            "))"
        )
    };
}
pub(super) use dead_holder_sent_at_sql;

/// Takes a lease in an UPDATE: `$owner`, `$now`, `$until` and `$stands_for` are placeholders.
///
/// If an expired lease is taken over, its holder's reply may be lost. `reply_lost_at` then follows the rule of
/// `lost_reply::reply_lost_at_after`; `$stands_for` is `LOST_REPLY_STANDS_FOR`.
macro_rules! take_lease_sql {
    ($owner:literal, $now:literal, $until:literal, $stands_for:literal) => {
        concat!(
            "UPDATE integration_grants SET lease_owner = ",
            $owner,
            ", lease_until = ",
            $until,
            ", due_at = ",
            $until,
            ", reply_lost_at = CASE WHEN lease_owner IS NOT NULL AND (reply_lost_at IS NULL OR ",
            dead_holder_sent_at_sql!($now, $until),
            " - reply_lost_at >= ",
            $stands_for,
            ") THEN ",
            dead_holder_sent_at_sql!($now, $until),
            " ELSE reply_lost_at END "
        )
    };
}
pub(super) use take_lease_sql;

/// Takes one grant's lease if nobody holds it, this app's tokens are in it, and it has one of these statuses. A lease
/// beyond `$8` counts as expired.
macro_rules! acquire_lease_sql {
    ($statuses:literal) => {
        concat!(
            take_lease_sql!("$1", "$4", "$2", "$5"),
            "WHERE id = $3 AND status IN (",
            $statuses,
            ") AND client_id = $6 AND issuer = $7 AND (lease_owner IS NULL OR lease_until <= $4 OR lease_until > $8) RETURNING ",
            grant_columns!("")
        )
    };
}

// Must come after the macros, which it uses.

impl Store {
    /// Takes the lease if nobody holds it. Returns `None` if the lease is held, or the grant is not active or another app's.
    pub async fn acquire_lease(&self, id: &GrantId, owner: &str, until: i64) -> Result<Option<LeaseGuard>, StoreError> {
        self.acquire(acquire_lease_sql!("'active'"), id, owner, until).await
    }

    /// Takes the lease for a rescue if nobody holds it, also of a `refresh_failed` grant. Returns `None` if the lease
    /// is held, or the grant is revoked or another app's.
    pub async fn acquire_rescue_lease(
        &self,
        id: &GrantId,
        owner: &str,
        until: i64,
    ) -> Result<Option<LeaseGuard>, StoreError> {
        self.acquire(acquire_lease_sql!("'active', 'refresh_failed'"), id, owner, until).await
    }

    async fn acquire(
        &self,
        statement: &'static str,
        id: &GrantId,
        owner: &str,
        until: i64,
    ) -> Result<Option<LeaseGuard>, StoreError> {
        let (asked_at, now) = (Instant::now(), self.clock.now());
        let row = sqlx::query(statement)
            .bind(owner)
            .bind(until)
            .bind(id.as_str())
            .bind(now)
            .bind(LOST_REPLY_STANDS_FOR)
            .bind(&self.app.client_id)
            .bind(&self.app.issuer)
            .bind(latest_plausible(MAX_LEASE, now))
            .fetch_optional(self.pool())
            .await?;
        row.map(|row| Ok(LeaseGuard::taken(grant_from(&row, now)?, owner, asked_at))).transpose()
    }

    /// Extends the lease to `until`.
    pub async fn renew_lease(&self, lease: &LeaseGuard, until: i64) -> Result<Fenced, StoreError> {
        let done = sqlx::query(
            "UPDATE integration_grants SET lease_until = $1, due_at = $1 \
             WHERE id = $2 AND lease_owner = $3 AND generation = $4",
        )
        .bind(until)
        .bind(lease.id.as_str())
        .bind(&lease.owner)
        .bind(lease.generation)
        .execute(self.pool())
        .await?;
        Ok(Fenced::from_applied(done.rows_affected() == 1))
    }

    /// Releases the lease and makes the grant due as planned. Does nothing if another owner holds it.
    pub async fn release_lease(&self, lease: &LeaseGuard) -> Result<(), StoreError> {
        let due = match (lease.failure_count, lease.reply_lost_at, lease.prove_by) {
            (0, None, Some(at)) => DueTimes::at(at.max(self.clock.now())),
            (0, None, None) => self.plan.due(&lease.id, lease.token_times()),
            _ => DueTimes::at(lease.next_attempt_at.unwrap_or_else(|| self.clock.now())),
        };
        self.clear_lease(lease, due).await
    }

    /// Releases the lease and makes the grant due at `until`. Does nothing if another owner holds it.
    pub async fn release_lease_due_at(&self, lease: &LeaseGuard, until: i64) -> Result<(), StoreError> {
        self.clear_lease(lease, DueTimes::at(until)).await
    }

    async fn clear_lease(&self, lease: &LeaseGuard, due: DueTimes) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE integration_grants SET lease_owner = NULL, lease_until = NULL, \
             due_at = CASE WHEN COALESCE(last_used_at, 0) > $1 THEN $2 ELSE $3 END WHERE id = $4 AND lease_owner = $5",
        )
        .bind(due.hot_if_used_after)
        .bind(due.hot)
        .bind(due.cold)
        .bind(lease.id.as_str())
        .bind(&lease.owner)
        .execute(self.pool())
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::*;
    use crate::server::store::DueFilter;
    use crate::server::store::testing::grants::{TestGrant, set_row};
    use crate::server::store::testing::{START, each_store};

    /// Returns whether an exchange and a rescue can take the lease of the row as it was set.
    async fn can_be_leased(store: &Store, id: &GrantId, row: &str) -> (bool, bool) {
        set_row(store, id, row).await;
        let exchange = store.acquire_lease(id, "exchange", START + 60).await.unwrap();
        set_row(store, id, row).await;
        let rescue = store.acquire_rescue_lease(id, "rescue", START + 60).await.unwrap();
        (exchange.is_some(), rescue.is_some())
    }

    #[apply(each_store!)]
    async fn lease_is_taken_from_this_app_alone_and_while_the_grant_lasts(store: Store) {
        let org = store.add_org("A").await.unwrap();
        for (change, expected) in [
            ("status = 'active'", (true, true)),
            ("status = 'refresh_failed'", (false, true)),
            ("status = 'revoked'", (false, false)),
            ("client_id = 'another'", (false, false)),
            ("issuer = 'another'", (false, false)),
        ] {
            let id = TestGrant::of(&store, &org).insert().await;
            let row = format!("due_at = 0, lease_owner = NULL, lease_until = NULL, {change}");
            assert_eq!(can_be_leased(&store, &id, &row).await, expected, "{change}");
            set_row(&store, &id, &row).await;
            let claimed = store.claim_due(DueFilter::Any, 9, "sweeper", START + 60).await.unwrap();
            assert_eq!(claimed.len(), usize::from(expected.0), "{change}");
        }
    }

    #[apply(each_store!)]
    async fn lease_is_held_to_its_end_unless_no_rule_could_have_written_it(store: Store) {
        let org = store.add_org("A").await.unwrap();
        let id = TestGrant::of(&store, &org).insert().await;
        let last = latest_plausible(MAX_LEASE, START);
        for (until, is_free) in [(START, true), (START + 1, false), (last, false), (last + 1, true)] {
            let row = format!("lease_owner = 'another', lease_until = {until}");
            assert_eq!(can_be_leased(&store, &id, &row).await, (is_free, is_free), "{}", until - START);
        }
    }

    #[apply(each_store!)]
    async fn released_grant_is_due_as_its_row_says(store: Store) {
        let org = store.add_org("A").await.unwrap();
        let id = TestGrant::of(&store, &org).insert().await;
        let planned = store.plan().due(&id, store.grant(&id).await.unwrap().unwrap().token_times());
        let last_cold_use = format!("last_used_at = {}", planned.hot_if_used_after);
        let first_hot_use = format!("last_used_at = {}", planned.hot_if_used_after + 1);
        let at = |name, second: i64| format!("{name} = {}", START + second);
        let waits = at("next_attempt_at", 30);
        for (row, due) in [
            (String::new(), planned.cold),
            (last_cold_use, planned.cold),
            (first_hot_use, planned.hot),
            (at("prove_by", 90), START + 90),
            (at("prove_by", -90), START),
            (format!("failure_count = 1, {waits}"), START + 30),
            ("failure_count = 1".to_owned(), START),
            (format!("{}, {waits}", at("reply_lost_at", -9)), START + 30),
            (format!("{}, {}, {waits}", at("reply_lost_at", -9), at("prove_by", 90)), START + 30),
        ] {
            let cleared = "failure_count = 0, next_attempt_at = NULL, reply_lost_at = NULL, prove_by = NULL, \
                           last_used_at = NULL, lease_owner = NULL, lease_until = NULL";
            set_row(&store, &id, cleared).await;
            if !row.is_empty() {
                set_row(&store, &id, &row).await;
            }
            let lease = store.acquire_lease(&id, "one", START + 60).await.unwrap().unwrap();
            store.release_lease(&lease).await.unwrap();
            let query = sqlx::query("SELECT due_at, lease_owner FROM integration_grants WHERE id = $1");
            let after = query.bind(id.as_str()).fetch_one(store.pool()).await.unwrap();
            assert_eq!(after.try_get::<i64, _>(0).unwrap(), due, "{row}");
            assert_eq!(after.try_get::<Option<String>, _>(1).unwrap(), None, "{row}");
        }
    }
}
