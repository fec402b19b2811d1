//! Everything that may go wrong around an exchange, and how each starts and ends.

use evergrant::server::store::DatabaseKind;
use serde_json::{Value, json};

use crate::support::cluster::TestCluster;
use crate::support::locks::HeldLock;
use crate::support::outages::Outage;

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// The sandbox's name of a fault at the token endpoint, and its status.
    Fault(&'static str, Option<u16>),
    /// The sandbox's name of an unusual form of a token response.
    Oddity(&'static str),
    /// The sandbox's name of a fault at the list of connections, and its status.
    ListFault(&'static str, Option<u16>),
    /// The sandbox's name of an unusual list of connections.
    ListOddity(&'static str),
    /// The list of connections has so many more.
    LongList(u32),
    /// The provider's clock differs from ours by so many seconds.
    ProviderClock(i64),
    /// An instance's clock jumps by so many seconds, and back. On SQLite, all instances': they share the machine.
    Clock(i64),
    /// An instance is killed.
    Killed,
    /// An instance is stopped for longer than its request may take, and goes on.
    Stopped,
    /// An instance is told to end, as by a service manager.
    Terminated,
    /// Another session holds a lock on this table. On SQLite it holds the database.
    Locked(&'static str),
    ReadOnly,
    NoConnections,
    /// No file can be written: neither a spool file nor, on SQLite, the database.
    NothingWritable,
    /// SQLite's log can't grow, but a spool file can be written.
    WalFull,
}

use Trouble::{
    Clock, Fault, Killed, ListFault, ListOddity, Locked, LongList, NoConnections, NothingWritable, Oddity,
    ProviderClock, ReadOnly, Stopped, Terminated, WalFull,
};

/// What the provider may do. `invalid_grant` for a good token is left out: with one grant it ends that grant, as it should.
pub const PROVIDER: [Trouble; 41] = [
    Fault("status", Some(500)),
    Fault("status", Some(503)),
    Fault("status", Some(429)),
    Fault("status", Some(400)),
    Fault("status", Some(401)),
    Fault("status", Some(403)),
    Fault("status", Some(302)),
    Fault("status_after", Some(500)),
    Fault("status_after", Some(502)),
    Fault("status_after", Some(504)),
    Fault("timeout_before", None),
    Fault("timeout_after", None),
    Fault("reset_before", None),
    Fault("reset_after", None),
    Fault("truncated", None),
    Fault("malformed", None),
    Fault("wrong_content_type", None),
    Fault("invalid_client", None),
    Fault("unauthorized_client", None),
    Fault("invalid_request", None),
    Oddity("content_type_text"),
    Oddity("content_type_html"),
    Oddity("content_type_missing"),
    Oddity("bom"),
    Oddity("status_201"),
    Oddity("expires_in_text"),
    Oddity("expires_in_float"),
    Oddity("expires_in_null"),
    Oddity("expires_in_zero"),
    Oddity("expires_in_missing"),
    Oddity("expires_in_negative"),
    Oddity("expires_in_absurd"),
    Oddity("scope_list"),
    Oddity("scope_missing"),
    Oddity("token_type_other"),
    Oddity("token_type_missing"),
    Oddity("id_token"),
    Oddity("refresh_token_kept"),
    Oddity("refresh_token_removed"),
    ProviderClock(120),
    ProviderClock(-120),
];

/// What may be wrong with one list of connections.
pub const LISTS: [Trouble; 14] = [
    ListOddity("nulls"),
    ListOddity("missing_fields"),
    ListOddity("unreadable_entry"),
    ListOddity("empty"),
    ListOddity("first_missing"),
    LongList(1_200),
    ListFault("status", Some(500)),
    ListFault("status", Some(403)),
    ListFault("status", Some(429)),
    ListFault("forbidden", None),
    ListFault("malformed", None),
    ListFault("truncated", None),
    ListFault("wrong_content_type", None),
    ListFault("reset_before", None),
];

/// What may happen to an instance.
pub const INSTANCE: [Trouble; 3] = [Killed, Stopped, Terminated];

/// What may happen to clocks: two minutes, and what a wrong time zone or an empty battery does.
pub const CLOCK: [Trouble; 4] = [Clock(120), Clock(-120), Clock(3 * 60 * 60), Clock(-13 * 60 * 60)];

/// What may happen to a database and to the disk.
pub fn of_database(kind: DatabaseKind) -> &'static [Trouble] {
    match kind {
        DatabaseKind::Sqlite => &[Locked("integration_grants"), WalFull, NothingWritable],
        DatabaseKind::Postgres => &[
            Locked("integration_grants"),
            Locked("refresh_attempts"),
            Locked("audit_events"),
            ReadOnly,
            NoConnections,
            NothingWritable,
        ],
    }
}

/// A trouble that has started.
pub struct Started {
    trouble: Trouble,
    lock: Option<HeldLock>,
    victim: usize,
}

impl Trouble {
    /// Makes it go wrong. `victim` is the instance that an instance's trouble happens to.
    pub async fn start(self, cluster: &mut TestCluster, victim: usize) -> Started {
        let mut lock = None;
        match self {
            Fault(kind, status) => {
                cluster.provider.inject_fault(json!({"endpoint": "token", "kind": kind, "status": status})).await;
            }
            ListFault(kind, status) => {
                cluster.provider.inject_fault(json!({"endpoint": "connections", "kind": kind, "status": status})).await;
            }
            Oddity(kind) | ListOddity(kind) => {
                _ = cluster.provider.control("oddities", json!({"kind": kind, "times": 1})).await;
            }
            LongList(more) => _ = cluster.provider.control("settings", json!({"extra_tenants": more})).await,
            ProviderClock(seconds) => advance_provider(cluster, seconds).await,
            Clock(seconds) => set_clocks(cluster, victim, seconds),
            Killed => cluster.instances[victim].kill(),
            Stopped => cluster.instances[victim].send_signal("STOP"),
            Terminated => cluster.instances[victim].send_sigterm(),
            Locked(table) => lock = Some(HeldLock::on(&cluster.database, table).await),
            ReadOnly | NoConnections | NothingWritable | WalFull => self.outage().start(cluster).await,
        }
        Started { trouble: self, lock, victim }
    }

    fn outage(self) -> Outage {
        match self {
            ReadOnly => Outage::ReadOnly,
            NoConnections => Outage::NoConnections,
            WalFull => Outage::WalFull,
            _ => Outage::NothingWritable,
        }
    }
}

impl Started {
    /// Puts it right again, but for an instance that has ended.
    pub async fn end(self, cluster: &TestCluster) {
        match (self.trouble, self.lock) {
            (Fault(..) | ListFault(..), _) => cluster.provider.clear_faults().await,
            (Oddity(_) | ListOddity(_), _) => cluster.provider.clear_oddities().await,
            (LongList(_), _) => _ = cluster.provider.control("settings", json!({"extra_tenants": 0})).await,
            (ProviderClock(seconds), _) => advance_provider(cluster, -seconds).await,
            (Clock(_), _) => set_clocks(cluster, self.victim, 0),
            (Stopped, _) => cluster.instances[self.victim].send_signal("CONT"),
            (Locked(_), Some(lock)) => lock.release().await,
            (ReadOnly | NoConnections | NothingWritable | WalFull, _) => self.trouble.outage().end(cluster).await,
            (Killed | Terminated | Locked(_), _) => {}
        }
    }
}

fn set_clocks(cluster: &TestCluster, victim: usize, seconds: i64) {
    for (number, clock) in cluster.clocks.iter().enumerate() {
        if number == victim || cluster.database.kind() == DatabaseKind::Sqlite {
            clock.set(seconds);
        }
    }
}

async fn advance_provider(cluster: &TestCluster, seconds: i64) {
    let _: Value = cluster.provider.control("clock", json!({"advance": seconds})).await;
}
