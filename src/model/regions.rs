//! How the browser asks for parts of a page, to bring an open page up to date.
//!
//! The request is one for the page itself, with two more headers. The answer has the named regions and nothing around
//! them, or 205 (Reset Content) if the whole page must be loaded again.

/// Request header with the ids of the regions, with commas between them.
pub const REGIONS_HEADER: &str = "evergrant-regions";

/// Request header with the id of the organization that the page shows; empty if it shows none.
pub const ORGANIZATION_HEADER: &str = "evergrant-organization";
