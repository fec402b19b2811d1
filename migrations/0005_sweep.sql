-- What the sweeper goes by. Times are unix seconds, UTC.

-- When the sweeper comes for a grant: a planned refresh, the next try after a failure, or the end of a lease, whose
-- holder may have died with a reply. Written by every statement that changes what it follows from. Nought: not
-- planned yet, which the next start makes good.
ALTER TABLE integration_grants ADD COLUMN due_at BIGINT NOT NULL DEFAULT 0;
-- When its list of connections was read last, and when it is to be read next; the latter only while there is an
-- access token to read it with.
ALTER TABLE integration_grants ADD COLUMN connections_read_at BIGINT;
ALTER TABLE integration_grants ADD COLUMN connections_due_at BIGINT;

CREATE INDEX integration_grants_due ON integration_grants (due_at) WHERE status = 'active';
-- Those that may have lost a reply, which Xero makes good for thirty minutes only: they go first.
CREATE INDEX integration_grants_lost ON integration_grants (due_at)
    WHERE status = 'active' AND (failure_count > 0 OR lease_owner IS NOT NULL);
CREATE INDEX integration_grants_unread ON integration_grants (connections_due_at)
    WHERE connections_due_at IS NOT NULL;
