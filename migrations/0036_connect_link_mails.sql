-- Connect links that are sent by email.

-- Where the link is sent, and who becomes a contact of the connection that it makes.
ALTER TABLE connect_links ADD COLUMN email TEXT;
-- When the mail is due. NULL: there is none, or it is sent or given up.
ALTER TABLE connect_links ADD COLUMN mail_due_at BIGINT;
ALTER TABLE connect_links ADD COLUMN mail_attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE connect_links ADD COLUMN mail_claimed_by TEXT;
ALTER TABLE connect_links ADD COLUMN mail_claimed_until BIGINT;
-- SHA-256 of the secret in the last mail, which is not the one that the link's creator got.
ALTER TABLE connect_links ADD COLUMN mail_secret_hash TEXT;
CREATE INDEX connect_links_mails_due ON connect_links (mail_due_at) WHERE mail_due_at IS NOT NULL;
