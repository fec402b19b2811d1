//! Counts calls over the last minute or day.

use std::collections::VecDeque;

/// A span of time over which calls are counted, and the length of the buckets that they are counted in, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    seconds: i64,
    bucket: i64,
}

/// A minute, by second.
pub const MINUTE: Span = Span { seconds: 60, bucket: 1 };
/// A day, by hour.
pub const DAY: Span = Span { seconds: 24 * 60 * 60, bucket: 60 * 60 };

/// The calls of the last span. A bucket counts until its last call is older than the span, so the count is never too
/// small.
#[derive(Clone, Debug)]
pub struct RollingCount {
    span: Span,
    /// When each bucket starts, in unix seconds, and its calls. Oldest first.
    buckets: VecDeque<(i64, u32)>,
}

impl RollingCount {
    /// Reads what `encode` wrote. What is unreadable counts as nothing, and so does a bucket that has not begun: a wrong
    /// clock wrote it.
    pub fn decode(span: Span, text: &str, now: i64) -> Self {
        let pairs = text.split(',').filter_map(|pair| {
            let (start, calls) = pair.split_once(':')?;
            Some((start.parse().ok()?, calls.parse().ok()?))
        });
        let mut buckets: Vec<(i64, u32)> = pairs.filter(|(start, _)| *start <= now).collect();
        buckets.sort_unstable();
        let mut count = Self { span, buckets: buckets.into() };
        count.forget(now);
        count
    }

    /// Returns the count as text.
    pub fn encode(&self) -> String {
        self.buckets.iter().map(|(start, calls)| format!("{start}:{calls}")).collect::<Vec<_>>().join(",")
    }

    /// Counts `calls` at `now`.
    pub fn add(&mut self, now: i64, calls: u32) {
        self.forget(now);
        let start = now - now.rem_euclid(self.span.bucket);
        match self.buckets.back_mut() {
            // A clock that was set back adds to the newest bucket, which lasts longer.
            Some((last, counted)) if *last >= start => *counted = counted.saturating_add(calls),
            _ => self.buckets.push_back((start, calls)),
        }
    }

    /// Returns when a further call is within `limit`: `now`, or the unix second at which enough calls are too old to
    /// count.
    pub fn free_at(&self, now: i64, limit: u32) -> i64 {
        let mut left = self.total(now);
        for (start, calls) in &self.buckets {
            if left < limit {
                break;
            }
            if self.ends_at(*start) > now {
                left = left.saturating_sub(*calls);
                if left < limit {
                    return self.ends_at(*start);
                }
            }
        }
        now
    }

    /// Returns when the oldest call was made, if any counts.
    pub fn oldest(&self) -> Option<i64> {
        self.buckets.front().map(|(start, _)| *start)
    }

    fn total(&self, now: i64) -> u32 {
        let counting = self.buckets.iter().filter(|(start, _)| self.ends_at(*start) > now);
        counting.fold(0, |total: u32, (_, calls)| total.saturating_add(*calls))
    }

    fn ends_at(&self, start: i64) -> i64 {
        start + self.span.bucket + self.span.seconds
    }

    fn forget(&mut self, now: i64) {
        while self.buckets.front().is_some_and(|(start, _)| self.ends_at(*start) <= now) {
            self.buckets.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn call_counts_until_it_is_older_than_the_span() {
        let mut count = RollingCount::decode(MINUTE, "", NOW);
        for second in 0..3 {
            count.add(NOW + second, 1);
        }
        assert_eq!(count.free_at(NOW + 3, 4), NOW + 3);
        assert_eq!(count.free_at(NOW + 3, 3), NOW + 61, "when the first is too old");
        assert_eq!(count.free_at(NOW + 3, 1), NOW + 63, "when all are");
        assert_eq!(count.free_at(NOW + 61, 3), NOW + 61);
        assert_eq!(count.free_at(NOW + 61, 2), NOW + 62, "the first counts no more");
        count.add(NOW + 200, 1);
        assert_eq!(count.encode(), format!("{}:1", NOW + 200));
    }

    #[test]
    fn count_survives_a_round_trip_without_what_a_wrong_clock_wrote() {
        let mut count = RollingCount::decode(DAY, "", NOW);
        count.add(NOW, 5);
        count.add(NOW + 3_599, 2);
        let text = count.encode();
        assert_eq!(text, format!("{NOW}:7"), "a day is counted by hour");
        let read = RollingCount::decode(DAY, &format!("{text},{}:9,x:1,:", NOW + 7200), NOW + 3_600);
        assert_eq!(read.encode(), text);
        assert_eq!(read.free_at(NOW + 3_600, 8), NOW + 3_600);
        assert!(read.free_at(NOW + 3_600, 7) > NOW + 86_400);
        assert_eq!(RollingCount::decode(DAY, &text, NOW + 2 * 86_400).encode(), "");
    }

    #[test]
    fn clock_that_is_set_back_forgets_no_call() {
        let mut count = RollingCount::decode(MINUTE, "", NOW);
        count.add(NOW, 1);
        count.add(NOW - 3_600, 1);
        assert_eq!(count.free_at(NOW, 2), NOW + 61);
    }
}
