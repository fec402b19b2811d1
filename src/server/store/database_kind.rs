//! The database systems that a store can use.

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKind {
    /// SQLite, in a local file.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}
