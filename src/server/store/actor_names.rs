//! The condition that narrows a list to actors.

/// Expands to the condition that the actor's name or email address in `$column` has `$7` in it, in any case, or that `$7`
/// is empty. If `$8` is not null, it is the only email address that is compared: a search for parts of the others would
/// tell them to a reader who may not see them.
///
/// `REPLACE` changes a text that has the other in it. Unlike `LIKE`, it knows no wildcards.
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
