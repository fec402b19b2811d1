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
    known_value(&row.try_get::<String, _>(column)?, table, column)
}

/// Reads a column of `table` that holds a value of `T` or NULL.
pub(super) fn optional_text_value<T: TextEnum>(
    row: &AnyRow,
    table: &'static str,
    column: &'static str,
) -> Result<Option<T>, StoreError> {
    row.try_get::<Option<String>, _>(column)?.map(|value| known_value(&value, table, column)).transpose()
}

/// Returns the value of `T` that a column of `table` holds as text.
pub(super) fn known_value<T: TextEnum>(
    value: &str,
    table: &'static str,
    column: &'static str,
) -> Result<T, StoreError> {
    T::parse(value).ok_or_else(|| StoreError::UnknownValue { table, column, value: value.to_owned() })
}
