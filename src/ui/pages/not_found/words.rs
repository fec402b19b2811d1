//! The words of the page for an unknown address.

pub const PAGE_TITLE: &str = "Not found";
pub const TITLE: &str = "Page not found";
pub const WHY: &str = "The address may be mistyped, or the page has moved.";
pub const GO_TO_THE_OVERVIEW: &str = "Go to the overview";
