-- Connect links: anybody who has one can connect Xero for the organization, once, without an account here.
CREATE TABLE connect_links (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    -- SHA-256 of the link's secret.
    secret_hash TEXT NOT NULL,
    -- The connection to reconnect. NULL: a new one.
    binding_id TEXT REFERENCES integration_tenant_bindings (id) ON DELETE CASCADE,
    -- Who asks and what for, as the page behind the link says it.
    requested_by TEXT NOT NULL,
    note TEXT NOT NULL,
    -- What the connection gets: a program's own ID, and tags, separated by spaces.
    external_id TEXT,
    tags TEXT NOT NULL,
    -- Where the browser goes afterwards. NULL: the link's own page.
    return_url TEXT,
    -- The email address of the person, or the name of the API key.
    created_by TEXT NOT NULL,
    -- The person, whose open links end with their right to create them. NULL: a program created it.
    created_by_user TEXT REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    cancelled_at BIGINT,
    used_at BIGINT,
    -- What became of the last consent, and the names of the tenants that were chosen, as JSON.
    outcome TEXT,
    outcome_at BIGINT,
    outcome_names TEXT
);
CREATE INDEX connect_links_by_org ON connect_links (org_id, created_at, id);
CREATE INDEX connect_links_by_binding ON connect_links (binding_id);

-- Consents under way that a link started. Those of people who are signed in are in oauth_states.
CREATE TABLE connect_link_states (
    -- SHA-256 of the `state` parameter.
    id_hash TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    link_id TEXT NOT NULL REFERENCES connect_links (id) ON DELETE CASCADE,
    code_verifier_enc TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    consumed_at BIGINT,
    -- Set while a member is asked whether this consent is used.
    pending_grant_id TEXT REFERENCES integration_grants (id) ON DELETE CASCADE,
    pending_tenants TEXT
);
CREATE INDEX connect_link_states_by_expiry ON connect_link_states (expires_at);
CREATE INDEX connect_link_states_by_link ON connect_link_states (link_id);

-- Where links of the organization may send the browser: addresses that begin with one of these.
CREATE TABLE connect_return_urls (
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    url TEXT NOT NULL,
    PRIMARY KEY (org_id, url)
);
