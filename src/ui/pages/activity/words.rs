//! The words of the activity page.

pub const TITLE: &str = "Activity";
pub fn title_of_connection(connection: &str) -> String {
    format!("{connection} activity")
}
pub fn title_of_a_refused_filter(title: &str) -> String {
    format!("Error: {title}")
}
pub const EXPORT_CSV: &str = "Export CSV";
pub const CLEAR_FILTERS: &str = "Clear filters";
pub const NOTHING_YET: &str = "Nothing yet";

// Refreshes.
pub const WHAT_REFRESHES_ARE: &str = "Every time Evergrant asked Xero for a new token, newest first.";
pub const ALL_RESULTS: &str = "All results";
pub const NO_REFRESHES: &str = "After you connect Xero, every token refresh is listed here.";

// Changes.
pub const TITLE_OF_CHANGES: &str = "Changes";
pub const WHAT_CHANGES_ARE: &str = "Everything that people, API keys and administrators did here, newest first.";
pub const ALL_CHANGES: &str = "All changes";
pub const FROM_THE_SERVER: &str = "the server";
pub const FROM_THE_COMMAND_LINE: &str = "the command line";
pub const NO_CHANGES: &str = "Sign-ins, connections, invitations and other changes are listed here.";
