//! The condition that narrows a list to actors.

/// Expands to the condition that the actor's name or email address in `$column` contains the text `$7`, ignoring case. An
/// empty `$7` selects every actor.
///
/// `$8` is the only email address that is searched, or null to search all of them. Without it, a reader could search for
/// parts of the addresses that pages mask for them.
///
/// `REPLACE` changes a text that contains the other one. Unlike `LIKE`, it has no wildcards.
macro_rules! actor_matches_sql {
    ($column:literal) => {
        concat!(
            "($7 = '' OR (REPLACE(LOWER(",
            $column,
            "), LOWER($7), '') <> LOWER(",
            $column,
            ") AND ($8 IS NULL OR LOWER(",
            $column,
            ") = LOWER($8) OR ",
            $column,
            " NOT LIKE '%@%')))"
        )
    };
}
pub(super) use actor_matches_sql;
