//! All SQL, one file per noun. Seals and opens the secrets stored in rows.
//!
//! The same statements run on SQLite and PostgreSQL (`$1` placeholders, `RETURNING`, `ON CONFLICT`). Tests run every
//! statement on both.

mod accounts;
mod actor_names;
mod audit;
mod cleanup;
mod column_lists;
mod connections;
mod database;
mod database_clock;
mod database_kind;
mod database_url;
mod grants;
mod json_rows;
mod live;
mod migrations;
mod notifications;
mod pool;
mod pooler;
mod reports;
mod row_change;
mod sealed;
mod shared_reads;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
mod text_values;
mod timeouts;
mod unavailable;
mod write_probe;

use std::sync::Arc;

pub use accounts::account_messages::{ClaimedMessage, EmailConfirmation, LINK_LIFETIME, OpenLink};
pub use accounts::account_notices::ClaimedNotice;
pub use accounts::api_keys::{
    AddApiKeyError, ApiKeyRow, KeyUse, LimitKeyError, MAX_API_KEYS, NewApiKeyRow, NewSecret, ReplacedSecret,
    RotateKeyError,
};
pub use accounts::attempt_limits::{AttemptCount, AttemptLimit, LONGEST_REFILL, hash_parts};
pub use accounts::clerk_events::{ClerkEvent, ClerkOrg, ClerkUser, ReceivedEvent};
pub use accounts::clerk_sync::{IdentityClaims, OrgClaims, StoredIdentity};
pub use accounts::factor_policy::FactorDeadline;
pub use accounts::idempotent_calls::{CALL_CLAIM_DURATION, CallClaim, IdempotentCall};
pub use accounts::identities::{AddIdentityError, ExternalIdentity};
pub use accounts::identity_links::{LinkIdentityError, UnlinkIdentityError};
pub use accounts::invitation_mails::InvitationMail;
pub use accounts::invitations::{
    AcceptError, AcceptedInvitation, INVITATION_LIFETIME, InviteError, Invitee, NewInvitation,
};
pub use accounts::known_browsers::KNOWN_BROWSER_LIFETIME;
pub use accounts::members::MemberChangeError;
pub use accounts::operations::DeleteUserError;
pub use accounts::orgs::{AddOrgError, CreateOrgError};
pub use accounts::pending_identities::{PENDING_IDENTITY_LIFETIME, PendingIdentity, PendingKey};
pub use accounts::profile::Profile;
pub use accounts::second_factors::{ENROLLMENT_LIFETIME, PendingEnrollment};
pub use accounts::sessions::list::EndSessions;
pub use accounts::sessions::opened::Session;
pub use accounts::sessions::{
    DEFAULT_SESSION_IDLE_TIMEOUT, NewSession, Proof, SESSION_COOKIE_LIFETIME, SESSION_LIFETIME, SessionPlace,
};
pub use accounts::sign_in_challenges::{CHALLENGE_LIFETIME, SignInChallenge};
pub use accounts::users::{Account, AddUserError, CreatedUser, NewUser, UserOrg};
pub use audit::{AuditFilter, PendingEvent};
pub use cleanup::OrphanRevocation;
pub use connections::bindings::{BindOutcome, BindingWithGrant};
pub use connections::connect_links::{ConnectLink, CreateLinkError, NewConnectLink};
pub use connections::connection_details::ConnectionDetails;
pub use connections::connection_tests::TestAllowance;
pub use connections::consent_details::{ConsentDetails, ConsentGiver};
pub use connections::end_decision::EndDecision;
pub use connections::imports::TokenImport;
pub use connections::labels::{BindingChange, BindingFilter, LabelError, LabeledBinding, Labels};
pub use connections::link_batches::{CreatedLinks, NewLinkBatch};
pub use connections::link_consents::{ConsumedLinkState, LinkBinding};
pub use connections::link_creators::LinkCreator;
pub use connections::link_mails::LinkMail;
pub use connections::link_outcomes::LinkUse;
pub use connections::list_page::ConnectionListPage;
pub use connections::listed::{ConnectionList, ListedConnection, NamedTenant};
pub use connections::listed_row::ListedRow;
pub use connections::oauth_states::{ConsumedState, NewOauthState, OAUTH_STATE_LIFETIME, PendingConsent};
pub use connections::offboarding::OFFBOARDING_PERIOD;
pub use connections::reconcile::Reconciliation;
pub use connections::refresh_candidates::RefreshCandidate;
pub use connections::request_slots::RequestSlot;
pub use connections::scope_refusals::ScopeRefusal;
pub use connections::shown::{GrantState, ShownConnection, ShownGrant};
pub use database::Database;
pub use database_clock::ClockError;
pub use database_kind::DatabaseKind;
pub use database_url::DatabaseUrlError;
pub use grants::NewGrant;
pub use grants::attempts::NewAttempt;
pub use grants::commit::AttemptFailure;
pub use grants::due::DueFilter;
pub use grants::export::{ExportedConnection, ExportedGrant};
pub use grants::lease_guard::{Fenced, JournaledLease, LeaseGuard, SpoolCommit};
pub use grants::protocol::ProtocolStep;
pub use grants::refusal::PendingRefusal;
pub use live::changes::{Change, ChangeHub, ChangeSignal, Subscription, Topic, next_of_any};
pub use migrations::SchemaState;
pub use notifications::credentials_alarm::CredentialsAlarm;
pub use notifications::deliveries::{
    CLAIM_DURATION, ClaimedDelivery, DeliveryAttempt, DeliveryOutcome, MAX_DELIVERY_WAIT, RETRY_PERIOD, RecordedAttempt,
};
pub use notifications::delivery_log::{MAX_RESENDS_PER_MINUTE, ResendError};
pub use notifications::event_feed::{EventFilter, NumberedEvent};
pub use notifications::listed_endpoints::ListedEndpoint;
pub use notifications::mail_limits::{MailLimitError, count_letter, count_mail, refund_letter};
pub use notifications::outbox::{Event, EventSubject};
pub use notifications::read_markers::ReadState;
pub use notifications::recipients::NotificationMailbox;
pub use notifications::reconnect_letters::{
    BrokenConnection, ClaimedContact, GATHERING_PERIOD, LETTER_CLAIM_DURATION, LetterOutcome, REMINDERS,
};
pub use notifications::webhook_endpoints::{
    AddEndpointError, DisableResult, MAX_ENDPOINTS, NewWebhookEndpoint, WebhookEndpoint,
};
pub use notifications::webhook_secrets::SECRET_OVERLAP_PERIOD;
pub use pool::{ConnectionPool, UsedConnection};
pub use reports::activity::{ConnectionGrants, JournalEntry};
pub use reports::operator_queries::{DanglingAttempt, GrantSummary};
pub use reports::organizations::OrgSummary;
pub use reports::proxy_usage::UsageRow;
pub use reports::retrying::RetryingConnections;
pub use row_change::RowChange;
pub use sealed::instances::{Heartbeat, INSTANCE_TIMEOUT, Instance, NewHeartbeat};
pub use sealed::key_uses::{KeyUses, MAX_KEY_USES};
pub use sealed::reseal::{ResealPass, SealedValuesByKey};
pub use timeouts::{Timeouts, bounded};
pub use unavailable::Unavailable;
pub use write_probe::WriteProbe;

