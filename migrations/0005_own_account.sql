-- What a person manages on their own account, and what operators do to it.

-- NULL: the person has not said.
ALTER TABLE users ADD COLUMN name TEXT;
ALTER TABLE users ADD COLUMN time_zone TEXT;
-- Since when the account may not be used: it signs in nowhere, its sessions have ended and its API keys are refused.
ALTER TABLE users ADD COLUMN disabled_at BIGINT;
-- Since when the account is known as the sandbox's demo login, which exists in sandbox mode only.
ALTER TABLE users ADD COLUMN demo_since BIGINT;

-- The browser as it names itself, and the client's IP address, when the session was last seen.
ALTER TABLE sessions ADD COLUMN user_agent TEXT;
ALTER TABLE sessions ADD COLUMN address TEXT;
CREATE INDEX sessions_by_user ON sessions (user_id);

-- A person's recent sign-ins.
CREATE INDEX audit_events_by_actor ON audit_events (actor_id, at);

-- Account messages. The secret of a message's link is created when the message is sent, so that no row holds it.
CREATE TABLE account_messages (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('reset_password', 'confirm_email', 'email_changed', 'password_changed')),
    -- NULL until the sender looks the address up: asking for a reset takes as long for an unknown address.
    user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
    -- Where it is sent to.
    email TEXT NOT NULL,
    -- The client's IP address that caused it.
    address TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    -- NULL once it is sent or given up.
    next_attempt_at BIGINT,
    claimed_by TEXT,
    claimed_until BIGINT,
    -- When its link was used. It works once.
    used_at BIGINT
);
CREATE INDEX account_messages_due ON account_messages (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX account_messages_by_user ON account_messages (user_id);
CREATE INDEX account_messages_by_expiry ON account_messages (expires_at);

-- The links of a message: each attempt to send it creates one, and any of them uses the message up.
CREATE TABLE account_links (
    -- SHA-256 of the link's secret: a stolen table resets nothing.
    token_hash TEXT PRIMARY KEY,
    message_id TEXT NOT NULL REFERENCES account_messages (id) ON DELETE CASCADE
);
CREATE INDEX account_links_by_message ON account_links (message_id);
