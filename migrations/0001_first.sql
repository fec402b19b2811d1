-- One set of statements for SQLite and PostgreSQL: TEXT and BIGINT only. Times are unix seconds, UTC;
-- ciphertext is base64; a nullable time stands where a boolean might.

CREATE TABLE organizations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- When somebody last worked in it; what "hot" is judged by.
    last_used_at BIGINT
);

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    -- Lower case, so that one address is one person.
    email TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE memberships (
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, user_id)
);
CREATE INDEX memberships_by_user ON memberships (user_id);

CREATE TABLE sessions (
    -- SHA-256 of the cookie's value: a stolen table opens no session.
    id_hash TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    active_org_id TEXT REFERENCES organizations (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE integration_grants (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    provider TEXT NOT NULL DEFAULT 'xero',
    -- Both from the access token's claims; empty where Xero sent none we could read.
    xero_user_id TEXT NOT NULL,
    auth_event_id TEXT NOT NULL,
    scopes TEXT NOT NULL,
    access_token_enc TEXT NOT NULL,
    refresh_token_enc TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    refresh_token_issued_at BIGINT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'refresh_failed', 'revoked')),
    -- Counts committed rotations; every commit is fenced by it.
    generation BIGINT NOT NULL DEFAULT 0,
    lease_owner TEXT,
    lease_until BIGINT,
    failure_count BIGINT NOT NULL DEFAULT 0,
    next_attempt_at BIGINT,
    last_error TEXT,
    last_refreshed_at BIGINT,
    last_used_at BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX integration_grants_by_org ON integration_grants (org_id);
CREATE INDEX integration_grants_by_xero_user ON integration_grants (xero_user_id) WHERE status = 'active';

CREATE TABLE integration_tenant_bindings (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    tenant_id TEXT NOT NULL,
    tenant_name TEXT NOT NULL,
    tenant_type TEXT NOT NULL,
    -- Xero's id of the connection (not of the tenant): what a disconnect deletes.
    connection_id TEXT NOT NULL,
    active_grant_id TEXT REFERENCES integration_grants (id),
    status TEXT NOT NULL CHECK (status IN ('active', 'needs_reauth', 'disconnected')),
    connected_by TEXT REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (org_id, tenant_id)
);
CREATE INDEX integration_tenant_bindings_by_grant ON integration_tenant_bindings (active_grant_id);

CREATE TABLE refresh_attempts (
    id TEXT PRIMARY KEY,
    grant_id TEXT NOT NULL REFERENCES integration_grants (id) ON DELETE CASCADE,
    -- The generation whose refresh token was sent.
    generation BIGINT NOT NULL,
    trigger TEXT NOT NULL,
    actor TEXT,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    outcome TEXT,
    error_code TEXT,
    http_status BIGINT,
    trace_id TEXT
);
CREATE INDEX refresh_attempts_by_grant ON refresh_attempts (grant_id, started_at);
CREATE INDEX refresh_attempts_unfinished ON refresh_attempts (started_at) WHERE finished_at IS NULL;

CREATE TABLE oauth_states (
    -- SHA-256 of the `state` parameter.
    id_hash TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The session that started the flow; only it may finish.
    session_hash TEXT NOT NULL,
    code_verifier_enc TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    consumed_at BIGINT,
    -- Set while a person is asked whether this consent may take over tenants that another Xero user connected.
    pending_grant_id TEXT REFERENCES integration_grants (id) ON DELETE CASCADE,
    pending_tenants TEXT
);
CREATE INDEX oauth_states_by_expiry ON oauth_states (expires_at);
