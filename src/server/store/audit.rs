//! The audit log. Events are inserted, read and, after their retention period, deleted, but never changed; database
//! triggers enforce that (`migrations/0004_audit.*.sql`).

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::actor_names::actor_matches_sql;
use super::live::changes::ChangeTx;
use super::text_values::text_value;
use super::{Store, StoreError, start_of_page};
use crate::model::{Action, AuditView, Cursor, OrgId, Span, Stored, UserId};
use crate::server::domain::{Actor, AuditEvent};

/// Orders events that this process writes in the same millisecond.
static EVENT_SEQUENCE: AtomicU32 = AtomicU32::new(0);

/// Returns an id that sorts after every id that this process created before.
pub(in crate::server::store) fn ordered_id(milliseconds: i64) -> String {
    let written = EVENT_SEQUENCE.fetch_add(1, Ordering::Relaxed);
    format!("{milliseconds:011x}-{written:08x}-{}", uuid::Uuid::new_v4().simple())
}

/// A filter for events. An empty string matches everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuditFilter<'a> {
    /// The code of the events' action, such as `token.vended`.
    pub action: &'a str,
    /// The code of the kind of actor, such as `api_key`.
    pub actor_kind: &'a str,
    /// Text that the actor's name contains. Case is ignored; empty for all.
    pub actor_name: &'a str,
    /// The only email address that is searched for `actor_name`; `None` to search all.
    pub only_address: Option<&'a str>,
    /// When the events happened.
    pub span: Span,
}

/// Selects the columns that `event_from` reads, newest first. `$1` and `$2` are a cursor, `$3`, `$4` and `$6` to `$8` a
/// filter.
macro_rules! select_newest {
    ($org:literal) => {
        concat!(
            "SELECT id, at, actor_kind, actor_name, action, detail, address FROM audit_events ",
            "WHERE at <= $1 AND (at < $1 OR id < $2) AND ($3 = '' OR action = $3) ",
            "AND ($4 = '' OR actor_kind = $4) AND at >= $6 AND ",
            actor_matches_sql!("actor_name"),
            " AND org_id ",
            $org,
            " ORDER BY at DESC, id DESC LIMIT $5"
        )
    };
}

/// An event that is written later than it happened, and only once.
#[derive(Debug)]
pub struct PendingEvent {
    id: String,
    org: Option<OrgId>,
    actor: Actor,
    action: Action,
    subject: Option<(&'static str, String)>,
    detail: String,
    at: i64,
}

impl PendingEvent {
    /// Returns the code of the action.
    pub fn action(&self) -> &'static str {
        self.action.as_str()
    }

    /// Returns the id of the user or API key, if it has one.
    pub fn actor_id(&self) -> Option<&str> {
        self.actor.id.as_deref()
    }

    /// Returns the id of what it was done to.
    pub fn subject_id(&self) -> Option<&str> {
        self.subject.as_ref().map(|(_, id)| id.as_str())
    }

    /// Returns the client's address.
    pub fn address(&self) -> Option<&str> {
        self.actor.address.as_deref()
    }

    /// Gives the event an id of its cause, so that it is written once however often the cause is met.
    pub(in crate::server::store) fn with_id(self, id: String) -> Self {
        Self { id, ..self }
    }

    /// Returns when it happened, in unix seconds.
    pub fn at(&self) -> i64 {
        self.at
    }

    async fn insert(&self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO audit_events (id, org_id, actor_kind, actor_id, actor_name, action, subject_kind, \
             subject_id, detail, address, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(&self.id)
        .bind(self.org.as_ref().map(OrgId::as_str))
        .bind(self.actor.kind.as_str())
        .bind(self.actor.id.as_deref())
        .bind(&self.actor.name)
        .bind(self.action.as_str())
        .bind(self.subject.as_ref().map(|(kind, _)| *kind))
        .bind(self.subject_id())
        .bind(&self.detail)
        .bind(self.actor.address.as_deref())
        .bind(self.at)
        .execute(connection)
        .await?;
        Ok(())
    }
}

impl Store {
    /// Inserts an event in the transaction of the change that it describes, which pages of its organization then show.
    pub(super) async fn record(&self, transaction: &mut ChangeTx, event: &AuditEvent<'_>) -> Result<(), StoreError> {
        self.pending_event(event).insert(transaction).await?;
        if let Some(org) = event.org {
            transaction.mark_changed(org);
        }
        Ok(())
    }

