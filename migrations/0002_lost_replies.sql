-- When the last request left whose reply may have been lost, for the generation that the row holds: Xero honours the
-- stored refresh token for thirty minutes from there, so such a grant is not kept waiting longer than that.
ALTER TABLE integration_grants ADD COLUMN reply_lost_at BIGINT;
