//! One audited action: what does it, what its event says, and the two runs that show both.

use std::collections::BTreeMap;
use std::pin::Pin;

use evergrant::model::Action;
use evergrant::server::store::{ConnectionPool, Database, DatabaseKind};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use super::is_recorded_with_its_change;
use crate::support::table_dump::dump_tables;
use crate::support::wait::{MAX_WAIT, eventually_some};

/// What happens beside the change whether or not it is done: guesses are counted, browsers are remembered, background
/// jobs run, and keys and sessions are used. The outbox numbers its events, and webhooks get them.
const NO_CHANGES: &[&str] = &[
    "alarms",
    "app_call_windows",
    "attempt_limits",
    "audit_events",
    "database_identity",
    "encryption_key_uses",
    "event_feed",
    "idempotent_calls",
    "instances",
    "known_browsers",
    "mailer_heartbeat",
    "outbox",
    "request_slots",
    "schema_migrations",
    "untrusted_forwarders",
    "write_probes",
];

/// Something that is done, more than once.
pub type Act = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()>>>>;

/// An audited action.
pub struct Case {
    /// Who does it, as the event names them.
    pub actor: String,
    /// From where.
    pub address: Option<&'static str>,
    /// The details, by name. An empty value stands for any.
    pub detail: Vec<(&'static str, String)>,
    /// Tables that change although the action does not happen, such as the tokens of a consent, which are kept.
    pub spared: &'static [&'static str],
    /// What comes before each run.
    pub ready: Option<Act>,
    pub act: Act,
}

