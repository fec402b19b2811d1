-- Calls of programs with an Idempotency-Key, and their responses, which a repeated call gets again.
CREATE TABLE idempotent_calls (
    -- SHA-256 of the API key's ID and the Idempotency-Key.
    id TEXT PRIMARY KEY,
    key_id TEXT NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    -- SHA-256 of method, path, query, and body.
    request_hash TEXT NOT NULL,
    -- Who runs the call, and until when nobody else does. NULL once there is a response.
    claimed_by TEXT,
    claimed_until BIGINT,
    -- The response with its status and headers, sealed. Empty until there is one.
    answer_enc TEXT NOT NULL,
    -- When the row is deleted.
    expires_at BIGINT NOT NULL
);
CREATE INDEX idempotent_calls_by_expiry ON idempotent_calls (expires_at);
CREATE INDEX idempotent_calls_by_key ON idempotent_calls (key_id);
