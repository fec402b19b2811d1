-- Organizations, the people in them, how they sign in, and the keys of their programs.
--
-- All migrations are one set of statements for SQLite and PostgreSQL: TEXT and BIGINT only. Times are unix seconds,
-- UTC; ciphertext is base64; a nullable time replaces a boolean.

-- The database's own id, which files outside it name. Copies and backups have the same.
CREATE TABLE database_identity (
    singleton BIGINT PRIMARY KEY CHECK (singleton = 1),
    id TEXT NOT NULL
);

CREATE TABLE organizations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- When a person or a program last worked in it. Decides whether its grants are kept hot.
    last_used_at BIGINT,
    -- The organization's ID at Clerk, if Clerk manages it.
    external_id TEXT,
    -- Shown until Clerk has sent the name.
    external_slug TEXT,
    -- The age of the event or token that the name came with; older ones change nothing. NULL: only the slug is known.
    external_updated_at BIGINT,
    external_deleted_at BIGINT
);
CREATE UNIQUE INDEX organizations_by_external_id ON organizations (external_id) WHERE external_id IS NOT NULL;

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    -- Lower case, so that one address is one user. The Clerk ID if no address is known.
    email TEXT NOT NULL UNIQUE,
    -- Empty for users that Clerk manages.
    password_hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    external_id TEXT
);
CREATE UNIQUE INDEX users_by_external_id ON users (external_id) WHERE external_id IS NOT NULL;

CREATE TABLE memberships (
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    created_at BIGINT NOT NULL,
    -- The person's choice. NULL: owners and admins get email, members do not.
    email_notifications TEXT CHECK (email_notifications IN ('on', 'off')),
    -- Up to when the person has read the organization's events.
    events_read_at BIGINT,
    -- The age of the event or token that the role came with.
    external_updated_at BIGINT,
    PRIMARY KEY (org_id, user_id)
);
CREATE INDEX memberships_by_user ON memberships (user_id);

-- Ended memberships of users that Clerk manages. An older token does not bring one back, and the connections that the
-- person made are disconnected after the offboarding period.
CREATE TABLE membership_removals (
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    removed_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, user_id)
);

-- Webhook events from Clerk that were applied, so that none is applied twice.
CREATE TABLE clerk_events (
    id TEXT PRIMARY KEY,
    received_at BIGINT NOT NULL
);

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

-- Links by which people join an organization, each once.
CREATE TABLE invitations (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    -- SHA-256 of the link's secret: a stolen table joins nothing.
    token_hash TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    invited_by TEXT REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    accepted_by TEXT REFERENCES users (id) ON DELETE SET NULL,
    accepted_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX invitations_open ON invitations (org_id, expires_at) WHERE accepted_at IS NULL AND revoked_at IS NULL;

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- SHA-256 of the key: a stolen table authenticates nothing.
    key_hash TEXT NOT NULL UNIQUE,
    -- The key's first characters, by which people tell keys apart.
    prefix TEXT NOT NULL,
    -- Scopes, separated by spaces.
    scopes TEXT NOT NULL,
    -- NULL: created by an operator's command, or its creator was deleted.
    created_by TEXT REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    -- Accurate to a minute.
    last_used_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX api_keys_by_org ON api_keys (org_id, created_at);
