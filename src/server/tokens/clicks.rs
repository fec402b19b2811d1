//! How often a person's click may pass the back-off, for one grant.

use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::model::GrantId;

/// Six exchanges at once, then one every ten seconds: enough for anybody who reads the answer in between.
const BURST: NonZeroU32 = NonZeroU32::new(6).unwrap();

/// Counts the exchanges that clicks set off. Joining a flight, or finding nothing due, isn't counted.
pub struct Clicks(DefaultKeyedRateLimiter<GrantId>);

impl Default for Clicks {
    fn default() -> Self {
        Self(RateLimiter::keyed(Quota::per_minute(BURST)))
    }
}

impl Clicks {
    pub fn allow(&self, grant: &GrantId) -> bool {
        self.0.check_key(grant).is_ok()
    }

    /// Forgets the grants that have had their rest, so that the map doesn't grow for ever.
    pub fn tidy(&self) {
        self.0.retain_recent();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seventh_click_in_a_row_has_to_wait_and_others_do_not() {
        let clicks = Clicks::default();
        for _ in 0..6 {
            assert!(clicks.allow(&"a".into()));
        }
        assert!(!clicks.allow(&"a".into()));
        assert!(clicks.allow(&"b".into()));
    }
}
