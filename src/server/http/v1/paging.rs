//! What the lists of the API have in common: how long a page is, and the cursor that continues after it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::problem::Problem;

/// The most entries of a page.
const MAX_LIMIT: i64 = 500;
/// The entries of a page by default.
pub const DEFAULT_LIMIT: i64 = 100;

/// Parses the parameter `limit`.
pub fn parse_limit(value: &str) -> Result<i64, Problem> {
    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Problem::invalid_argument("limit is a whole number from 1 to 500."))
}

/// Encodes where a page ended.
pub fn encode_cursor(end: &str) -> String {
    URL_SAFE_NO_PAD.encode(end)
}

/// Decodes where a page ended. `None` if it is not a cursor.
pub fn decode_cursor(cursor: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}
