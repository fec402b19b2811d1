//! The HTTP client of the tests.

use reqwest::{Client, redirect};

use super::wait::MAX_WAIT;

/// An address that refuses connections: nothing listens on the discard port (RFC 863).
pub const CLOSED_ADDRESS: &str = "127.0.0.1:9";

/// Returns a client that follows no redirects, uses no proxy, and gives up after `MAX_WAIT`.
pub fn test_client() -> Client {
    let client = Client::builder().redirect(redirect::Policy::none()).no_proxy().timeout(MAX_WAIT);
    // The servers of the tests speak plain HTTP, and to read the machine's root certificates takes a while.
    client.tls_certs_only([]).build().unwrap()
}
