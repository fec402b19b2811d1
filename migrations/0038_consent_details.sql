-- Who gave a grant's consent. NULL: not known, as for grants of before and for imported ones.
ALTER TABLE integration_grants ADD COLUMN consented_by TEXT REFERENCES users (id) ON DELETE SET NULL;
-- The connect link that it came by. Kept after the link is deleted.
ALTER TABLE integration_grants ADD COLUMN consent_link_id TEXT;
-- The Xero user's name and email address, if the consent covered them.
ALTER TABLE integration_grants ADD COLUMN xero_user_name TEXT;
ALTER TABLE integration_grants ADD COLUMN xero_user_email TEXT;

-- Links that were created in one step. Their secrets follow from the batch's secret, which is not stored.
ALTER TABLE connect_links ADD COLUMN batch_id TEXT;
