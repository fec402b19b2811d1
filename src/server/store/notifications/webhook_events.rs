//! Which events a webhook endpoint gets: all by default, or the kinds that a person chose.

use crate::model::{Action, EndpointId, EventKind, OrgId};
use crate::server::store::{RowChange, Store, StoreError};

/// Says whether endpoint `e` gets the event `$1`. A kind of a later version goes to endpoints without a choice only.
macro_rules! wants_event_sql {
    () => {
        "(e.events_chosen_at IS NULL OR EXISTS (SELECT 1 FROM webhook_endpoint_events c \
         JOIN outbox o ON o.kind = c.kind WHERE c.endpoint_id = e.id AND o.id = $1))"
    };
}
pub(super) use wants_event_sql;

impl Store {
    /// Sets the kinds of events that an endpoint gets from now on, or all if there are none. `NotFound` if the
    /// organization has no such endpoint.
    pub async fn choose_events(
        &self,
        org: &OrgId,
        id: &EndpointId,
        kinds: &[EventKind],
    ) -> Result<RowChange, StoreError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query("UPDATE webhook_endpoints SET events_chosen_at = $1 WHERE id = $2 AND org_id = $3")
            .bind((!kinds.is_empty()).then(|| self.clock.now()))
            .bind(id.as_str())
            .bind(org.as_str())
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(RowChange::NotFound);
        }
        sqlx::query("DELETE FROM webhook_endpoint_events WHERE endpoint_id = $1")
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await?;
        for kind in kinds {
            sqlx::query(
                "INSERT INTO webhook_endpoint_events (endpoint_id, kind) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            )
            .bind(id.as_str())
            .bind(kind.as_str())
            .execute(&mut *transaction)
            .await?;
        }
        let names: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
        let names = if names.is_empty() { "all".to_owned() } else { names.join(", ") };
        let detail = Some(("events", names));
        self.record_endpoint_change(&mut transaction, org, id, Action::WebhookEventsChosen, detail).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Channel;
    use crate::server::domain::Secret;
    use crate::server::store::testing::each_store;
    use crate::server::store::testing::grants::TestGrant;
    use crate::server::store::{NewUser, NewWebhookEndpoint, UserOrg};

    #[apply(each_store!)]
    async fn endpoint_gets_the_chosen_events_and_a_kind_of_a_later_version_only_without_a_choice(store: Store) {
        let hash = Secret::new("hash");
        let ann = NewUser { email: "ann@example.com", password_hash: &hash, org: Some(UserOrg::New("Harbour")) };
        let ann = store.add_user(ann).await.unwrap();
        let (org, user) = (ann.org.unwrap().0, ann.user);
        let mut endpoints = Vec::new();
        for url in ["https://example.com/all", "https://example.com/some"] {
            let (secret, session_hash) = (&Secret::new("secret"), "session");
            let new = NewWebhookEndpoint { url, secret, created_by: &user, session_hash };
            endpoints.push(store.add_endpoint(&org, new).await.unwrap());
            store.clock().advance(1);
        }
        let chosen = [EventKind::Disconnected];
        let other = store.add_org("Elsewhere").await.unwrap();
        assert_eq!(store.choose_events(&other, &endpoints[1], &chosen).await.unwrap(), RowChange::NotFound);
        assert_eq!(store.choose_events(&org, &endpoints[1], &chosen).await.unwrap(), RowChange::Applied);
        let choices = async || {
            let listed = store.listed_endpoints(&org).await.unwrap();
            listed.into_iter().map(|one| (one.endpoint.url, one.events)).collect::<Vec<_>>()
        };
        let some = Some(chosen.to_vec());
        let listed = [("https://example.com/all".to_owned(), None), ("https://example.com/some".to_owned(), some)];
        assert_eq!(choices().await, listed);

        TestGrant::of(&store, &org).bound_to(&["Shop"]).insert().await;
        let binding = store.bindings_of_org(&org).await.unwrap().remove(0).binding.id;
        store.clock().advance(1);
        store.disconnect_binding(&org, &binding).await.unwrap();
        let later = "INSERT INTO outbox (id, org_id, kind, occurred_at) VALUES ('later', $1, 'connection.later', 1)";
        sqlx::query(later).bind(org.as_str()).execute(store.pool()).await.unwrap();
        assert_eq!(store.fan_out(9).await.unwrap(), 3);
        let until = store.clock().now() + 60;
        let claimed = store.claim_deliveries(Channel::Webhook, "owner", until, 9).await.unwrap();
        let of = |id: &EndpointId| claimed.iter().filter(|one| one.target == id.as_str()).count();
        assert_eq!((of(&endpoints[0]), of(&endpoints[1])), (3, 1));

        assert_eq!(store.choose_events(&org, &endpoints[1], &[]).await.unwrap(), RowChange::Applied);
        assert!(choices().await.iter().all(|(_, events)| events.is_none()), "it gets all again");
    }
}
