//! Lists that a statement returns as one JSON text: an array for each row, with its columns in their order.
//!
//! A row of its own costs the driver a message to another thread on SQLite, and a description of each of its columns on
//! both databases, which for tens of rows is more than the statement itself.

use serde::Deserialize;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::StoreError;

/// Selects the columns of all rows as `list`. `$rest` is the statement from its `FROM` on, `$start` what precedes the list.
/// With `$more, if $condition`, each row ends with an array of the columns `$more`, or with null.
macro_rules! json_rows_sql {
    ($kind:expr, $columns:expr, $rest:expr) => {
        json_rows_sql!($kind, "SELECT ", $columns, $rest)
    };
    ($kind:expr, $start:expr, $columns:expr, $rest:expr) => {
        match $kind {
            $crate::server::store::DatabaseKind::Sqlite => {
                concat!($start, "json_group_array(json_array(", $columns, ")) AS list ", $rest)
            }
            $crate::server::store::DatabaseKind::Postgres => {
                concat!($start, "CAST(json_agg(json_build_array(", $columns, ")) AS TEXT) AS list ", $rest)
            }
        }
    };
    ($kind:expr, $start:expr, $columns:expr, $more:expr, if $condition:expr, $rest:expr) => {
        match $kind {
            $crate::server::store::DatabaseKind::Sqlite => concat!(
                $start,
                "json_group_array(json_array(",
                $columns,
                ", CASE WHEN ",
                $condition,
                " THEN json_array(",
                $more,
                ") END)) AS list ",
                $rest
            ),
            $crate::server::store::DatabaseKind::Postgres => concat!(
                $start,
                "CAST(json_agg(json_build_array(",
                $columns,
                ", CASE WHEN ",
                $condition,
                " THEN json_build_array(",
                $more,
                ") END)) AS TEXT) AS list ",
                $rest
            ),
        }
    };
}
pub(in crate::server::store) use json_rows_sql;

/// Such a text.
pub(super) struct JsonRows(Option<String>);

impl JsonRows {
    /// Takes it from a column of the row.
    pub(super) fn of(row: &AnyRow, column: &str) -> Result<Self, StoreError> {
        // PostgreSQL has no array for no rows.
        Ok(Self(row.try_get(column)?))
    }

    /// Reads its rows. A struct has a field for each column, in the same order, and may borrow texts.
    pub(super) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<Vec<T>, StoreError> {
        let Some(text) = &self.0 else { return Ok(Vec::new()) };
        Ok(serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))?)
    }
}
