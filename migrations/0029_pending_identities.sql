-- Identities that the OpenID Connect provider vouched for in a browser, and that wait to be linked to an account.

CREATE TABLE pending_identities (
    -- SHA-256 of the cookie's value.
    token_hash TEXT PRIMARY KEY,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- The address that the provider names, in lower case.
    email TEXT,
    -- The hash of the session that asked for the link. NULL: nobody is signed in, and the account's password is asked for.
    session_hash TEXT,
    -- The hash of the sign-in whose code completes the link. NULL: no password was right yet, or no code is asked for.
    challenge_hash TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX pending_identities_by_expiry ON pending_identities (expires_at);
CREATE INDEX pending_identities_by_challenge ON pending_identities (challenge_hash) WHERE challenge_hash IS NOT NULL;
