-- Limits on guessing the secrets that people type, shared by all instances.

-- How much of a limit is used up. A row is deleted once its limit has refilled.
CREATE TABLE attempt_limits (
    -- What is guessed: a password, a reset code, a second factor, an invitation.
    purpose TEXT NOT NULL,
    -- What is counted: an account from one network or browser, an account, a network.
    scope TEXT NOT NULL,
    -- SHA-256 of the account, network or browser: a stolen table names nobody.
    key_hash TEXT NOT NULL,
    -- When the limit is full again if nobody tries.
    refilled_at BIGINT NOT NULL,
    PRIMARY KEY (purpose, scope, key_hash)
);
CREATE INDEX attempt_limits_by_refill ON attempt_limits (refilled_at);

-- Browsers in which an account has signed in. Strangers' attempts do not limit these.
CREATE TABLE known_browsers (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- SHA-256 of the cookie's value.
    browser_hash TEXT NOT NULL,
    last_sign_in_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, browser_hash)
);
CREATE INDEX known_browsers_by_hash ON known_browsers (browser_hash);
CREATE INDEX known_browsers_by_sign_in ON known_browsers (last_sign_in_at);

-- Peers that sent X-Forwarded-For without being a trusted proxy, for `evergrant doctor`. A bounded number, and for a week.
CREATE TABLE untrusted_forwarders (
    peer TEXT PRIMARY KEY,
    noticed_at BIGINT NOT NULL
);

-- How many values each encryption key has sealed, over all instances. AES-GCM with random nonces wants a new key before
-- 2^32 of them.
CREATE TABLE encryption_key_uses (
    kid TEXT PRIMARY KEY,
    uses BIGINT NOT NULL
);
