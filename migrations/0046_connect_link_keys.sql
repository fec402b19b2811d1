-- The API key that created a link, which ends with the key. NULL: a person created it, or an earlier version.
ALTER TABLE connect_links ADD COLUMN created_by_key TEXT REFERENCES api_keys (id) ON DELETE SET NULL;
