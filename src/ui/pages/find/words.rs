//! The words of the finder.

pub const TITLE: &str = "Find";
pub const WHAT_IT_FINDS: &str = "Connections and pages by a part of their names. Press / on any page to come here.";
pub const NO_RESULTS: &str = "No results";
pub const TRY_FEWER_LETTERS: &str = "Try fewer letters, or another part of the name.";
pub fn results(count: usize) -> String {
    if count == 1 { "1 result".to_owned() } else { format!("{count} results") }
}
pub fn more_connections(more: usize) -> String {
    format!("And {more} more connections. Type more letters to narrow them down.")
}
