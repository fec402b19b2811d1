-- What the activity page, its export and the journal's retention read by.

-- Whose an attempt is, so that an organisation's are read in their order without a look at each of its grants.
ALTER TABLE refresh_attempts ADD COLUMN org_id TEXT;
UPDATE refresh_attempts
SET org_id = (SELECT g.org_id FROM integration_grants g WHERE g.id = refresh_attempts.grant_id);
CREATE INDEX refresh_attempts_by_org ON refresh_attempts (org_id, started_at, id);
-- What is too old is found by its age alone.
CREATE INDEX refresh_attempts_by_start ON refresh_attempts (started_at);

-- Seconds are too coarse for how long Xero took: the moment of the start, and what passed until the end.
ALTER TABLE refresh_attempts ADD COLUMN started_ms BIGINT;
ALTER TABLE refresh_attempts ADD COLUMN duration_ms BIGINT;

-- Every grant that a binding has stood on: what happened before a reconnect stays to be seen after it.
CREATE TABLE binding_grants (
    binding_id TEXT NOT NULL REFERENCES integration_tenant_bindings (id) ON DELETE CASCADE,
    grant_id TEXT NOT NULL REFERENCES integration_grants (id) ON DELETE CASCADE,
    PRIMARY KEY (binding_id, grant_id)
);
CREATE INDEX binding_grants_by_grant ON binding_grants (grant_id);
INSERT INTO binding_grants (binding_id, grant_id)
SELECT id, active_grant_id FROM integration_tenant_bindings WHERE active_grant_id IS NOT NULL;
