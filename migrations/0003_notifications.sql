-- Events about connections, and their delivery to webhook endpoints and mailboxes.

-- The outbox: one row for each change of state, written in the transaction that makes the change.
CREATE TABLE outbox (
    -- Receivers know the event by this ID, which is the same in every attempt.
    id TEXT PRIMARY KEY,
    -- NULL for events about the whole app.
    org_id TEXT REFERENCES organizations (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    binding_id TEXT,
    grant_id TEXT,
    -- The tenant at the time of the event.
    tenant_id TEXT,
    tenant_name TEXT,
    -- Machine-readable, such as `invalid_grant`.
    reason TEXT,
    -- When the connection ends unless its renewal works again.
    ends_at BIGINT,
    occurred_at BIGINT NOT NULL,
    -- When the event's deliveries were created.
    fanned_out_at BIGINT
);
CREATE INDEX outbox_by_org ON outbox (org_id, occurred_at);
CREATE INDEX outbox_to_fan_out ON outbox (occurred_at) WHERE fanned_out_at IS NULL;
CREATE INDEX outbox_by_age ON outbox (occurred_at);

-- One event for one receiver: an endpoint, or a person's mailbox.
CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    event_id TEXT NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    channel TEXT NOT NULL CHECK (channel IN ('webhook', 'email')),
    target_id TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'given_up', 'cancelled')),
    attempts BIGINT NOT NULL DEFAULT 0,
    -- NULL once the delivery is settled.
    next_attempt_at BIGINT,
    -- The instance that attempts it, and until when no other does.
    claimed_by TEXT,
    claimed_until BIGINT,
    last_attempt_at BIGINT,
    last_http_status BIGINT,
    last_error TEXT,
    created_at BIGINT NOT NULL,
    UNIQUE (event_id, channel, target_id)
);
CREATE INDEX deliveries_due ON deliveries (channel, next_attempt_at) WHERE status = 'pending';
CREATE INDEX deliveries_by_target ON deliveries (target_id, created_at);

-- When a server with a mail server last ran. Email is only created if that is recent, and waits for the next one.
CREATE TABLE mailer_heartbeat (
    singleton BIGINT PRIMARY KEY CHECK (singleton = 1),
    seen_at BIGINT NOT NULL
);

CREATE TABLE webhook_endpoints (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    url TEXT NOT NULL,
    secret_enc TEXT NOT NULL,
    -- Signs beside the new secret for a while after a rotation.
    previous_secret_enc TEXT,
    previous_until BIGINT,
    -- The one session that may still read the secret, once.
    reveal_to TEXT,
    created_by TEXT REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    disabled_at BIGINT,
    -- `person`, or `gone` if the endpoint answered 410.
    disabled_by TEXT
);
CREATE INDEX webhook_endpoints_by_org ON webhook_endpoints (org_id, created_at);

-- Alarms about the app itself, shared by all instances so that one of them notifies.
CREATE TABLE alarms (
    name TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    raised_at BIGINT NOT NULL,
    cleared_at BIGINT
);
