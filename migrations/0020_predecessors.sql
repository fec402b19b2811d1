-- The refresh token that was exchanged for a grant's current one. Xero exchanges it again for thirty minutes, which is the
-- way back if the current one turns out to be ended by another exchange of the same predecessor.
ALTER TABLE integration_grants ADD COLUMN previous_token_enc TEXT;
-- The generation that it is sealed for.
ALTER TABLE integration_grants ADD COLUMN previous_generation BIGINT;
-- Until when Xero exchanges it again.
ALTER TABLE integration_grants ADD COLUMN previous_until BIGINT;
-- When the current token has to be used, because another exchange may have ended it; NULL if none may have.
ALTER TABLE integration_grants ADD COLUMN prove_by BIGINT;
