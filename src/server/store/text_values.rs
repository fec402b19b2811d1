//! Columns that hold an enum's text value.
//!
//! Statements bind such values with `as_str`, or spell them where an index needs a literal: SQLite uses a partial index
//! only if the statement repeats its condition. The test `every_word_in_a_statement_is_an_enums` checks the spelled ones.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::StoreError;
use crate::model::TextEnum;

/// Reads a column of `table` that holds a value of `T`.
pub(super) fn text_value<T: TextEnum>(
    row: &AnyRow,
    table: &'static str,
    column: &'static str,
) -> Result<T, StoreError> {
    let value: String = row.try_get(column)?;
    T::parse(&value).ok_or(StoreError::UnknownValue { table, column, value })
}

/// Reads a column of `table` that holds a value of `T` or NULL.
pub(super) fn optional_text_value<T: TextEnum>(
    row: &AnyRow,
    table: &'static str,
    column: &'static str,
) -> Result<Option<T>, StoreError> {
    let Some(value) = row.try_get::<Option<String>, _>(column)? else { return Ok(None) };
    match T::parse(&value) {
        Some(known) => Ok(Some(known)),
        None => Err(StoreError::UnknownValue { table, column, value }),
    }
}
