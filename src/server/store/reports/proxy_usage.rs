//! What programs used of Xero's API, by key, connection and day.

use sqlx::Row;

use crate::model::{Action, ApiKeyId, BindingId, OrgId};
use crate::server::domain::{Actor, AuditEvent};
use crate::server::store::{Store, StoreError};

/// Calls of one key to one connection on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// Organization of both.
    pub org: OrgId,
    /// Connection.
    pub binding: BindingId,
    /// Its tenant's name, for the audit log.
    pub tenant_name: String,
    /// Key.
    pub key: ApiKeyId,
    /// The key's name, for the audit log.
    pub key_name: String,
    /// Unix seconds at which the day began (UTC).
    pub day: i64,
    /// The address of the first call, for the audit log.
    pub address: String,
    /// Number of calls.
    pub calls: i64,
    /// Bytes of the bodies sent to Xero.
    pub bytes_sent: i64,
    /// Bytes of the bodies that Xero sent.
    pub bytes_received: i64,
}

impl Store {
    /// Adds to what was counted. The first calls of a key to a connection on a day are recorded in the audit log.
    pub async fn add_proxy_usage(&self, rows: &[UsageRow]) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        for row in rows {
            let counted = sqlx::query(
                "INSERT INTO proxy_usage (org_id, binding_id, key_id, day, calls, bytes_sent, bytes_received) \
                 SELECT id, $2, $3, $4, $5, $6, $7 FROM organizations WHERE id = $1 \
                 ON CONFLICT (binding_id, key_id, day) DO UPDATE SET calls = proxy_usage.calls + EXCLUDED.calls, \
                 bytes_sent = proxy_usage.bytes_sent + EXCLUDED.bytes_sent, \
                 bytes_received = proxy_usage.bytes_received + EXCLUDED.bytes_received RETURNING calls",
            )
            .bind(row.org.as_str())
            .bind(row.binding.as_str())
            .bind(row.key.as_str())
            .bind(row.day)
            .bind(row.calls)
            .bind(row.bytes_sent)
            .bind(row.bytes_received)
            .fetch_optional(&mut *transaction)
            .await?;
            let is_first = counted.map(|counted| counted.try_get::<i64, _>(0)).transpose()? == Some(row.calls);
            if is_first {
                let actor = Actor::api_key(row.key.as_str(), &row.key_name, Some(row.address.clone()));
                let event = AuditEvent::new(&actor, Action::XeroCalled).in_org(&row.org);
                let event = event.subject("binding", &row.binding).detail("connection", &row.tenant_name);
                self.record(&mut transaction, &event).await?;
            }
        }
        transaction.commit().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::AuditFilter;
    use crate::server::store::testing::{START, each_store};

    each_store! {
        async fn usage_is_audited_once_a_day(store: Store) {
            let org = store.add_org("Harbour").await.unwrap();
            let row = UsageRow {
                org: org.clone(),
                binding: "b".into(),
                tenant_name: "Harbour Coffee".into(),
                key: "k".into(),
                key_name: "Invoicing".into(),
                day: START,
                address: "192.0.2.1".into(),
                calls: 2,
                bytes_sent: 10,
                bytes_received: 100,
            };
            let yesterday = UsageRow { day: START - 86_400, calls: 1, ..row.clone() };
            let unknown = UsageRow { org: "deleted meanwhile".into(), binding: "other".into(), ..row.clone() };
            store.add_proxy_usage(&[row.clone(), yesterday, unknown]).await.unwrap();
            store.add_proxy_usage(std::slice::from_ref(&row)).await.unwrap();
            let filter = AuditFilter { action: Action::XeroCalled.as_str(), ..AuditFilter::default() };
            let events = store.audit_events(Some(&org), filter, None, 9).await.unwrap();
            assert_eq!(events.len(), 2, "one for each day");
            assert_eq!((events[0].actor.as_str(), events[0].address.as_deref()), ("Invoicing", Some("192.0.2.1")));
        }
    }
}
