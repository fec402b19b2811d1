//! Databases and disks that can't be written, for real processes.
//!
//! PostgreSQL refuses connections or writes. For SQLite a full disk is simulated by the kernel's limit on a process's
//! file size, which makes appends fail.

use std::process::Command;

use sqlx::{AssertSqlSafe, Connection as _};

use super::cluster::TestCluster;
use super::databases::TestDatabase;

/// A way in which a database becomes unwritable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// PostgreSQL ends all sessions and refuses new ones.
    NoConnections,
    /// PostgreSQL accepts sessions, but only for reads.
    ReadOnly,
    /// SQLite's WAL can't grow, but a small file can still be written.
    WalFull,
    /// No file can be written at all.
    NothingWritable,
}

impl Outage {
    pub async fn start(self, cluster: &TestCluster) {
        match self {
            Self::NoConnections => admin(&cluster.database, "ALTER DATABASE $ ALLOW_CONNECTIONS false").await,
            Self::ReadOnly => admin(&cluster.database, "ALTER DATABASE $ SET default_transaction_read_only = on").await,
            // The WAL is far larger than this by now, a token set smaller.
            Self::WalFull => limit_file_size(cluster, "20000"),
            Self::NothingWritable => limit_file_size(cluster, "0"),
        }
    }

    pub async fn end(self, cluster: &TestCluster) {
        match self {
            Self::NoConnections => admin(&cluster.database, "ALTER DATABASE $ ALLOW_CONNECTIONS true").await,
            Self::ReadOnly => admin(&cluster.database, "ALTER DATABASE $ RESET default_transaction_read_only").await,
            Self::WalFull | Self::NothingWritable => limit_file_size(cluster, "unlimited"),
        }
    }

    /// Returns whether the spool is writable during this outage.
    pub fn spool_is_writable(self) -> bool {
        self != Self::NothingWritable
    }
}

/// Runs a statement about this database from another one, and ends its sessions so that new ones see the change.
async fn admin(database: &TestDatabase, statement: &str) {
    let (server, name) = database.url.rsplit_once('/').unwrap();
    let mut admin = sqlx::AnyConnection::connect(&format!("{server}/postgres")).await.unwrap();
    let end = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '$'";
    for statement in [statement, end] {
        sqlx::query(AssertSqlSafe(statement.replace('$', name))).execute(&mut admin).await.unwrap();
    }
    admin.close().await.unwrap();
}

/// Limits the size of every instance's files, in bytes.
fn limit_file_size(cluster: &TestCluster, bytes: &str) {
    for instance in cluster.instances.iter().filter(|instance| !instance.is_killed()) {
        let (pid, limit) = (instance.pid().to_string(), format!("--fsize={bytes}:unlimited"));
        assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    }
}