use super::clock::Clock;
use super::crypto::key_ring::KeyRing;
use super::crypto::sealed::CipherError;
use super::domain::{Actor, AppIdentity, Plan};
use crate::model::{Cursor, Span};
use accounts::api_keys::PresentedKeys;
use sealed::liveness::HeartbeatWatch;

/// The server's access to the database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    database: Database,
    ring: Arc<KeyRing>,
    clock: Clock,
    plan: Plan,
    app: Arc<AppIdentity>,
    /// The other servers' heartbeats that this process has seen.
    heartbeats: HeartbeatWatch,
    /// The actor that audit events name; the system actor by default.
    actor: Arc<Actor>,
    /// How long a session may stay unused before it ends, in seconds.
    session_idle_timeout: i64,
    /// Whether the sandbox's demo login exists: in sandbox mode only.
    demo_login: bool,
    /// Whether API keys that people created are accepted: not if Evergrant does not learn when such a person leaves.
    personal_keys: bool,
    presented_keys: PresentedKeys,
}

/// An error of the store or its database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `DATABASE_URL` can't be used.
    #[error(transparent)]
    Url(#[from] DatabaseUrlError),
    /// The SQLite file can't be opened.
    #[error("the database file {path} can't be opened: {source}. Let this user write to the file and to its folder")]
    OpenFile {
        /// Path of the file.
        path: String,
        /// Error of the driver.
        source: sqlx::Error,
    },
    /// The PostgreSQL server can't be connected to.
    #[error("PostgreSQL at {address}: {source}")]
    Connect {
        /// The server's address.
        address: String,
        /// Error of the driver.
        source: sqlx::Error,
    },
    /// A pooler gives a session to several clients in turn.
    #[error(
        "DATABASE_URL leads to a pooler in transaction mode, which loses the time-outs and notifications of a session. \
         Name PostgreSQL's own port, or give this database a pool_mode of session"
    )]
    TransactionPooler,
    /// A pooler refuses what the driver sends at the start of a session.
    #[error(
        "a pooler refuses the driver's parameters: set ignore_startup_parameters to extra_float_digits in PgBouncer, \
         or name PostgreSQL's own port"
    )]
    PoolerRefusesParameters,
    /// The directory for the SQLite file can't be created.
    #[error("cannot create the database directory {path}: {source}. Create it, and let this user write to it")]
    CreateDirectory {
        /// Path of the directory.
        path: String,
        /// Error of the file system.
        source: std::io::Error,
    },
    /// The SQLite version has a bug that can lose committed writes.
    #[error("SQLite {version} can lose committed writes; use 3.51.3 or newer")]
    SqliteTooOld {
        /// Version that SQLite reports.
        version: String,
    },
    /// A statement or the connection to the database failed.
    #[error("database error: {0}")]
    Database(#[from] sqlx::Error),
    /// The database has not answered in time. What was sent to it may still be applied.
    #[error("the database did not answer in time")]
    NoAnswer,
    /// The connection that listens for PostgreSQL notifications no longer receives any.
    #[error("the PostgreSQL listener timed out: it received no notification, not even its own probe")]
    PgListenerTimeout,
    /// A schema migration failed.
    #[error("the schema migration failed: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The schema was changed by a newer version, and this one can't use it.
    #[error(
        "a newer Evergrant changed the schema in a way that this version cannot use. Start that version or a newer one, \
         or restore the backup from before the upgrade"
    )]
    IncompatibleSchema,
    /// A secret in a row can't be sealed or opened.
    #[error("{what} {id}: {source}")]
    Cipher {
        /// Kind of row or value that holds the secret.
        what: &'static str,
        /// Id of the row.
        id: String,
        /// Why sealing or opening failed.
        source: CipherError,
    },
    /// A column holds a value that this version doesn't know.
    #[error("unknown value {value:?} in {table}.{column}; a newer version may have written it")]
    UnknownValue {
        /// Table that holds the value.
        table: &'static str,
        /// Column that holds the value.
        column: &'static str,
        /// The unknown value.
        value: String,
    },
}

