//! Lists that a statement returns as one JSON text: an array for each row, with its columns in their order.
//!
//! A row of its own costs the driver a message to another thread on SQLite, and a description of each of its columns on
//! both databases, which for tens of rows is more than the statement itself.

use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::StoreError;

/// Selects the columns of all rows as one JSON text. `$rest` is the statement from its `FROM` on.
macro_rules! json_rows_sql {
    ($kind:expr, $columns:expr, $rest:expr) => {
        match $kind {
            $crate::server::store::DatabaseKind::Sqlite => {
                concat!("SELECT json_group_array(json_array(", $columns, ")) AS list ", $rest)
            }
            $crate::server::store::DatabaseKind::Postgres => {
                concat!("SELECT CAST(json_agg(json_build_array(", $columns, ")) AS TEXT) AS list ", $rest)
            }
        }
    };
}
pub(in crate::server::store) use json_rows_sql;

/// Reads such a text. A struct has a field for each column, in the same order.
pub(super) fn json_rows<T: DeserializeOwned>(row: &AnyRow, column: &str) -> Result<Vec<T>, StoreError> {
    // PostgreSQL has no array for no rows.
    let Some(text) = row.try_get::<Option<String>, _>(column)? else { return Ok(Vec::new()) };
    Ok(serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(error.into()))?)
}
