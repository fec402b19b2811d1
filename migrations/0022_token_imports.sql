-- Refresh tokens of other systems that were imported, so that an import goes on where it stopped and no token is taken
-- twice.
CREATE TABLE token_imports (
    -- SHA-256 of the refresh token as it came from the other system.
    token_hash TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    -- The grant that has the token until it is exchanged, and its successors after that.
    grant_id TEXT NOT NULL REFERENCES integration_grants (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    -- When its tenants were bound. Until then the grant is kept, although no connection uses it.
    finished_at BIGINT
);
CREATE INDEX token_imports_by_grant ON token_imports (grant_id);
CREATE INDEX token_imports_by_org ON token_imports (org_id);
