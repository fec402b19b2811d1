-- Since when Xero's list of connections has lacked this one, in a binding that is disconnected for that reason: it
-- recovers when it is listed again. Nothing where a person disconnected it here.
ALTER TABLE integration_tenant_bindings ADD COLUMN gone_at BIGINT;
