-- From where a change to an account came: the client's address, or 'cli' for an operator.
ALTER TABLE account_notices ADD COLUMN address TEXT;
