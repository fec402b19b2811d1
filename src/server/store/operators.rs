//! What whoever runs Evergrant sees: grants and attempts across organisations. No person's request comes here.
//!
//! On `Database`, not on `Store`: none of it opens a secret, so that it can be had while the key ring doesn't fit.

use std::collections::HashMap;

use sqlx::Row;

use super::columns::{columns, grant_columns};
use super::grants::grant_from;
use super::orgs::org_named;
use super::{Database, StoreError};
use crate::model::{GrantId, OrgId};
use crate::server::domain::{Grant, GrantCounts, OutboxCounts};

/// A grant that hasn't been given up, with what it stands for.
pub struct Listed {
    pub grant: Grant,
    pub org_name: String,
    /// The names of the tenants it serves.
    pub tenants: Vec<String>,
    /// Unix seconds at which the last exchange failed, where none has worked since.
    pub troubled_at: Option<i64>,
    /// The journal's code of that failure.
    pub trouble_code: Option<String>,
}

/// An attempt that never ended, on the generation that its grant still has: Xero may have acted on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Unfinished {
    pub grant_id: GrantId,
    pub started_at: i64,
}

impl Database {
    /// The oldest organisation of this name.
    pub async fn org_named(&self, name: &str) -> Result<Option<OrgId>, StoreError> {
        let mut connection = self.pool().acquire().await?;
        org_named(&mut connection, name).await
    }

