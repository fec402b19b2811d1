//! The database systems that a store can use.

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKind {
    /// SQLite, in a local file.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}

/// Joins the parts of a statement that claims the rows of a sub-select, which ends between them. PostgreSQL then skips
/// rows that another instance is about to claim: two that waited for each other's rows would be a deadlock.
macro_rules! claim_sql {
    ($kind:expr, $until_sub_select_ends:literal, $rest:literal) => {
        match $kind {
            $crate::server::store::DatabaseKind::Sqlite => concat!($until_sub_select_ends, $rest),
            $crate::server::store::DatabaseKind::Postgres => {
                concat!($until_sub_select_ends, " FOR UPDATE SKIP LOCKED", $rest)
            }
        }
    };
}
pub(in crate::server::store) use claim_sql;
