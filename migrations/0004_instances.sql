-- The servers that run on this database, so that a key's rotation knows who holds which keys.

CREATE TABLE instances (
    -- Kept in the server's data directory.
    id TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    -- Ids of keys, separated by commas; never a key.
    kids TEXT NOT NULL,
    seals_with TEXT NOT NULL,
    sealing_since BIGINT NOT NULL,
    spooled_kids TEXT NOT NULL,
    seen_at BIGINT NOT NULL
);
