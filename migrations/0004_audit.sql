-- Who did what, when and from where. Rows are added and never changed, which the triggers in the file for each database
-- enforce.

CREATE TABLE audit_events (
    -- Sorts by the time of recording, also within a second.
    id TEXT PRIMARY KEY,
    -- NULL for events about the whole app, such as a key rotation. No reference: an event outlives its subject.
    org_id TEXT,
    actor_kind TEXT NOT NULL CHECK (actor_kind IN ('user', 'api_key', 'operator', 'clerk', 'system')),
    actor_id TEXT,
    -- The actor's name at the time of the event.
    actor_name TEXT NOT NULL,
    action TEXT NOT NULL,
    subject_kind TEXT,
    subject_id TEXT,
    -- A small JSON object of strings without secrets.
    detail TEXT NOT NULL,
    -- The client's IP address; `cli` for a command; NULL for what Evergrant did by itself.
    address TEXT,
    at BIGINT NOT NULL
);
CREATE INDEX audit_events_by_org ON audit_events (org_id, at, id);
CREATE INDEX audit_events_by_age ON audit_events (at);

-- Events before this time may be deleted. One row.
CREATE TABLE audit_retention (retained_from BIGINT NOT NULL);
INSERT INTO audit_retention (retained_from) VALUES (0);
