-- Organizations that require a second factor of their members.

-- From when on: members without one reach nothing of the organization after it. NULL: it isn't required.
ALTER TABLE organizations ADD COLUMN factor_required_from BIGINT;
