-- People and organisations that somebody else keeps: rows of our own for them, made and brought up to date from
-- what their keeper signs, so that all that hangs on a person or an organisation is as ever.

ALTER TABLE organizations ADD COLUMN external_id TEXT;
-- Stands in for the name until the keeper has told it.
ALTER TABLE organizations ADD COLUMN external_slug TEXT;
-- How old the news is that the name came with; older news changes nothing. NULL: only the slug is known.
ALTER TABLE organizations ADD COLUMN external_at BIGINT;
ALTER TABLE organizations ADD COLUMN external_deleted_at BIGINT;
CREATE UNIQUE INDEX organizations_by_external_id ON organizations (external_id) WHERE external_id IS NOT NULL;

-- Such a person has no password here. Where no address is known their external id stands in its place.
ALTER TABLE users ADD COLUMN external_id TEXT;
CREATE UNIQUE INDEX users_by_external_id ON users (external_id) WHERE external_id IS NOT NULL;

-- How old the news is that the role came with.
ALTER TABLE memberships ADD COLUMN external_at BIGINT;

-- A membership that ended: a token from before doesn't bring it back, and what the person connected goes after a while.
CREATE TABLE membership_removals (
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    removed_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, user_id)
);

-- News that was taken in, so that nothing is taken in twice.
CREATE TABLE external_news (
    id TEXT PRIMARY KEY,
    received_at BIGINT NOT NULL
);
