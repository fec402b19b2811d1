-- Grants whose refresh token was handed to another system.

-- When the token was exported. The grant is refresh_failed since then, and its row keeps the token, so that it can be
-- taken back. NULL: never exported, or taken back.
ALTER TABLE integration_grants ADD COLUMN exported_at BIGINT;
