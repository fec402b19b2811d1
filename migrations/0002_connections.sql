-- Grants, the tenants bound to them, the journal of their refreshes, and the consents that create them.

-- One OAuth token set: one Xero user's consent.
CREATE TABLE integration_grants (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    provider TEXT NOT NULL DEFAULT 'xero',
    -- The app and the provider that issued the tokens. They are sent to no other.
    client_id TEXT NOT NULL,
    issuer TEXT NOT NULL,
    -- Both from the access token's claims; empty if the token had no readable ones.
    xero_user_id TEXT NOT NULL,
    auth_event_id TEXT NOT NULL,
    scopes TEXT NOT NULL,
    access_token_enc TEXT NOT NULL,
    refresh_token_enc TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    refresh_token_issued_at BIGINT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'refresh_failed', 'revoked')),
    -- Counts committed rotations. Every commit is fenced by it.
    generation BIGINT NOT NULL DEFAULT 0,
    lease_owner TEXT,
    lease_until BIGINT,
    failure_count BIGINT NOT NULL DEFAULT 0,
    next_attempt_at BIGINT,
    last_error TEXT,
    last_refreshed_at BIGINT,
    last_used_at BIGINT,
    created_at BIGINT NOT NULL,
    -- When the last request was sent whose reply may be lost, for the current generation. Xero honors the stored
    -- refresh token for thirty minutes from then, so the grant's next attempt comes before that.
    reply_lost_at BIGINT,
    -- When the sweeper refreshes the grant: as planned, after a failure's back-off, or at the end of a lease. 0: not
    -- planned yet, which the next start does.
    due_at BIGINT NOT NULL DEFAULT 0,
    -- When the grant's connections were last read from Xero, and when they are read next. The latter is set only while
    -- there is an access token to read them with.
    connections_read_at BIGINT,
    connections_due_at BIGINT,
    -- When Xero first refused the current generation, while that refusal is not believed yet.
    refused_at BIGINT,
    -- The last warning's age of the refresh token, in days: 45, 50 or 55.
    ageing_notified_day BIGINT
);
CREATE INDEX integration_grants_by_org ON integration_grants (org_id);
CREATE INDEX integration_grants_by_xero_user ON integration_grants (xero_user_id) WHERE status = 'active';
CREATE INDEX integration_grants_due ON integration_grants (issuer, client_id, due_at) WHERE status = 'active';
-- Grants that may have lost a reply. They are claimed first.
CREATE INDEX integration_grants_failed_or_abandoned ON integration_grants (issuer, client_id, due_at)
    WHERE status = 'active' AND (failure_count > 0 OR lease_owner IS NOT NULL OR reply_lost_at IS NOT NULL);
-- Finds tokens that were received in the future, by a wrong clock.
CREATE INDEX integration_grants_by_refresh ON integration_grants (last_refreshed_at) WHERE status = 'active';
CREATE INDEX integration_grants_connections_due ON integration_grants (connections_due_at)
    WHERE connections_due_at IS NOT NULL;

-- An organization's tenant, and the grant that serves it.
CREATE TABLE integration_tenant_bindings (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    tenant_id TEXT NOT NULL,
    tenant_name TEXT NOT NULL,
    tenant_type TEXT NOT NULL,
    -- Xero's ID of the connection (not of the tenant), which a disconnect deletes.
    connection_id TEXT NOT NULL,
    active_grant_id TEXT REFERENCES integration_grants (id),
    status TEXT NOT NULL CHECK (status IN ('active', 'needs_reauth', 'disconnected')),
    connected_by TEXT REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    -- Since when Xero's list has lacked the connection. An active binding is disconnected only if a second list
    -- confirms it. A disconnected one recovers when it is listed again. NULL if a person disconnected it here.
    missing_since BIGINT,
    -- When people were notified that the connection is broken. Cleared when it recovers.
    broken_notified_at BIGINT,
    UNIQUE (org_id, tenant_id)
);
CREATE INDEX integration_tenant_bindings_by_grant ON integration_tenant_bindings (active_grant_id);

-- Every grant that has served a binding, so that a connection's history outlives a reconnect.
CREATE TABLE binding_grants (
    binding_id TEXT NOT NULL REFERENCES integration_tenant_bindings (id) ON DELETE CASCADE,
    grant_id TEXT NOT NULL REFERENCES integration_grants (id) ON DELETE CASCADE,
    PRIMARY KEY (binding_id, grant_id)
);
CREATE INDEX binding_grants_by_grant ON binding_grants (grant_id);

-- The journal: one line for each exchange, written before its request is sent.
CREATE TABLE refresh_attempts (
    id TEXT PRIMARY KEY,
    -- The grant's organization, so that its attempts are read in order without a look at each grant.
    org_id TEXT,
    grant_id TEXT NOT NULL REFERENCES integration_grants (id) ON DELETE CASCADE,
    -- The generation whose refresh token was sent.
    generation BIGINT NOT NULL,
    trigger TEXT NOT NULL,
    actor TEXT,
    started_at BIGINT NOT NULL,
    -- The start in milliseconds, and the time until the end, since seconds are too coarse for Xero's response time.
    started_ms BIGINT,
    duration_ms BIGINT,
    -- When its request was sent: Xero's replay window counts from here.
    sent_at BIGINT NOT NULL,
    finished_at BIGINT,
    outcome TEXT,
    -- Of a failure, whether its request was sent: no | yes.
    request_sent TEXT,
    -- Of a failure, what it affects: request | provider | app.
    fault TEXT,
    -- Of a failure, whether Xero may have rotated the token: none | unlikely | possible.
    rotation_risk TEXT,
    error_code TEXT,
    http_status BIGINT,
    -- The W3C trace that the attempt is part of.
    trace_id TEXT,
    -- Xero's ID of the call.
    correlation_id TEXT
);
CREATE INDEX refresh_attempts_by_grant ON refresh_attempts (grant_id, started_at);
CREATE INDEX refresh_attempts_unfinished ON refresh_attempts (started_at) WHERE finished_at IS NULL;
CREATE INDEX refresh_attempts_by_org ON refresh_attempts (org_id, started_at, id);
CREATE INDEX refresh_attempts_by_start ON refresh_attempts (started_at);

-- Consents under way.
CREATE TABLE oauth_states (
    -- SHA-256 of the `state` parameter.
    id_hash TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The session that started the consent. No other can finish it.
    session_hash TEXT NOT NULL,
    code_verifier_enc TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    consumed_at BIGINT,
    -- Set while a person is asked whether this consent replaces that of another Xero user.
    pending_grant_id TEXT REFERENCES integration_grants (id) ON DELETE CASCADE,
    pending_tenants TEXT
);
CREATE INDEX oauth_states_by_expiry ON oauth_states (expires_at);

-- The servers on this database, so that a key rotation knows which of them hold which keys.
CREATE TABLE instances (
    -- Stored in the server's data directory.
    id TEXT PRIMARY KEY,
    -- New at every start. Two servers with the same id, as of a copied data directory, notice each other by it.
    run_id TEXT NOT NULL,
    address TEXT NOT NULL,
    -- IDs of keys, separated by commas; never a key.
    kids TEXT NOT NULL,
    seals_with TEXT NOT NULL,
    sealing_since BIGINT NOT NULL,
    spooled_kids TEXT NOT NULL,
    seen_at BIGINT NOT NULL
);

-- Whether the database accepts writes: each instance writes its own row, which nothing else locks.
CREATE TABLE write_probes (
    instance_id TEXT PRIMARY KEY,
    probed_at BIGINT NOT NULL
);
