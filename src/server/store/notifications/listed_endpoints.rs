//! Webhook endpoints as the page lists them: with the events that they get and their last delivery. One statement reads
//! them.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::deliveries::delivery_view_from;
use super::webhook_endpoints::{WebhookEndpoint, endpoint_from};
use crate::model::{DeliveryView, EventKind, OrgId};
use crate::server::store::{Store, StoreError};

/// An endpoint in the list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedEndpoint {
    /// The endpoint.
    pub endpoint: WebhookEndpoint,
    /// The kinds of events that somebody chose for it; `None` if it gets all. A kind of another version is left out.
    pub events: Option<Vec<EventKind>>,
    /// The newest delivery to it.
    pub last: Option<DeliveryView>,
}

impl Store {
    /// Returns the organization's endpoints, oldest first.
    pub async fn listed_endpoints(&self, org: &OrgId) -> Result<Vec<ListedEndpoint>, StoreError> {
        let rows = sqlx::query(
            "SELECT e.id, e.org_id, e.url, e.created_at, e.disabled_at, e.disabled_by, e.previous_until, \
             e.events_chosen_at, (SELECT string_agg(c.kind, ' ') FROM webhook_endpoint_events c \
             WHERE c.endpoint_id = e.id) AS kinds, d.id AS delivery_id, d.channel, d.status, d.attempts, \
             d.last_attempt_at, d.next_attempt_at, d.last_http_status, d.last_error, NULL AS receiver \
             FROM webhook_endpoints e LEFT JOIN deliveries d ON d.id = (SELECT l.id FROM deliveries l \
             WHERE l.target_id = e.id AND l.org_id = e.org_id \
             ORDER BY l.created_at DESC, l.last_attempt_at DESC, l.id LIMIT 1) \
             WHERE e.org_id = $1 ORDER BY e.created_at, e.id",
        )
        .bind(org.as_str())
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(listed_from).collect()
    }
}

fn listed_from(row: &AnyRow) -> Result<ListedEndpoint, StoreError> {
    let is_chosen = row.try_get::<Option<i64>, _>("events_chosen_at")?.is_some();
    let kinds: Option<String> = row.try_get("kinds")?;
    let kinds = kinds.unwrap_or_default();
    let mut kinds: Vec<_> = kinds.split(' ').filter_map(EventKind::parse).collect();
    kinds.sort_by_key(|kind| kind.as_str());
    let has_delivery = row.try_get::<Option<String>, _>("delivery_id")?.is_some();
    Ok(ListedEndpoint {
        endpoint: endpoint_from(row)?,
        events: is_chosen.then_some(kinds),
        last: if has_delivery { Some(delivery_view_from(row)?) } else { None },
    })
}