impl Store {
    /// Creates a store with the default plan, the sandbox's app and the system actor.
    pub fn new(database: Database, ring: KeyRing, clock: Clock) -> Self {
        let (app, actor) = (Arc::new(AppIdentity::sandbox()), Arc::new(Actor::system()));
        let (ring, plan) = (Arc::new(ring), Plan::default());
        let (session_idle_timeout, demo_login, personal_keys) = (DEFAULT_SESSION_IDLE_TIMEOUT, false, true);
        let (heartbeats, presented_keys) = (HeartbeatWatch::default(), PresentedKeys::default());
        Self {
            database,
            ring,
            clock,
            plan,
            app,
            heartbeats,
            actor,
            session_idle_timeout,
            demo_login,
            personal_keys,
            presented_keys,
        }
    }

    /// Returns a copy of this store whose audit events name `actor`.
    pub fn as_actor(&self, actor: Actor) -> Self {
        Self { actor: Arc::new(actor), ..self.clone() }
    }

    fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Replaces the plan, which decides when a grant is due.
    pub fn with_plan(self, plan: Plan) -> Self {
        Self { plan, ..self }
    }

    /// Sets how long a session may stay unused before it ends, in seconds.
    pub fn with_session_idle_timeout(self, session_idle_timeout: i64) -> Self {
        Self { session_idle_timeout, ..self }
    }

    /// Says whether the sandbox's demo login exists, which is so in sandbox mode only.
    pub fn with_demo_login(self, demo_login: bool) -> Self {
        Self { demo_login, ..self }
    }

    /// Sets whether API keys that people created are accepted.
    pub fn with_personal_keys(self, personal_keys: bool) -> Self {
        Self { personal_keys, ..self }
    }

    /// Returns whether API keys that people created are accepted. Those of operators always are.
    pub fn accepts_personal_keys(&self) -> bool {
        self.personal_keys
    }

    /// Replaces the app, to which the tokens of new grants belong. Grants of other apps are never claimed.
    pub fn with_app(self, app: AppIdentity) -> Self {
        Self { app: Arc::new(app), ..self }
    }

    /// Returns the app whose tokens this server may send.
    pub fn app(&self) -> &AppIdentity {
        &self.app
    }

    /// Returns the plan that decides when a grant is due.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the database that the store uses.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Returns the clock that the store takes the time from.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns the key ring that seals and opens secrets.
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    fn pool(&self) -> &ConnectionPool {
        self.database.pool()
    }
}

/// Returns where a page of a list begins that is sorted newest first: after the cursor, and before the span's end.
fn start_of_page(after: Option<&Cursor>, span: Span) -> (i64, &str) {
    match after {
        Some(after) if after.at < span.until => (after.at, after.id.as_str()),
        // No id is less than the empty one, so the end itself is left out.
        _ => (span.until, ""),
    }
}

/// Generates an id for a new row (UUID version 4, RFC 9562).
pub fn new_id<T: From<String>>() -> T {
    T::from(uuid::Uuid::new_v4().to_string())
}
