-- What an organisation's programs ask with.

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- SHA-256 of the key: a stolen table opens nothing.
    key_hash TEXT NOT NULL UNIQUE,
    -- Its first letters, by which people tell keys apart.
    prefix TEXT NOT NULL,
    -- What it may do, in words with spaces between.
    scopes TEXT NOT NULL,
    -- NULL: an operator's command made it, or its person is gone.
    created_by TEXT REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    -- Within a minute.
    last_used_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX api_keys_by_org ON api_keys (org_id, created_at);