    /// Returns the event as it happens now, to be written later.
    pub fn pending_event(&self, event: &AuditEvent<'_>) -> PendingEvent {
        let detail: serde_json::Map<String, serde_json::Value> =
            event.detail.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect();
        PendingEvent {
            id: ordered_id(self.clock.now_millis()),
            org: event.org.cloned(),
            actor: event.actor.clone(),
            action: event.action,
            subject: event.subject.clone(),
            detail: serde_json::Value::Object(detail).to_string(),
            at: self.clock.now(),
        }
    }

    /// Inserts events that happened earlier, all or none. Those that were inserted before stay as they are. Publishes
    /// nothing, because programs cause them all the time.
    pub async fn record_pending(&self, events: &[PendingEvent]) -> Result<(), StoreError> {
        if let [event] = events {
            let mut connection = self.pool().acquire().await?;
            return event.insert(&mut connection).await;
        }
        let mut transaction = self.database().begin().await?;
        for event in events {
            event.insert(&mut transaction).await?;
        }
        transaction.commit().await
    }

    /// Records what a user did without a change, such as a refused sign-in, in each of their organizations.
    pub async fn record_in_orgs_of(&self, person: &UserId, action: Action) -> Result<(), StoreError> {
        let mut transaction = self.database().begin().await?;
        self.record_about_user(&mut transaction, person, action, &[]).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Records an event about a user in each of their organizations, in the caller's transaction. If there is none, the
    /// event stands alone, and only the person can see it.
    pub(super) async fn record_about_user(
        &self,
        transaction: &mut ChangeTx,
        person: &UserId,
        action: Action,
        detail: &[(&'static str, String)],
    ) -> Result<(), StoreError> {
        let row = sqlx::query("SELECT email FROM users WHERE id = $1").bind(person.as_str());
        let email = match row.fetch_optional(&mut **transaction).await? {
            Some(row) => row.try_get::<String, _>("email")?,
            None => String::new(),
        };
        let rows = sqlx::query("SELECT org_id FROM memberships WHERE user_id = $1 ORDER BY org_id");
        let rows = rows.bind(person.as_str()).fetch_all(&mut **transaction).await?;
        let mut orgs = Vec::new();
        for row in rows {
            orgs.push(Some(OrgId(row.try_get("org_id")?)));
        }
        if orgs.is_empty() {
            orgs.push(None);
        }
        for org in &orgs {
            let mut event = AuditEvent::new(self.actor(), action).subject("user", person);
            event.org = org.as_ref();
            if self.actor().id.as_deref() != Some(person.as_str()) {
                event = event.detail("member", &email);
            }
            event.detail.extend(detail.iter().cloned());
            self.record(transaction, &event).await?;
        }
        Ok(())
    }

    /// Inserts an event that accompanies no other change, such as a key rotation.
    pub async fn record_standalone(&self, event: &AuditEvent<'_>) -> Result<(), StoreError> {
        let mut transaction = self.database().begin().await?;
        self.record(&mut transaction, event).await?;
        transaction.commit().await
    }

    /// Returns up to `limit` events of an organization after the cursor, newest first. `None` selects the events of the
    /// whole app.
    pub async fn audit_events(
        &self,
        org: Option<&OrgId>,
        filter: AuditFilter<'_>,
        after: Option<&Cursor>,
        limit: i64,
    ) -> Result<Vec<AuditView>, StoreError> {
        let (at, id) = start_of_page(after, filter.span);
        let query = match org {
            Some(_) => sqlx::query(select_newest!("= $9")),
            // What concerns one person only is no event of the whole app.
            None => sqlx::query(select_newest!("IS NULL AND COALESCE(subject_kind, '') <> 'user'")),
        };
        let query = query.bind(at).bind(id).bind(filter.action).bind(filter.actor_kind).bind(limit);
        let query = query.bind(filter.span.from).bind(filter.actor_name).bind(filter.only_address);
        let query = match org {
            Some(org) => query.bind(org.as_str()),
            None => query,
        };
        query.fetch_all(self.pool()).await?.iter().map(event_from).collect()
    }

    /// Deletes up to `at_most` events from before `before`, the oldest first. Returns the number of deleted events.
    pub async fn delete_audit_events_before(&self, before: i64, at_most: i64) -> Result<u64, StoreError> {
        let mut transaction = self.database().begin().await?;
        sqlx::query("UPDATE audit_retention SET retained_from = $1 WHERE retained_from < $1")
            .bind(before)
            .execute(&mut *transaction)
            .await?;
        let done = sqlx::query(
            "DELETE FROM audit_events WHERE id IN (SELECT id FROM audit_events WHERE at < $1 ORDER BY at LIMIT $2)",
        )
        .bind(before)
        .bind(at_most)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }
}

fn event_from(row: &AnyRow) -> Result<AuditView, StoreError> {
    let text: String = row.try_get("detail")?;
    let detail: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text)
        .map_err(|_| StoreError::UnknownValue { table: "audit_events", column: "detail", value: text })?;
    let word = |value: serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(AuditView {
        id: row.try_get("id")?,
        at: row.try_get("at")?,
        actor_kind: text_value(row, "audit_events", "actor_kind")?,
        actor: row.try_get("actor_name")?,
        action: Stored::parse(row.try_get("action")?),
        detail: detail.into_iter().map(|(name, value)| (name, word(value))).collect(),
        address: row.try_get("address")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::DatabaseKind;
    use crate::server::store::testing::each_store;

    #[apply(each_store!)]
    async fn events_are_read_in_order_and_only_by_their_organization(store: Store) {
        let ours = store.add_org("Ours").await.unwrap();
        let actor = Actor::api_key("k-1", "Payroll", Some("192.0.2.7".into()));
        for n in 0..5 {
            let event =
                AuditEvent::new(&actor, Action::TokenVended).in_org(&ours).subject("binding", "b-1").detail("n", n);
            store.record_standalone(&event).await.unwrap();
        }
        let operator = Actor::operator();
        store.record_standalone(&AuditEvent::new(&operator, Action::KeyRotated)).await.unwrap();

        let all = store.audit_events(Some(&ours), AuditFilter::default(), None, 3).await.unwrap();
        let order = |events: &[AuditView]| events.iter().map(|one| one.detail[0].1.clone()).collect::<Vec<_>>();
        assert_eq!(order(&all), ["4", "3", "2"]);
        assert_eq!((all[0].actor.as_str(), all[0].address.as_deref()), ("Payroll", Some("192.0.2.7")));
        let last = Cursor { at: all[2].at, id: all[2].id.clone() };
        let rest = store.audit_events(Some(&ours), AuditFilter::default(), Some(&last), 9).await.unwrap();
        assert_eq!(order(&rest), ["1", "0", "Ours"], "the organization's creation comes last");
        for (filter, found) in [
            (AuditFilter { action: "token.vended", actor_kind: "api_key", ..AuditFilter::default() }, 5),
            (AuditFilter { actor_name: "payroll", ..AuditFilter::default() }, 5),
            (AuditFilter { actor_name: "YRO", ..AuditFilter::default() }, 5),
            (AuditFilter { actor_name: "yro", only_address: Some("a@b.c"), ..AuditFilter::default() }, 5),
            (AuditFilter { actor_name: "p%l", ..AuditFilter::default() }, 0),
            (AuditFilter { span: Span { from: 0, until: 9 }, ..AuditFilter::default() }, 0),
            (AuditFilter { action: "grant.connected", ..AuditFilter::default() }, 0),
            (AuditFilter { actor_kind: "user", ..AuditFilter::default() }, 0),
        ] {
            let events = store.audit_events(Some(&ours), filter, None, 9).await.unwrap();
            assert_eq!(events.len(), found, "{filter:?}");
        }
        let app_wide = store.audit_events(None, AuditFilter::default(), None, 9).await.unwrap();
        assert_eq!(app_wide.len(), 1);
        assert_eq!((app_wide[0].action.as_str(), app_wide[0].address.as_deref()), ("key_ring.rotated", Some("cli")));
    }

    #[apply(each_store!)]
    async fn database_rejects_updates_and_early_deletes_of_events(store: Store) {
        let system = Actor::system();
        let event = AuditEvent::new(&system, Action::KeyRotated);
        store.record_standalone(&event).await.unwrap();
        store.clock().advance(10);
        store.record_standalone(&event).await.unwrap();
        let refused = async |sql: &'static str| sqlx::query(sql).execute(store.pool()).await.is_err();
        assert!(refused("UPDATE audit_events SET actor_name = 'somebody else'").await);
        assert!(refused("DELETE FROM audit_events").await);
        if store.database().kind() == DatabaseKind::Postgres {
            assert!(refused("TRUNCATE audit_events").await);
        }
        // Only the event that is past its retention period is deleted.
        let now = store.clock().now();
        assert_eq!(store.delete_audit_events_before(now, 9).await.unwrap(), 1);
        assert!(refused("DELETE FROM audit_events").await);
        assert_eq!(store.audit_events(None, AuditFilter::default(), None, 9).await.unwrap().len(), 1);
        assert_eq!(
            store.delete_audit_events_before(now - 5, 9).await.unwrap(),
            0,
            "the retention horizon never moves back"
        );
    }
}
