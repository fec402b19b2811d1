-- The second factor of accounts with a password, and when a session last proved who uses it.

CREATE TABLE second_factors (
    user_id TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    -- The secret that the authenticator app has (RFC 6238), sealed.
    secret_enc TEXT NOT NULL,
    -- The hash of the session that shows the secret until it is confirmed.
    begun_by TEXT NOT NULL,
    begun_at BIGINT NOT NULL,
    -- NULL: no code was typed yet, so it does not count.
    confirmed_at BIGINT,
    -- The time step of the last code that was accepted. Each code is accepted once.
    last_step BIGINT NOT NULL
);

CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- SHA-256 of the code, which has 80 random bits.
    code_hash TEXT NOT NULL,
    -- Each is used once.
    used_at BIGINT,
    PRIMARY KEY (user_id, code_hash)
);

-- People whose password was right and whose code is asked for.
CREATE TABLE sign_in_challenges (
    -- SHA-256 of the cookie's value.
    token_hash TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- SHA-256 of the password's stored hash: a changed password ends the sign-in.
    password_mark TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sign_in_challenges_by_expiry ON sign_in_challenges (expires_at);
CREATE INDEX sign_in_challenges_by_user ON sign_in_challenges (user_id);

-- Messages that tell a person of a change to their account. They have no link. Beside account_messages, whose kinds
-- servers of the previous version know.
CREATE TABLE account_notices (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- Where it is sent to.
    email TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    -- NULL once it is sent or given up.
    next_attempt_at BIGINT,
    claimed_by TEXT,
    claimed_until BIGINT
);
CREATE INDEX account_notices_due ON account_notices (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX account_notices_by_user ON account_notices (user_id);
CREATE INDEX account_notices_by_expiry ON account_notices (expires_at);

-- When the person last proved in this session who they are. NULL: when they signed in.
ALTER TABLE sessions ADD COLUMN proven_at BIGINT;
-- When the OpenID Connect provider vouched for the person. NULL: they signed in with a password.
ALTER TABLE sessions ADD COLUMN provider_at BIGINT;
