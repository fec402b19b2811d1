//! Ids and attribute values by which the islands find what the server rendered.

/// Id of the element with a page's content.
pub const MAIN: &str = "main";

/// Id of the body that `Connections` replaces.
pub const BODY: &str = "connections";
/// Id of the notice that is shown after the body could not be read again.
pub const STALE_NOTICE: &str = "stale";
/// Id of the line with the result of an action on every connection.
pub const OUTCOME: &str = "outcome";

/// Id of the dialog that confirms a disconnect.
pub const DISCONNECT_DIALOG: &str = "disconnect";
/// Id of the connection's name in that dialog.
pub const DISCONNECT_NAME: &str = "disconnect-name";
/// Id of the error in that dialog.
pub const DISCONNECT_ERROR: &str = "disconnect-error";

/// `data-act` of the button that refreshes every connection.
pub const ACT_REFRESH_ALL: &str = "refresh-all";
/// `data-act` of the button that refreshes one connection.
pub const ACT_REFRESH: &str = "refresh";
/// `data-act` of the button that tests one connection.
pub const ACT_TEST: &str = "test";
/// `data-act` of the link that opens the dialog that confirms a disconnect.
pub const ACT_CONFIRM_DISCONNECT: &str = "ask";
/// `data-act` of that dialog's button.
pub const ACT_DISCONNECT: &str = "disconnect";

/// `data-show` of a time that is shown as an age: `6 minutes ago`.
pub const SHOW_AGE: &str = "ago";
/// `data-show` of a time that is shown as the time left until then: `24 min left`.
pub const SHOW_TIME_LEFT: &str = "left";
/// `data-show` of a time that is shown as hour and minute in the browser's time zone.
pub const SHOW_LOCAL_TIME: &str = "local";

/// Returns the id of the line with the result of an action on one connection.
pub fn outcome_of(binding: &str) -> String {
    format!("{OUTCOME}-{binding}")
}
