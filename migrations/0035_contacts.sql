-- Contacts of connections, who get letters with connect links, and need no account here.

-- An address of an organization's contacts, whichever connections it is for.
CREATE TABLE contacts (
    id TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    -- In lower case.
    email TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- Since when the person wants no letters. The row is kept then, so that they get none again.
    unsubscribed_at BIGINT,
    -- When the mail server refused the address for good. NULL after a letter that it accepted.
    refused_at BIGINT,
    -- Attempts since the last letter that was sent, and before when there is no other.
    attempts BIGINT NOT NULL DEFAULT 0,
    retry_at BIGINT,
    -- The instance that sends a letter, and until when no other does.
    claimed_by TEXT,
    claimed_until BIGINT,
    UNIQUE (org_id, email)
);

-- The contacts of a connection, and the letters about it.
CREATE TABLE binding_contacts (
    binding_id TEXT NOT NULL REFERENCES integration_tenant_bindings (id) ON DELETE CASCADE,
    contact_id TEXT NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    -- What the letters are about: the binding's broken_notified_at. Another value there asks for a first letter again.
    broken_at BIGINT,
    first_letter_at BIGINT,
    -- NULL: no further letter about this.
    next_letter_at BIGINT,
    PRIMARY KEY (binding_id, contact_id)
);
CREATE INDEX binding_contacts_by_contact ON binding_contacts (contact_id);
CREATE INDEX integration_tenant_bindings_broken ON integration_tenant_bindings (broken_notified_at)
    WHERE broken_notified_at IS NOT NULL;

-- The links in letters that stop further ones, one for each letter.
CREATE TABLE unsubscribe_links (
    -- SHA-256 of the link's secret.
    token_hash TEXT PRIMARY KEY,
    contact_id TEXT NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL
);
CREATE INDEX unsubscribe_links_by_contact ON unsubscribe_links (contact_id);

-- When a person or a program chose the contacts. NULL: the contact is whoever authorized the connection.
ALTER TABLE integration_tenant_bindings ADD COLUMN contacts_chosen_at BIGINT;
-- The address of the Xero user who gave the consent, if Xero named it.
ALTER TABLE integration_grants ADD COLUMN authorized_by_email TEXT;

-- The contact that a letter's link is for. NULL: somebody created the link.
ALTER TABLE connect_links ADD COLUMN contact_id TEXT REFERENCES contacts (id) ON DELETE SET NULL;
-- When the mail server accepted the letter with this link.
ALTER TABLE connect_links ADD COLUMN mailed_at BIGINT;
CREATE INDEX connect_links_by_contact ON connect_links (contact_id) WHERE contact_id IS NOT NULL;

-- The contacts of connections that members authorized.
INSERT INTO contacts (id, org_id, email, created_at)
SELECT b.org_id || '.' || MIN(u.id), b.org_id, LOWER(u.email), MIN(b.created_at)
FROM integration_tenant_bindings b JOIN memberships m ON m.org_id = b.org_id AND m.user_id = b.connected_by
JOIN users u ON u.id = m.user_id
WHERE b.status <> 'disconnected' AND u.email LIKE '%@%' AND u.email_unconfirmed_since IS NULL
GROUP BY b.org_id, LOWER(u.email);
INSERT INTO binding_contacts (binding_id, contact_id, created_at)
SELECT b.id, c.id, b.created_at FROM integration_tenant_bindings b
JOIN memberships m ON m.org_id = b.org_id AND m.user_id = b.connected_by
JOIN users u ON u.id = m.user_id JOIN contacts c ON c.org_id = b.org_id AND c.email = LOWER(u.email)
WHERE b.status <> 'disconnected' AND u.email_unconfirmed_since IS NULL;
