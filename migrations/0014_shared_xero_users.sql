-- Xero users whose connections reach tenants of several organizations.

-- Since when Xero's list of the grant's connections has had another organization's tenant that this one has not
-- connected. NULL: the last list had none.
ALTER TABLE integration_grants ADD COLUMN foreign_tenant_listed_since BIGINT;
CREATE INDEX integration_grants_by_xero_user_and_org ON integration_grants (xero_user_id, org_id);
CREATE INDEX integration_tenant_bindings_by_tenant ON integration_tenant_bindings (tenant_id);
