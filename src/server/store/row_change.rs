//! The result of a change to one row that the caller names.

/// Whether a change found the row that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum RowChange {
    /// The row is changed.
    Applied,
    /// The organization has no such row, and nothing is changed.
    NotFound,
}
