//! What the check needs to know that refreshes an organization's due grants: no token, and nothing that is shown.

use serde::Deserialize;

use crate::model::{BindingId, GrantId, OrgId};
use crate::server::domain::DueState;
use crate::server::store::json_rows::{JsonRows, json_rows_sql};
use crate::server::store::{BindingWithGrant, Store, StoreError};

/// An active binding and the state of its grant.
#[derive(Clone, Debug, PartialEq)]
pub struct RefreshCandidate {
    /// The binding.
    pub binding: BindingId,
    /// Its grant.
    pub grant: GrantId,
    /// What decides whether the grant is due.
    pub state: DueState,
}

impl RefreshCandidate {
    /// Returns the candidate of a binding that was read whole; `None` if it has no grant.
    pub fn of(bound: &BindingWithGrant) -> Option<Self> {
        let grant = bound.grant.as_ref()?;
        Some(Self { binding: bound.binding.id.clone(), grant: grant.id.clone(), state: DueState::from(grant) })
    }
}

impl Store {
    /// Returns the organization's active bindings that have a grant, in no particular order.
    pub async fn refresh_candidates(&self, org: &OrgId) -> Result<Vec<RefreshCandidate>, StoreError> {
        let row = sqlx::query(json_rows_sql!(
            self.database.kind(),
            "b.id, g.id, g.expires_at, g.refresh_token_issued_at, g.last_refreshed_at, g.failure_count, \
             CASE WHEN g.lease_owner IS NOT NULL THEN g.lease_until END, g.reply_lost_at, g.prove_by",
            "FROM integration_tenant_bindings b JOIN integration_grants g ON g.id = b.active_grant_id \
             WHERE b.org_id = $1 AND b.status = 'active'"
        ))
        .bind(org.as_str())
        .fetch_one(self.pool())
        .await?;
        let now = self.clock.now();
        let rows: Vec<CandidateRow> = JsonRows::of(&row, "list")?.read()?;
        Ok(rows.into_iter().map(|row| row.candidate(now)).collect())
    }
}

/// The columns of a candidate, in the order of the statement.
#[derive(Deserialize)]
struct CandidateRow {
    binding: BindingId,
    grant: GrantId,
    expires_at: i64,
    refresh_token_issued_at: i64,
    last_refreshed_at: Option<i64>,
    failure_count: i64,
    lease_until: Option<i64>,
    reply_lost_at: Option<i64>,
    prove_by: Option<i64>,
}

impl CandidateRow {
    /// Times that no rule could have written by `now` mean now.
    fn candidate(self, now: i64) -> RefreshCandidate {
        let state = DueState {
            expires_at: self.expires_at,
            refresh_token_issued_at: self.refresh_token_issued_at,
            last_refreshed_at: self.last_refreshed_at,
            failure_count: self.failure_count,
            lease_until: self.lease_until,
            reply_lost_at: self.reply_lost_at,
            prove_by: self.prove_by,
        };
        RefreshCandidate { binding: self.binding, grant: self.grant, state: state.with_plausible_times(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::grants::{TestGrant, set_row};
    use crate::server::store::testing::{START, each_store};

    #[apply(each_store!)]
    async fn candidates_say_what_the_whole_rows_of_active_bindings_say(store: Store) {
        let (org, other) = (store.add_org("A").await.unwrap(), store.add_org("B").await.unwrap());
        TestGrant::of(&store, &other).bound_to(&["elsewhere"]).insert().await;
        assert_eq!(store.refresh_candidates(&org).await.unwrap(), []);
        for (tenant, row) in [
            ("fresh", "failure_count = 0".to_owned()),
            ("failed", format!("failure_count = 3, reply_lost_at = {START}, prove_by = {}", START + 60)),
            ("leased", format!("lease_owner = 'x', lease_until = {}", START + 60)),
            ("left", format!("lease_until = {}", START + 60)),
            ("never", "last_refreshed_at = NULL".to_owned()),
            ("ahead", format!("last_refreshed_at = {}, expires_at = {}", START + 7_200, START + 9_000)),
        ] {
            let grant = TestGrant::of(&store, &org).xero_user(tenant).bound_to(&[tenant]).insert().await;
            set_row(&store, &grant, &row).await;
        }
        let gone = TestGrant::of(&store, &org).xero_user("gone").bound_to(&["gone"]).insert().await;
        let bound = store.bindings_of_org(&org).await.unwrap();
        let gone = bound.iter().find(|one| one.grant.as_ref().is_some_and(|grant| grant.id == gone)).unwrap();
        store.disconnect_binding(&org, &gone.binding.id).await.unwrap();

        let mut found = store.refresh_candidates(&org).await.unwrap();
        let rest = bound.iter().filter(|one| one.binding.id != gone.binding.id);
        let mut expected: Vec<_> = rest.filter_map(RefreshCandidate::of).collect();
        let key = |one: &RefreshCandidate| one.binding.clone();
        found.sort_by_key(key);
        expected.sort_by_key(key);
        assert_eq!((found.len(), &found), (6, &expected));
    }
}
