-- How long the page shows a new webhook secret to the session in reveal_to. Reading it changes nothing.
ALTER TABLE webhook_endpoints ADD COLUMN reveal_until BIGINT;
