//! The paths of pages and routes, in one place for the server and the pages.

/// The path that the sandbox is mounted at, in sandbox mode.
pub const SANDBOX: &str = "/sandbox/xero";
