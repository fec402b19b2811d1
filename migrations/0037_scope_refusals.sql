-- The last time that Xero refused a set of scopes to an organization's consent. Nothing of the callback's text is kept
-- but a known cause and the names of scopes that the app had asked for.
CREATE TABLE scope_refusals (
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    client_id TEXT NOT NULL,
    -- The scopes that were asked for, and those of them that Xero named, separated by spaces.
    scopes TEXT NOT NULL,
    named TEXT NOT NULL,
    cause TEXT NOT NULL,
    refused_at BIGINT NOT NULL,
    -- When Xero granted the same set later.
    accepted_at BIGINT,
    PRIMARY KEY (org_id, client_id, scopes)
);
CREATE INDEX scope_refusals_by_time ON scope_refusals (client_id, refused_at);

-- The scopes that a consent asks for. NULL: a version that did not store them began it.
ALTER TABLE oauth_states ADD COLUMN scopes TEXT;
ALTER TABLE connect_link_states ADD COLUMN scopes TEXT;
