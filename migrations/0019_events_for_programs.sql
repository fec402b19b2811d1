-- Events for programs: the connection's labels, and the order in which programs read events.

-- What programs called the connection when the event happened. Tags are separated by spaces.
ALTER TABLE outbox ADD COLUMN external_id TEXT;
ALTER TABLE outbox ADD COLUMN tags TEXT;
-- The event's place in the feed, assigned after the event's transaction has committed. NULL until then.
ALTER TABLE outbox ADD COLUMN feed_number BIGINT;
CREATE UNIQUE INDEX outbox_by_feed_number ON outbox (org_id, feed_number) WHERE feed_number IS NOT NULL;
CREATE INDEX outbox_without_feed_number ON outbox (occurred_at) WHERE feed_number IS NULL;

-- The last number that was assigned. The row is locked while events are numbered, so that no number becomes visible
-- after a greater one.
CREATE TABLE event_feed (
    singleton BIGINT PRIMARY KEY CHECK (singleton = 1),
    last_number BIGINT NOT NULL
);
