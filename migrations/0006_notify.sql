-- What people are told when a connection's state changes, and how it reaches them.

-- The outbox: one row for each change of state, written in the transaction that makes the change.
CREATE TABLE outbox (
    -- What a receiver knows the event by, the same in every try.
    id TEXT PRIMARY KEY,
    -- None where it concerns the whole app.
    org_id TEXT REFERENCES organizations (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    binding_id TEXT,
    grant_id TEXT,
    -- As they were called then.
    tenant_id TEXT,
    tenant_name TEXT,
    -- A word for a program, such as `invalid_grant`.
    reason TEXT,
    -- When the connection ends if nothing helps.
    ends_at BIGINT,
    occurred_at BIGINT NOT NULL,
    -- When its deliveries were made; until then no receiver has been looked for.
    fanned_out_at BIGINT
);
CREATE INDEX outbox_by_org ON outbox (org_id, occurred_at);
CREATE INDEX outbox_to_fan_out ON outbox (occurred_at) WHERE fanned_out_at IS NULL;

-- One event on its way to one receiver: an endpoint, or a person's mailbox.
CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    event_id TEXT NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    channel TEXT NOT NULL CHECK (channel IN ('webhook', 'email')),
    target_id TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'given_up', 'cancelled')),
    attempts BIGINT NOT NULL DEFAULT 0,
    -- None once it is settled.
    next_attempt_at BIGINT,
    -- Who tries it just now, and until when nobody else does.
    claimed_by TEXT,
    claimed_until BIGINT,
    last_attempt_at BIGINT,
    last_http_status BIGINT,
    last_error TEXT,
    created_at BIGINT NOT NULL,
    UNIQUE (event_id, channel, target_id)
);
CREATE INDEX deliveries_due ON deliveries (next_attempt_at) WHERE status = 'pending';
CREATE INDEX deliveries_by_target ON deliveries (target_id, created_at);

CREATE TABLE webhook_endpoints (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    url TEXT NOT NULL,
    secret_enc TEXT NOT NULL,
    -- After a rotation both sign, so that the receiver has time to take up the new one.
    previous_secret_enc TEXT,
    previous_until BIGINT,
    -- The one session that may still see the secret, once.
    reveal_to TEXT,
    created_by TEXT REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    disabled_at BIGINT,
    -- `person`, or `gone` where the receiver said so itself.
    disabled_by TEXT
);
CREATE INDEX webhook_endpoints_by_org ON webhook_endpoints (org_id, created_at);

-- The app's own troubles, shared by all instances so that one of them tells.
CREATE TABLE alarms (
    name TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    raised_at BIGINT NOT NULL,
    cleared_at BIGINT
);

-- Since when people know that a connection is broken; what was told isn't told again before it recovers.
ALTER TABLE integration_tenant_bindings ADD COLUMN told_broken_at BIGINT;
UPDATE integration_tenant_bindings SET told_broken_at = updated_at WHERE status = 'needs_reauth';

-- The last day of the refresh token's age that people were warned at: 45, 50 or 55.
ALTER TABLE integration_grants ADD COLUMN told_ageing_day BIGINT;

-- `on` or `off` as the person chose; owners and admins get mail unless they chose otherwise, members only if they did.
ALTER TABLE memberships ADD COLUMN email_notices TEXT CHECK (email_notices IN ('on', 'off'));
-- Up to when the person has seen what happened here.
ALTER TABLE memberships ADD COLUMN notices_seen_at BIGINT;