impl Case {
    /// Returns the action of a person in a browser.
    pub fn of(actor: &str, detail: &[(&'static str, &str)], act: Act) -> Self {
        let detail = detail.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { actor: actor.to_owned(), address: Some("127.0.0.1"), detail, spared: &[], ready: None, act }
    }

    pub fn at_address(self, address: Option<&'static str>) -> Self {
        Self { address, ..self }
    }

    pub fn sparing(self, spared: &'static [&'static str]) -> Self {
        Self { spared, ..self }
    }

    pub fn after(self, ready: Act) -> Self {
        Self { ready: Some(ready), ..self }
    }
}

/// Builds an act of an async block. Clones what it uses for each run.
macro_rules! act {
    ($($used:ident),*; $body:expr) => {{
        $(let $used = $used.clone();)*
        let act: $crate::audit::check::Act = Box::new(move || {
            $(let $used = $used.clone();)*
            Box::pin(async move { $body; })
        });
        act
    }};
}
pub(crate) use act;

/// Does the action while the audit table accepts no row, and then again. Returns what is wrong.
pub async fn check(database: &Database, action: Action, case: Case) -> Vec<String> {
    let (pool, what, mut wrong) = (database.pool(), action.as_str(), Vec::new());
    let is_with_change = is_recorded_with_its_change(action);
    let ready = async || {
        if let Some(ready) = &case.ready {
            ready().await;
        }
    };
    ready().await;
    let before = rows(database, case.spared).await;
    block(database).await;
    (case.act)().await;
    let after = rows(database, case.spared).await;
    unblock(database).await;
    let changes = changed(&before, &after);
    if is_with_change && !changes.is_empty() {
        wrong.push(format!("{what} happened without its event: {changes:#?}"));
    }

    ready().await;
    let (known, before) = (event_ids(pool, what).await, rows(database, case.spared).await);
    (case.act)().await;
    let newest = async || {
        let events = events(pool, what).await;
        events.into_iter().find(|(id, _)| !known.contains(id)).map(|(_, event)| event)
    };
    let event = if is_with_change { newest().await } else { Some(eventually_some(what, MAX_WAIT, newest).await) };
    match event {
        Some(event) => wrong.extend(event.mismatch(&case).map(|mismatch| format!("{what}: {mismatch}"))),
        None => wrong.push(format!("{what} has no event")),
    }
    // A test of a connection is a call to Xero and changes no row of ours.
    if is_with_change && action != Action::ConnectionTested {
        let after = rows(database, case.spared).await;
        if changed(&before, &after).is_empty() {
            wrong.push(format!("{what} changed nothing, so nothing was shown while the table was blocked"));
        }
    }
    wrong
}

/// Returns whether the audit table accepts no row now.
pub async fn is_blocked(database: &Database) -> bool {
    let named = match database.kind() {
        DatabaseKind::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE name = 'audit_blocked'",
        DatabaseKind::Postgres => "SELECT COUNT(*) FROM pg_trigger WHERE tgname = 'audit_blocked'",
    };
    sqlx::query(named).fetch_one(database.pool()).await.unwrap().get::<i64, _>(0) > 0
}

async fn block(database: &Database) {
    let statements: &[&'static str] = match database.kind() {
        DatabaseKind::Sqlite => {
            &["CREATE TRIGGER audit_blocked BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'no event'); END"]
        }
        DatabaseKind::Postgres => &[
            "CREATE OR REPLACE FUNCTION refuse_event() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'no event'; END $$",
            "CREATE TRIGGER audit_blocked BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION refuse_event()",
        ],
    };
    for statement in statements {
        database.pool().execute(*statement).await.unwrap();
    }
}

async fn unblock(database: &Database) {
    let statement = match database.kind() {
        DatabaseKind::Sqlite => "DROP TRIGGER audit_blocked",
        DatabaseKind::Postgres => "DROP TRIGGER audit_blocked ON audit_events",
    };
    database.pool().execute(statement).await.unwrap();
}

/// Returns the rows of every table that an action could change.
async fn rows(database: &Database, spared: &[&str]) -> Vec<String> {
    let named = match database.kind() {
        DatabaseKind::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        DatabaseKind::Postgres => {
            "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = current_schema()"
        }
    };
    let tables = sqlx::query(named).fetch_all(database.pool()).await.unwrap();
    let mut tables: Vec<String> = tables.iter().map(|row| row.get(0)).collect();
    tables.retain(|table| {
        !NO_CHANGES.contains(&table.as_str()) && !spared.contains(&table.as_str()) && !table.starts_with("_sqlx")
    });
    assert!(tables.len() > 20, "{tables:?}");
    dump_tables(database.pool(), tables.iter().map(String::as_str), None).await
}

/// Returns the rows that are in one list only.
fn changed<'a>(before: &'a [String], after: &'a [String]) -> Vec<&'a String> {
    let gone = before.iter().filter(|row| !after.contains(row));
    gone.chain(after.iter().filter(|row| !before.contains(row))).collect()
}

#[derive(Debug)]
struct Event {
    actor: String,
    address: Option<String>,
    detail: BTreeMap<String, String>,
}

impl Event {
    /// Returns the event if it isn't what the case expects.
    fn mismatch(self, case: &Case) -> Option<String> {
        let is_expected = self.actor == case.actor
            && self.address.as_deref() == case.address
            && self.detail.len() == case.detail.len()
            && case
                .detail
                .iter()
                .all(|(name, value)| self.detail.get(*name).is_some_and(|found| value.is_empty() || found == value));
        (!is_expected).then(|| format!("{self:?} instead of {} from {:?}, {:?}", case.actor, case.address, case.detail))
    }
}

async fn event_ids(pool: &ConnectionPool, action: &str) -> Vec<String> {
    events(pool, action).await.into_iter().map(|(id, _)| id).collect()
}

async fn events(pool: &ConnectionPool, action: &str) -> Vec<(String, Event)> {
    let select =
        AssertSqlSafe("SELECT id, actor_name, address, detail FROM audit_events WHERE action = $1 ORDER BY id");
    let rows = sqlx::query(select).bind(action).fetch_all(pool).await.unwrap();
    let read = |row: &sqlx::any::AnyRow| {
        let detail = serde_json::from_str(&row.get::<String, _>("detail")).unwrap();
        (row.get("id"), Event { actor: row.get("actor_name"), address: row.get("address"), detail })
    };
    rows.iter().map(read).collect()
}
