-- Calls of programs to Xero's API.

-- The calls that Xero allows at once for one tenant, a row each. An instance holds a slot for as long as it makes calls
-- in it, and a slot carries its share of the tenant's limits.
CREATE TABLE request_slots (
    client_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    slot BIGINT NOT NULL,
    -- The run of the instance that holds it. NULL: it is free.
    owner TEXT,
    -- Until when it is held, or when it was given back.
    held_until BIGINT NOT NULL,
    -- The calls of the last minute by second, and those of the last day by hour: time:calls, separated by commas.
    minute_calls TEXT NOT NULL,
    day_calls TEXT NOT NULL,
    PRIMARY KEY (client_id, tenant_id, slot)
);

-- Tenants for which Xero has reported that a limit is reached.
CREATE TABLE tenant_pauses (
    client_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    reached_limit TEXT NOT NULL CHECK (reached_limit IN ('concurrent', 'minute', 'day', 'app-minute')),
    paused_until BIGINT NOT NULL,
    PRIMARY KEY (client_id, tenant_id)
);

-- The app's calls for all tenants, in windows of ten seconds.
CREATE TABLE app_call_windows (
    client_id TEXT NOT NULL,
    starts_at BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    PRIMARY KEY (client_id, starts_at)
);

-- The calls of each key to each connection, by day (UTC).
CREATE TABLE proxy_usage (
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    binding_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    -- When the day began, in unix seconds.
    day BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    -- Bytes of the bodies that were sent to Xero, and of those that Xero sent.
    bytes_sent BIGINT NOT NULL,
    bytes_received BIGINT NOT NULL,
    PRIMARY KEY (binding_id, key_id, day)
);
CREATE INDEX proxy_usage_by_org ON proxy_usage (org_id, day);
