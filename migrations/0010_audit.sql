-- Who did what, when and from where. Rows are added and never changed; what stands in the file for each database
-- beside this one holds every statement to it.

CREATE TABLE audit_events (
    -- Sorts by when it was written down, also within a second.
    id TEXT PRIMARY KEY,
    -- NULL: about the whole app, such as a key's rotation. No reference: what happened outlives whom it happened to.
    org_id TEXT,
    actor_kind TEXT NOT NULL CHECK (actor_kind IN ('user', 'api_key', 'operator', 'clerk', 'system')),
    actor_id TEXT,
    -- As they were called then.
    actor_name TEXT NOT NULL,
    action TEXT NOT NULL,
    subject_kind TEXT,
    subject_id TEXT,
    -- A small JSON object of words, nothing secret.
    detail TEXT NOT NULL,
    -- The client's address; `cli` for a command; NULL for what happened by itself.
    address TEXT,
    at BIGINT NOT NULL
);
CREATE INDEX audit_events_by_org ON audit_events (org_id, at, id);
CREATE INDEX audit_events_by_age ON audit_events (at);

-- From when on everything is kept; what is older may be deleted. One row.
CREATE TABLE audit_horizon (kept_from BIGINT NOT NULL);
INSERT INTO audit_horizon (kept_from) VALUES (0);
