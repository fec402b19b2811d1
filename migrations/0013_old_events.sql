-- What was told long ago is deleted oldest first, whosever it was.
CREATE INDEX outbox_by_age ON outbox (occurred_at);
