//! Ids by which the islands find what the server rendered.

/// The element with a page's content. Its `data-org` names the organization that the page shows.
pub const MAIN: &str = "main";
/// The region with a page's own content.
pub const BODY: &str = "body";
/// The region with the main navigation, which counts the connections that need a person.
pub const NAVIGATION: &str = "navigation";
/// The region with the link to recent events, which counts the unread ones.
pub const BELL: &str = "bell";
/// The region with the organization's name, or the menu of all.
pub const SWITCHER: &str = "switcher";
/// The region with the alert about the app's credentials.
pub const ALARM: &str = "alarm";

/// The name of the zone that times are in. Its `data-chosen` is the one that the person chose.
pub const ZONE: &str = "zone";

/// The regions that every page has.
pub const LAYOUT_REGIONS: [&str; 4] = [NAVIGATION, BELL, SWITCHER, ALARM];

/// The region with what the finder found.
pub const FOUND: &str = "found";
/// The finder's dialog.
pub const FINDER: &str = "finder";
/// Where the dialog shows what was found.
pub const FINDER_RESULTS: &str = "finder-results";

/// The notice that is shown while the regions can't be read.
pub const STALE_NOTICE: &str = "stale";

/// The line with the result of an action on every connection.
pub const OUTCOME: &str = "outcome";

/// The dialog that confirms a disconnect.
pub const DISCONNECT_DIALOG: &str = "disconnect";
/// The connection's name in that dialog.
pub const DISCONNECT_NAME: &str = "disconnect-name";
/// What the dialog's request is doing.
pub const DISCONNECT_STATUS: &str = "disconnect-status";
/// The error in that dialog.
pub const DISCONNECT_ERROR: &str = "disconnect-error";
/// The dialog's button that disconnects.
pub const DISCONNECT_BUTTON: &str = "disconnect-button";
/// The dialog's button that closes it.
pub const DISCONNECT_CANCEL: &str = "disconnect-cancel";

/// Returns the id of the line with the result of an action on one connection.
pub fn outcome_of(binding: &str) -> String {
    format!("{OUTCOME}-{binding}")
}