    /// Every grant that hasn't been given up, one organisation's or all: newest trouble first, then by name.
    pub async fn listed_grants(&self, org: Option<&OrgId>) -> Result<Vec<Listed>, StoreError> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            grant_columns!("g."),
            ", o.name AS org_name, CASE WHEN g.failure_count > 0 OR g.status = 'refresh_failed' THEN \
             (SELECT MAX(a.finished_at) FROM refresh_attempts a \
             WHERE a.grant_id = g.id AND a.outcome IN ('reconnect', 'operator', 'transient')) END AS troubled_at, \
             CASE WHEN g.failure_count > 0 OR g.status = 'refresh_failed' THEN (SELECT a.error_code \
             FROM refresh_attempts a WHERE a.grant_id = g.id AND a.outcome IN ('reconnect', 'operator', 'transient') \
             ORDER BY a.finished_at DESC, a.id LIMIT 1) END AS trouble_code \
             FROM integration_grants g JOIN organizations o ON o.id = g.org_id \
             WHERE g.status <> 'revoked' AND ($1 = '' OR g.org_id = $1) ORDER BY o.name, g.expires_at, g.id"
        ))
        .bind(org.map_or("", OrgId::as_str))
        .fetch_all(self.pool())
        .await?;
        let mut tenants = self.tenants_by_grant().await?;
        let mut listed = Vec::with_capacity(rows.len());
        for row in &rows {
            let grant = grant_from(row)?;
            let tenants = tenants.remove(&grant.id).unwrap_or_default();
            let (org_name, troubled_at) = (row.try_get("org_name")?, row.try_get("troubled_at")?);
            let trouble_code = row.try_get("trouble_code")?;
            listed.push(Listed { grant, org_name, tenants, troubled_at, trouble_code });
        }
        // Here, because the two databases put an absent time at different ends.
        listed.sort_by_key(|listed| std::cmp::Reverse(listed.troubled_at));
        Ok(listed)
    }

    /// Attempts begun before then that have no end, whose grant nobody holds at `now` and whose generation is still
    /// current: a later one's success has settled the others. Oldest first.
    pub async fn unfinished_attempts(&self, before: i64, now: i64) -> Result<Vec<Unfinished>, StoreError> {
        let rows = sqlx::query(
            "SELECT a.grant_id, a.started_at FROM refresh_attempts a JOIN integration_grants g ON g.id = a.grant_id \
             WHERE a.finished_at IS NULL AND a.started_at < $1 AND a.generation = g.generation \
             AND g.status = 'active' AND (g.lease_until IS NULL OR g.lease_until <= $2) \
             ORDER BY a.started_at, a.id",
        )
        .bind(before)
        .bind(now)
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Unfinished { grant_id: GrantId(row.try_get("grant_id")?), started_at: row.try_get("started_at")? })
            })
            .collect()
    }

    /// How grants do and how old the oldest refresh token in use is: one pass over the rows.
    pub async fn count_grants(&self) -> Result<GrantCounts, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(CASE WHEN status = 'active' AND failure_count = 0 THEN 1 END), \
             COUNT(CASE WHEN status = 'active' AND failure_count > 0 THEN 1 END), \
             COUNT(CASE WHEN status = 'refresh_failed' THEN 1 END), \
             MIN(CASE WHEN status = 'active' THEN refresh_token_issued_at END) FROM integration_grants",
        )
        .fetch_one(self.pool())
        .await?;
        Ok(GrantCounts {
            active: row.try_get(0)?,
            failing: row.try_get(1)?,
            needs_reauth: row.try_get(2)?,
            oldest_issued_at: row.try_get(3)?,
        })
    }

    /// What the outbox still holds: two looks into indexes of nothing but that.
    pub async fn count_outbox(&self) -> Result<OutboxCounts, StoreError> {
        let events = sqlx::query("SELECT COUNT(*) FROM outbox WHERE fanned_out_at IS NULL").fetch_one(self.pool());
        let deliveries = sqlx::query("SELECT COUNT(*), MIN(next_attempt_at) FROM deliveries WHERE status = 'pending'");
        let (events, deliveries) = (events.await?, deliveries.fetch_one(self.pool()).await?);
        Ok(OutboxCounts {
            untold: events.try_get(0)?,
            pending: deliveries.try_get(0)?,
            due_since: deliveries.try_get(1)?,
        })
    }

    async fn tenants_by_grant(&self) -> Result<HashMap<GrantId, Vec<String>>, StoreError> {
        let rows = sqlx::query(
            "SELECT active_grant_id, tenant_name FROM integration_tenant_bindings \
             WHERE active_grant_id IS NOT NULL AND status <> 'disconnected' ORDER BY tenant_name, id",
        )
        .fetch_all(self.pool())
        .await?;
        let mut tenants: HashMap<GrantId, Vec<String>> = HashMap::new();
        for row in &rows {
            tenants.entry(GrantId(row.try_get("active_grant_id")?)).or_default().push(row.try_get("tenant_name")?);
        }
        Ok(tenants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GrantStatus, Trigger};
    use crate::server::domain::{AccessToken, RefreshToken, Tenant, TokenSet};
    use crate::server::store::testing::{START, stores};
    use crate::server::store::{AttemptEnd, Failure, NewAttempt, NewGrant, Store};

    async fn consent(store: &Store, org: &OrgId) -> GrantId {
        let tokens = TokenSet {
            access_token: AccessToken::new("a"),
            refresh_token: RefreshToken::new("r"),
            expires_at: START + 1800,
            scopes: String::new(),
        };
        let new = NewGrant { org_id: org.clone(), xero_user_id: "u".into(), auth_event_id: "e".into(), tokens };
        store.insert_grant(new).await.unwrap()
    }

    async fn fail(store: &Store, id: &GrantId, for_good: bool) {
        let held = store.take_lease(id, "owner", store.clock().now() + 60).await.unwrap().unwrap();
        let new = NewAttempt {
            grant_id: id,
            generation: held.generation,
            trigger: Trigger::Cli,
            actor: None,
            trace_id: None,
        };
        let attempt = store.begin_attempt(&new).await.unwrap();
        let outcome = if for_good { "reconnect" } else { "transient" };
        let end = AttemptEnd {
            outcome,
            error_code: Some(format!("code of {outcome}")),
            http_status: None,
            correlation_id: None,
        };
        let failure =
            Failure { error: "Xero isn't answering.", next_attempt_at: store.clock().now() + 7, reply_lost_at: None };
        let counted = if for_good {
            store.fail_grant(&held, "owner", "Reconnect.", &attempt, &end).await
        } else {
            store.record_failure(&held, "owner", &failure, &attempt, &end).await
        };
        assert!(counted.unwrap());
    }

    #[tokio::test]
    async fn grants_are_listed_with_the_newest_trouble_first_and_without_those_given_up() {
        for (db, store) in stores().await {
            let (ours, theirs) =
                (store.add_org("Ours").await.unwrap().unwrap(), store.add_org("Theirs").await.unwrap());
            let theirs = theirs.unwrap();
            let (well, failing, dead, gone) = (
                consent(&store, &ours).await,
                consent(&store, &ours).await,
                consent(&store, &theirs).await,
                consent(&store, &ours).await,
            );
            let tenant = |name: &str| Tenant {
                connection_id: name.into(),
                tenant_id: name.into(),
                tenant_name: name.into(),
                tenant_type: "ORGANISATION".into(),
            };
            let bound = store.bind(&ours, &well, &[tenant("Shop"), tenant("Café"), tenant("Old")], None).await.unwrap();
            store.disconnect_binding(&ours, &bound[2].binding_id).await.unwrap();
            fail(&store, &dead, true).await;
            store.clock().advance(60);
            fail(&store, &failing, false).await;
            store.give_up_grant(&gone).await.unwrap();

            let listed = store.database().listed_grants(None).await.unwrap();
            let seen: Vec<_> =
                listed.iter().map(|one| (&one.grant.id, one.org_name.as_str(), one.troubled_at)).collect();
            let wanted = [(&failing, "Ours", Some(START + 60)), (&dead, "Theirs", Some(START)), (&well, "Ours", None)];
            assert_eq!(seen, wanted, "{db}");
            let codes: Vec<_> = listed.iter().map(|one| one.trouble_code.as_deref()).collect();
            assert_eq!(codes, [Some("code of transient"), Some("code of reconnect"), None], "{db}");
            assert_eq!(listed[2].tenants, ["Café", "Shop"], "{db}");
            assert!(listed[0].tenants.is_empty() && listed[1].grant.status == GrantStatus::RefreshFailed, "{db}");

            let counts = store.database().count_grants().await.unwrap();
            let wanted = GrantCounts { active: 1, failing: 1, needs_reauth: 1, oldest_issued_at: Some(START) };
            assert_eq!(counts, wanted, "{db}: the one given up doesn't count");

            let named = store.database().org_named("Theirs").await.unwrap();
            assert_eq!(named, Some(theirs), "{db}");
            assert_eq!(store.database().org_named("Nobody's").await.unwrap(), None, "{db}");
            let listed = store.database().listed_grants(named.as_ref()).await.unwrap();
            assert_eq!(listed.iter().map(|one| &one.grant.id).collect::<Vec<_>>(), [&dead], "{db}");

            let outbox = async || store.database().count_outbox().await.unwrap();
            assert_eq!(outbox().await, OutboxCounts::default(), "{db}: nobody's connection broke");
            fail(&store, &well, true).await;
            assert_eq!(outbox().await, OutboxCounts { untold: 2, ..OutboxCounts::default() }, "{db}");
            store.fan_out(false, 10).await.unwrap();
            assert_eq!(outbox().await, OutboxCounts::default(), "{db}: nobody wants to hear it");
        }
    }

    #[tokio::test]
    async fn an_attempt_is_unfinished_when_its_holder_is_gone_and_nothing_worked_since() {
        for (db, store) in stores().await {
            let org = store.add_org("Ours").await.unwrap().unwrap();
            let id = consent(&store, &org).await;
            let held = store.take_lease(&id, "dies", START + 60).await.unwrap().unwrap();
            let new = NewAttempt {
                grant_id: &id,
                generation: held.generation,
                trigger: Trigger::Cli,
                actor: None,
                trace_id: None,
            };
            store.begin_attempt(&new).await.unwrap();
            let unfinished = async |before, now| store.database().unfinished_attempts(before, now).await.unwrap();
            let wanted = [Unfinished { grant_id: id.clone(), started_at: START }];
            assert_eq!(unfinished(START + 1, START + 59).await, [], "{db}: the lease is held");
            assert_eq!(unfinished(START, START + 60).await, [], "{db}: too young");
            assert_eq!(unfinished(START + 1, START + 60).await, wanted, "{db}");

            // The next one works.
            store.clock().advance(60);
            let held = store.take_lease(&id, "next", START + 120).await.unwrap().unwrap();
            let attempt = store.begin_attempt(&new).await.unwrap();
            let tokens = TokenSet {
                access_token: AccessToken::new("a2"),
                refresh_token: RefreshToken::new("r2"),
                expires_at: START + 1860,
                scopes: String::new(),
            };
            let rotation = store.seal_rotation(&held, &tokens).unwrap();
            let end =
                AttemptEnd { outcome: "refreshed", error_code: None, http_status: Some(200), correlation_id: None };
            assert!(store.commit_rotation(&rotation, "next", &attempt, &end).await.unwrap(), "{db}");
            assert_eq!(unfinished(START + 1000, START + 1000).await, [], "{db}: settled");
        }
    }
}
