//! All SQL, a file per noun. Seals and opens the secrets that rows keep.
//!
//! One set of statements serves SQLite and PostgreSQL: `$1` placeholders, `RETURNING`, `ON CONFLICT`. Every
//! statement runs in a test on both.

mod activity;
mod api_keys;
mod attempts;
mod audit;
mod bench;
mod bindings;
mod changes;
mod columns;
mod database;
mod deliveries;
mod departures;
mod drift;
mod due;
mod external;
mod external_news;
mod grants;
mod instances;
mod invitations;
mod leases;
mod leftovers;
mod listening;
mod members;
mod migrations;
mod notices;
mod oauth_states;
mod operators;
mod orgs;
mod outbox;
mod resealing;
mod sealing;
mod sessions;
mod telling;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
mod texts;
mod users;
mod webhooks;

use std::sync::Arc;

pub use activity::{Connected, Journalled, Upcoming};
pub use api_keys::{KeyRow, MOST_KEYS, NewApiKey};
pub use attempts::{AttemptEnd, EarlierTry, NewAttempt};
pub use audit::AuditFilter;
pub use bindings::{Bound, Rebound};
pub use changes::{Change, Changes, Heard, Subscription, Topic};
pub use database::{Database, Kind};
pub use deliveries::{Claimed, End, Tried};
pub use departures::GRACE;
pub use drift::Drift;
pub use due::Wanted;
pub use external::{Asserted, AssertedOrg, Known};
pub use external_news::{ExternalOrg, ExternalUser, News};
pub use grants::NewGrant;
pub use instances::{INSTANCE_LIFE, Instance};
pub use invitations::{Accepted, Guest, INVITATION_LIFE, Inviting};
pub use leases::Failure;
pub use members::{By, Unchanged};
pub use migrations::Schema;
pub use oauth_states::{Consumed, NewState, Pending, STATE_LIFE};
pub use operators::{Listed, Unfinished};
pub use orgs::MadeOrg;
pub use outbox::{About, Event};
pub use resealing::{Pass, TextsByKey};
pub use sessions::{SESSION_IDLE, SESSION_LIFE, Session};
pub use users::{Account, Added, NewUser};
pub use webhooks::{BOTH_SIGN, Endpoint, MOST_ENDPOINTS, NewEndpoint};

use super::cipher::{CipherError, KeyRing};
use super::clock::Clock;
use super::domain::{Actor, Plan};

/// What the rest of the server knows of the database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    database: Database,
    ring: Arc<KeyRing>,
    clock: Clock,
    plan: Plan,
    changes: Changes,
    /// Who is at work; Evergrant itself where nobody is named.
    actor: Arc<Actor>,
}

/// What can go wrong between us and the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("DATABASE_URL is neither sqlite://… nor postgres://…")]
    UnknownDatabase,
    #[error("can't make the folder {path} for the database: {source}")]
    Folder { path: String, source: std::io::Error },
    #[error("SQLite {version} can lose a committed write; 3.51.3 or newer is needed")]
    OldSqlite { version: String },
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the connection that hears other instances is silent")]
    Deaf,
    #[error("the schema could not be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error(
        "a newer Evergrant has changed the schema in a way that this version can't work with. Start that version or a \
         newer one; to go back to this one, restore the backup from before"
    )]
    NewerSchema,
    #[error("{what} {id}: {source}")]
    Sealed { what: &'static str, id: String, source: CipherError },
    #[error("a row of {table} holds {value:?} in {column}, which this version doesn't know")]
    Unreadable { table: &'static str, column: &'static str, value: String },
}

impl Store {
    pub fn new(database: Database, ring: KeyRing, clock: Clock) -> Self {
        let actor = Arc::new(Actor::system());
        Self { database, ring: Arc::new(ring), clock, plan: Plan::default(), changes: Changes::default(), actor }
    }

    /// The same in somebody's hands: what they change with it is written down as theirs.
    pub fn acting(&self, actor: Actor) -> Self {
        Self { actor: Arc::new(actor), ..self.clone() }
    }

    fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The same, with the operator's figures for when a grant is due.
    pub fn planned_by(self, plan: Plan) -> Self {
        Self { plan, ..self }
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    fn pool(&self) -> &sqlx::AnyPool {
        self.database.pool()
    }
}

/// A new row's id (UUID version 4, RFC 9562).
pub fn new_id<T: From<String>>() -> T {
    T::from(uuid::Uuid::new_v4().to_string())
}
