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

impl RowChange {
    /// Returns what a statement did that names one row at most.
    pub const fn of(rows_affected: u64) -> Self {
        if rows_affected == 0 { Self::NotFound } else { Self::Applied }
    }

    /// Returns an error if the row was not found.
    pub fn ok_or_else<E>(self, not_found: impl FnOnce() -> E) -> Result<(), E> {
        match self {
            Self::Applied => Ok(()),
            Self::NotFound => Err(not_found()),
        }
    }
}
