//! The slots in which instances call Xero for a tenant, the tenants' pauses, and the app's calls.

use sqlx::Row;

use crate::model::CallLimit;
use crate::server::store::text_values::{optional_text_value, text_value};
use crate::server::store::{Store, StoreError};

/// How long, in seconds, usage is kept: thirteen months, so that a month can be compared with last year's.
const USAGE_RETENTION: i64 = 400 * 24 * 60 * 60;

/// A slot's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSlot {
    /// Its number, from zero.
    pub number: u32,
    /// The run of the instance that holds it.
    pub owner: Option<String>,
    /// Unix seconds until which it is held, or at which it was given back.
    pub held_until: i64,
    /// The calls of the last minute, encoded.
    pub minute_calls: String,
    /// The calls of the last day, encoded.
    pub day_calls: String,
}

impl RequestSlot {
    /// Returns a slot that nobody has used.
    pub fn unused(number: u32) -> Self {
        Self { number, owner: None, held_until: 0, minute_calls: String::new(), day_calls: String::new() }
    }
}

impl Store {
    /// Returns a tenant's slots, and the limit for which its calls wait, with the unix second until which they do.
    pub async fn request_slots(
        &self,
        tenant_id: &str,
    ) -> Result<(Vec<RequestSlot>, Option<(CallLimit, i64)>), StoreError> {
        let rows = sqlx::query(
            "SELECT s.slot, s.owner, s.held_until, s.minute_calls, s.day_calls, p.reached_limit, p.paused_until \
             FROM request_slots s LEFT JOIN tenant_pauses p ON p.client_id = s.client_id AND p.tenant_id = s.tenant_id \
             WHERE s.client_id = $1 AND s.tenant_id = $2 ORDER BY s.slot",
        )
        .bind(&self.app.client_id)
        .bind(tenant_id)
        .fetch_all(self.pool())
        .await?;
        let mut pause = None;
        let mut slots = Vec::with_capacity(rows.len());
        for row in rows {
            if let Some(limit) = optional_text_value(&row, "tenant_pauses", "reached_limit")? {
                pause = Some((limit, row.try_get("paused_until")?));
            }
            slots.push(RequestSlot {
                number: u32::try_from(row.try_get::<i64, _>("slot")?).unwrap_or(u32::MAX),
                owner: row.try_get("owner")?,
                held_until: row.try_get("held_until")?,
                minute_calls: row.try_get("minute_calls")?,
                day_calls: row.try_get("day_calls")?,
            });
        }
        Ok((slots, pause))
    }

    /// Claims a slot until `held_until`. `seen` is its row as read, `None` if there was none. Returns whether the row was
    /// still so.
    pub async fn claim_request_slot(
        &self,
        tenant_id: &str,
        number: u32,
        seen: Option<&RequestSlot>,
        owner: &str,
        held_until: i64,
    ) -> Result<bool, StoreError> {
        let statement = match seen {
            Some(_) => {
                "UPDATE request_slots SET owner = $4, held_until = $5 WHERE client_id = $1 AND tenant_id = $2 \
                 AND slot = $3 AND COALESCE(owner, '') = $6 AND held_until = $7 AND minute_calls = $8 AND day_calls = $9"
            }
            None => {
                "INSERT INTO request_slots (client_id, tenant_id, slot, owner, held_until, minute_calls, day_calls) \
                 VALUES ($1, $2, $3, $4, $5, '', '') ON CONFLICT DO NOTHING"
            }
        };
        let query = sqlx::query(statement).bind(&self.app.client_id).bind(tenant_id).bind(i64::from(number));
        let mut query = query.bind(owner).bind(held_until);
        if let Some(seen) = seen {
            query = query.bind(seen.owner.as_deref().unwrap_or_default()).bind(seen.held_until);
            // Another may have claimed it and given it back within the same second.
            query = query.bind(&seen.minute_calls).bind(&seen.day_calls);
        }
        Ok(query.execute(self.pool()).await?.rows_affected() == 1)
    }

