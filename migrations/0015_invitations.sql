-- Invitations for one email address, sent by mail, and addresses that nobody has confirmed.

-- The only address that may accept. NULL: whoever has the link.
ALTER TABLE invitations ADD COLUMN email TEXT;
-- When the invitation mail is due. NULL: there is none, or it is sent or given up.
ALTER TABLE invitations ADD COLUMN mail_due_at BIGINT;
ALTER TABLE invitations ADD COLUMN mail_attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE invitations ADD COLUMN mail_claimed_by TEXT;
ALTER TABLE invitations ADD COLUMN mail_claimed_until BIGINT;
CREATE INDEX invitations_mails_due ON invitations (mail_due_at) WHERE mail_due_at IS NOT NULL;

-- The links in an invitation's mails, one for each attempt to send it. Who opens one reads the address's mailbox.
CREATE TABLE invitation_links (
    -- SHA-256 of the link's secret.
    token_hash TEXT PRIMARY KEY,
    invitation_id TEXT NOT NULL REFERENCES invitations (id) ON DELETE CASCADE
);
CREATE INDEX invitation_links_by_invitation ON invitation_links (invitation_id);

-- Since when the address is only what the person entered. NULL: an operator or a mailbox vouched for it.
ALTER TABLE users ADD COLUMN email_unconfirmed_since BIGINT;
