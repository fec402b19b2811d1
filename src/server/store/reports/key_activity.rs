//! What each API key did with a connection: the last token from the audit log, and the calls that were counted.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::model::{BindingId, KeyActivityView, OrgId, ProxyUsageView};
use crate::server::store::{Store, StoreError};

impl Store {
    /// Returns the organization's keys that took a token of the connection, as far as the audit log reaches, or that
    /// called Xero with it since the unix second `since`. The key that took a token last comes first.
    pub async fn key_activity(
        &self,
        org: &OrgId,
        binding: &BindingId,
        since: i64,
    ) -> Result<Vec<KeyActivityView>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, revoked_at, last_token_at, calls, bytes_sent, bytes_received FROM \
             (SELECT k.name, k.revoked_at, p.calls, p.bytes_sent, p.bytes_received, \
             (SELECT e.at FROM audit_events e WHERE e.action = 'token.vended' AND e.subject_id = $2 \
             AND e.actor_id = k.id AND e.org_id = $1 ORDER BY e.at DESC LIMIT 1) AS last_token_at \
             FROM api_keys k LEFT JOIN (SELECT key_id, CAST(SUM(calls) AS BIGINT) AS calls, \
             CAST(SUM(bytes_sent) AS BIGINT) AS bytes_sent, CAST(SUM(bytes_received) AS BIGINT) AS bytes_received \
             FROM proxy_usage WHERE binding_id = $2 AND org_id = $1 AND day >= $3 GROUP BY key_id) p \
             ON p.key_id = k.id WHERE k.org_id = $1) AS used WHERE last_token_at IS NOT NULL OR calls > 0 \
             ORDER BY COALESCE(last_token_at, 0) DESC, name",
        )
        .bind(org.as_str())
        .bind(binding.as_str())
        .bind(since)
        .fetch_all(self.pool())
        .await?;
        let activity = |row: &AnyRow| {
            Ok(KeyActivityView {
                name: row.try_get("name")?,
                is_revoked: row.try_get::<Option<i64>, _>("revoked_at")?.is_some(),
                last_token_at: row.try_get("last_token_at")?,
                usage: ProxyUsageView {
                    calls: sum(row, "calls")?,
                    bytes_sent: sum(row, "bytes_sent")?,
                    bytes_received: sum(row, "bytes_received")?,
                },
            })
        };
        rows.iter().map(activity).collect()
    }
}

/// Reads a sum, which is NULL if there was nothing to add.
fn sum(row: &AnyRow, name: &str) -> Result<i64, StoreError> {
    Ok(row.try_get::<Option<i64>, _>(name)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Action, Scope};
    use crate::server::domain::{Actor, AuditEvent};
    use crate::server::store::testing::{START, each_store};
    use crate::server::store::{NewApiKeyRow, UsageRow};

    async fn add_key(store: &Store, org: &OrgId, name: &str) -> String {
        let (scopes, bindings) = (&[Scope::TokensRead][..], &[][..]);
        let (hash, prefix, expires_at, created_by) = (name, "egk_12345678", None, None);
        let new = NewApiKeyRow { name, hash, prefix, scopes, expires_at, created_by, bindings };
        store.add_api_key(org, new).await.unwrap().0
    }

    #[apply(each_store!)]
    async fn keys_that_took_tokens_come_before_those_that_only_called_xero(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        let mut keys = Vec::new();
        for name in ["Early", "Late", "Caller", "Idle"] {
            keys.push(add_key(&store, &org, name).await);
        }
        for (key, name) in [(&keys[0], "Early"), (&keys[1], "Late")] {
            store.clock().advance(60);
            let actor = Actor::api_key(key, name, None);
            for _ in 0..2 {
                let event = AuditEvent::new(&actor, Action::TokenVended).in_org(&org).subject("binding", "b");
                store.record_standalone(&event).await.unwrap();
            }
        }
        let called = UsageRow {
            org: org.clone(),
            binding: "b".into(),
            tenant_name: "Harbour Coffee".into(),
            key: keys[2].as_str().into(),
            key_name: "Caller".into(),
            day: START,
            address: "192.0.2.1".into(),
            calls: 3,
            bytes_sent: 10,
            bytes_received: 100,
        };
        let earlier = UsageRow { day: START - 86_400, calls: 1, ..called.clone() };
        let elsewhere = UsageRow { binding: "other".into(), ..called.clone() };
        store.add_proxy_usage(&[called.clone(), earlier, elsewhere]).await.unwrap();
        store.add_proxy_usage(&[called]).await.unwrap();
        let found = store.key_activity(&org, &"b".into(), START).await.unwrap();
        let seen: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.last_token_at, one.usage.calls)).collect();
        assert_eq!(seen, [("Late", Some(START + 120), 0), ("Early", Some(START + 60), 0), ("Caller", None, 6)]);
        assert_eq!(found[2].usage, ProxyUsageView { calls: 6, bytes_sent: 20, bytes_received: 200 });
        let with_yesterday = store.key_activity(&org, &"b".into(), 0).await.unwrap();
        assert_eq!(with_yesterday[2].usage, ProxyUsageView { calls: 7, bytes_sent: 30, bytes_received: 300 });
        assert_eq!(store.key_activity(&org, &"b".into(), START + 1).await.unwrap().len(), 2, "the calls are too old");
        assert_eq!(store.key_activity(&org, &"another".into(), 0).await.unwrap(), []);
        assert_eq!(store.key_activity(&"another".into(), &"b".into(), 0).await.unwrap(), []);
    }
}
