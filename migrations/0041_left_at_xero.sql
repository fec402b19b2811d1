-- Unix seconds at which a connection was disconnected here while Xero kept it.
ALTER TABLE integration_tenant_bindings ADD COLUMN left_at_xero_at BIGINT;
