//! Which servers run, on SQLite. It has no clock that they share, and the machine's may be set at any time, so a
//! heartbeat is judged by whether it moves within a span of monotonic time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::instances::{INSTANCE_TIMEOUT, Instance};

/// A heartbeat that is seen for the first time counts as recent if it is no further from now than this, in seconds:
/// further than a server can have been set back or forward without notice, and soon enough to forget one that crashed.
const FIRST_SIGHT_SPAN: i64 = 10 * 60;

/// The heartbeats that this process has seen. Cheap to clone; clones share them.
#[derive(Clone, Default)]
pub(in crate::server::store) struct HeartbeatWatch(Arc<Mutex<HashMap<String, Seen>>>);

struct Seen {
    heartbeat_at: i64,
    /// The monotonic time at which it was seen to move. `None` if it was old when it was seen first.
    moved_at: Option<Duration>,
}

impl HeartbeatWatch {
    /// Returns whether the server's heartbeat has moved within the time-out. `now` is in unix seconds.
    pub fn is_running(&self, instance: &Instance, now: i64, monotonic: Duration) -> bool {
        let mut seen = self.0.lock();
        let heartbeat_at = instance.last_heartbeat_at;
        let first = || Seen {
            heartbeat_at,
            moved_at: (now.abs_diff(heartbeat_at) <= FIRST_SIGHT_SPAN.unsigned_abs()).then_some(monotonic),
        };
        let known = seen.entry(instance.id.clone()).or_insert_with(first);
        if known.heartbeat_at != heartbeat_at {
            *known = Seen { heartbeat_at, moved_at: Some(monotonic) };
        }
        let timeout = Duration::from_secs(INSTANCE_TIMEOUT.unsigned_abs());
        known.moved_at.is_some_and(|moved_at| monotonic.saturating_sub(moved_at) < timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;
    const HOUR: i64 = 60 * 60;

    fn instance(last_heartbeat_at: i64) -> Instance {
        let (id, address, seals_with) = (String::from("1"), String::from("a:1"), String::from("k"));
        Instance { id, address, kids: vec![], seals_with, sealing_since: 0, spooled_kids: vec![], last_heartbeat_at }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn heartbeat_that_moves_is_a_running_servers_whatever_the_clock_does() {
        let watch = HeartbeatWatch::default();
        assert!(watch.is_running(&instance(NOW), NOW, at(0)));
        assert!(watch.is_running(&instance(NOW), NOW + 3 * HOUR, at(59)), "the clock was set forward");
        assert!(watch.is_running(&instance(NOW - 13 * HOUR), NOW - 13 * HOUR, at(60)), "and back");
        assert!(watch.is_running(&instance(NOW - 13 * HOUR), NOW - 13 * HOUR, at(119)));
        assert!(!watch.is_running(&instance(NOW - 13 * HOUR), NOW - 13 * HOUR, at(120)), "it stands still");
    }

    #[test]
    fn heartbeat_far_from_now_counts_once_it_moves() {
        for first in [NOW - 11 * 60, NOW + 13 * HOUR] {
            let watch = HeartbeatWatch::default();
            assert!(!watch.is_running(&instance(first), NOW, at(0)), "{first}");
            assert!(watch.is_running(&instance(first + 15), NOW, at(15)), "{first}");
        }
    }
}
