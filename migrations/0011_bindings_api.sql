-- What programs call a connection.

-- The program's own ID of the connection, unique within the organization.
ALTER TABLE integration_tenant_bindings ADD COLUMN external_id TEXT;
-- Counts the changes of ID and tags, so that of two changes at once one is refused.
ALTER TABLE integration_tenant_bindings ADD COLUMN labels_version BIGINT NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX integration_tenant_bindings_by_external_id
    ON integration_tenant_bindings (org_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX integration_tenant_bindings_by_creation ON integration_tenant_bindings (org_id, created_at, id);

CREATE TABLE binding_tags (
    binding_id TEXT NOT NULL REFERENCES integration_tenant_bindings (id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    PRIMARY KEY (binding_id, tag)
);
CREATE INDEX binding_tags_by_tag ON binding_tags (tag, binding_id);