    /// Extends the hold of all slots of `owner` that it still holds.
    pub async fn renew_request_slots(&self, owner: &str, held_until: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE request_slots SET held_until = $1 WHERE owner = $2 AND held_until > $3")
            .bind(held_until)
            .bind(owner)
            .bind(self.clock.now())
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Gives a slot back with its calls of the last minute and of the last day. Does nothing if another holds it.
    pub async fn release_request_slot(
        &self,
        tenant_id: &str,
        number: u32,
        owner: &str,
        (minute_calls, day_calls): (&str, &str),
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE request_slots SET owner = NULL, held_until = $1, minute_calls = $2, day_calls = $3 \
             WHERE client_id = $4 AND tenant_id = $5 AND slot = $6 AND owner = $7",
        )
        .bind(self.clock.now())
        .bind(minute_calls)
        .bind(day_calls)
        .bind(&self.app.client_id)
        .bind(tenant_id)
        .bind(i64::from(number))
        .bind(owner)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Lets a tenant's calls wait until the unix second `until`, or longer if they already have to.
    pub async fn pause_tenant(&self, tenant_id: &str, limit: CallLimit, until: i64) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO tenant_pauses (client_id, tenant_id, reached_limit, paused_until) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (client_id, tenant_id) DO UPDATE SET reached_limit = EXCLUDED.reached_limit, \
             paused_until = EXCLUDED.paused_until WHERE tenant_pauses.paused_until < EXCLUDED.paused_until",
        )
        .bind(&self.app.client_id)
        .bind(tenant_id)
        .bind(limit.as_str())
        .bind(until)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Returns the tenants whose calls wait, for which limit, and until which unix second.
    pub async fn tenant_pauses(&self) -> Result<Vec<(String, CallLimit, i64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT tenant_id, reached_limit, paused_until FROM tenant_pauses WHERE client_id = $1 AND paused_until > $2",
        )
        .bind(&self.app.client_id)
        .bind(self.clock.now())
        .fetch_all(self.pool())
        .await?;
        let paused = rows.iter().map(|row| {
            let limit = text_value(row, "tenant_pauses", "reached_limit")?;
            Ok((row.try_get("tenant_id")?, limit, row.try_get("paused_until")?))
        });
        paused.collect()
    }

    /// Notes that all calls of the app are used up in the window that starts at `starts_at`.
    pub async fn use_up_app_window(&self, starts_at: i64, limit: u32) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO app_call_windows (client_id, starts_at, calls) VALUES ($1, $2, $3) \
             ON CONFLICT (client_id, starts_at) DO UPDATE SET calls = EXCLUDED.calls \
             WHERE app_call_windows.calls < EXCLUDED.calls",
        )
        .bind(&self.app.client_id)
        .bind(starts_at)
        .bind(i64::from(limit))
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Returns when the last window starts, from `starts_at` on, in which all calls of the app are used up.
    pub async fn last_used_up_window(&self, starts_at: i64, limit: u32) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query(
            "SELECT MAX(starts_at) FROM app_call_windows WHERE client_id = $1 AND starts_at >= $2 AND calls >= $3",
        )
        .bind(&self.app.client_id)
        .bind(starts_at)
        .bind(i64::from(limit))
        .fetch_one(self.pool())
        .await?;
        Ok(row.try_get(0)?)
    }

    /// Reserves `calls` of the app in the window that starts at `starts_at`. Returns whether they are within `limit`.
    pub async fn reserve_app_calls(&self, starts_at: i64, calls: u32, limit: u32) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO app_call_windows (client_id, starts_at, calls) VALUES ($1, $2, $3) \
             ON CONFLICT (client_id, starts_at) DO UPDATE SET calls = app_call_windows.calls + EXCLUDED.calls \
             WHERE app_call_windows.calls + EXCLUDED.calls <= $4",
        )
        .bind(&self.app.client_id)
        .bind(starts_at)
        .bind(i64::from(calls))
        .bind(i64::from(limit))
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Deletes the rows that count for nothing any more. Returns their number.
    pub async fn delete_old_call_counts(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let mut deleted = 0;
        for (statement, before) in [
            ("DELETE FROM app_call_windows WHERE starts_at < $1", now - 10 * 60),
            ("DELETE FROM tenant_pauses WHERE paused_until < $1", now),
            ("DELETE FROM request_slots WHERE owner IS NULL AND held_until < $1", now - 2 * 24 * 60 * 60),
            ("DELETE FROM proxy_usage WHERE day < $1", now - USAGE_RETENTION),
        ] {
            deleted += sqlx::query(statement).bind(before).execute(self.pool()).await?.rows_affected();
        }
        Ok(deleted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::{START, each_store};

    each_store! {
        async fn slot_is_claimed_once_renewed_and_given_back_with_its_counts(store: Store) {
            assert!(store.claim_request_slot("t", 0, None, "one", START + 30).await.unwrap());
            assert!(!store.claim_request_slot("t", 0, None, "two", START + 30).await.unwrap(), "it exists");
            let (held, _) = store.request_slots("t").await.unwrap();
            store.renew_request_slots("one", START + 60).await.unwrap();
            let claimed = store.claim_request_slot("t", 0, Some(&held[0]), "two", START + 90).await.unwrap();
            assert!(!claimed, "its row has changed since it was read");
            store.release_request_slot("t", 0, "two", ("x", "y")).await.unwrap();
            assert_eq!(store.request_slots("t").await.unwrap().0[0].owner.as_deref(), Some("one"), "not two's");
            store.release_request_slot("t", 0, "one", ("5:1", "6:2")).await.unwrap();
            let (free, pause) = store.request_slots("t").await.unwrap();
            let given_back = RequestSlot {
                held_until: START,
                minute_calls: "5:1".into(),
                day_calls: "6:2".into(),
                ..RequestSlot::unused(0)
            };
            assert_eq!((free, pause), (vec![given_back.clone()], None));
            let before_the_last_call = RequestSlot { minute_calls: "5:0".into(), ..given_back.clone() };
            let claimed = store.claim_request_slot("t", 0, Some(&before_the_last_call), "two", START + 30).await.unwrap();
            assert!(!claimed, "a call was made in it since it was read, in the same second");
            assert!(store.claim_request_slot("t", 0, Some(&given_back), "two", START + 30).await.unwrap());
        }
    }

    each_store! {
        async fn counts_are_deleted_when_they_count_for_nothing(store: Store) {
            assert!(store.reserve_app_calls(START, 2, 2).await.unwrap());
            assert!(!store.reserve_app_calls(START, 1, 2).await.unwrap());
            assert!(store.claim_request_slot("t", 0, None, "one", START + 30).await.unwrap());
            store.pause_tenant("t", CallLimit::Day, START + 5).await.unwrap();
            store.release_request_slot("t", 0, "one", ("", "")).await.unwrap();
            assert_eq!(store.request_slots("t").await.unwrap().1, Some((CallLimit::Day, START + 5)));
            assert_eq!(store.delete_old_call_counts().await.unwrap(), 0);
            store.clock().advance(6);
            assert_eq!(store.delete_old_call_counts().await.unwrap(), 1, "the pause");
            store.clock().advance(10 * 60);
            assert_eq!(store.delete_old_call_counts().await.unwrap(), 1, "the app's window");
            store.clock().advance(3 * 24 * 60 * 60);
            assert_eq!(store.delete_old_call_counts().await.unwrap(), 1, "the slot");
        }
    }
}
