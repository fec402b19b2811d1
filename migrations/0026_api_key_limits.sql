-- API keys: limited to some connections, replaced by a new secret while the old one still works, and who used them.

-- When the key was limited to the connections in api_key_bindings. NULL: the key opens all. The list alone would not
-- do: a key whose last connection is deleted has to open nothing.
ALTER TABLE api_keys ADD COLUMN limited_at BIGINT;
-- The client's address and program of the last use.
ALTER TABLE api_keys ADD COLUMN last_used_from TEXT;
ALTER TABLE api_keys ADD COLUMN last_used_agent TEXT;
-- When the secret was replaced, and the secret before it, which works until previous_ends_at.
ALTER TABLE api_keys ADD COLUMN rotated_at BIGINT;
ALTER TABLE api_keys ADD COLUMN previous_key_hash TEXT;
ALTER TABLE api_keys ADD COLUMN previous_prefix TEXT;
ALTER TABLE api_keys ADD COLUMN previous_ends_at BIGINT;
-- Who had created the secret before. It ends with that person's membership.
ALTER TABLE api_keys ADD COLUMN previous_created_by TEXT REFERENCES users (id) ON DELETE SET NULL;
ALTER TABLE api_keys ADD COLUMN previous_last_used_at BIGINT;
ALTER TABLE api_keys ADD COLUMN previous_last_used_from TEXT;
ALTER TABLE api_keys ADD COLUMN previous_last_used_agent TEXT;
CREATE UNIQUE INDEX api_keys_by_previous_hash ON api_keys (previous_key_hash) WHERE previous_key_hash IS NOT NULL;

-- The connections that a limited key opens.
CREATE TABLE api_key_bindings (
    key_id TEXT NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    binding_id TEXT NOT NULL REFERENCES integration_tenant_bindings (id) ON DELETE CASCADE,
    PRIMARY KEY (key_id, binding_id)
);
CREATE INDEX api_key_bindings_by_binding ON api_key_bindings (binding_id);
