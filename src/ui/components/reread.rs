//! When a page about connections changes with time alone, so that the browser reads it again.

use crate::model::{ConnectionView, Health};

/// Seconds after which a page is read again while a connection is being refreshed, and at the earliest while one waits.
const REFRESHING_REREAD_SECONDS: i64 = 5;

/// Seconds that the server gets to run a due retry before the page is read again.
const RETRY_GRACE_SECONDS: i64 = 2;

/// Returns when a page is read again that was read at `as_of` and says that something is tried again at `next_attempt_at`.
pub fn after_retry(next_attempt_at: i64, as_of: i64) -> i64 {
    (next_attempt_at + RETRY_GRACE_SECONDS).max(as_of + REFRESHING_REREAD_SECONDS)
}

/// Returns when one of the connections next changes with time alone: a running exchange ends, or a retry is due.
pub fn next_reread_at<'a>(connections: impl IntoIterator<Item = &'a ConnectionView>, as_of: i64) -> Option<i64> {
    let changes = connections.into_iter().filter_map(|one| match one.health {
        Health::Refreshing => Some(as_of + REFRESHING_REREAD_SECONDS),
        Health::Retrying => one.next_attempt_at.map(|at| after_retry(at, as_of)),
        Health::Connected | Health::NeedsReauth | Health::Moved | Health::Disconnected => None,
    });
    changes.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_read_again_when_the_next_retry_is_over_and_soon_while_something_runs() {
        let one = |health, next_attempt_at| ConnectionView { next_attempt_at, ..ConnectionView::example("a", health) };
        let at = |connections: &[ConnectionView]| next_reread_at(connections, 1_000);
        assert_eq!(at(&[one(Health::Connected, None), one(Health::NeedsReauth, Some(1_010))]), None);
        assert_eq!(at(&[one(Health::Retrying, Some(1_300)), one(Health::Retrying, Some(1_060))]), Some(1_062));
        assert_eq!(at(&[one(Health::Retrying, Some(900))]), Some(1_005), "not at once, again and again");
        assert_eq!(at(&[one(Health::Refreshing, None), one(Health::Retrying, Some(1_060))]), Some(1_005));
    }
}
