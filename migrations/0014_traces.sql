-- Which trace a try is part of stands in trace_id from here on, and Xero's own id of the call, which stood there before,
-- in a column of its own.
ALTER TABLE refresh_attempts ADD COLUMN correlation_id TEXT;
UPDATE refresh_attempts SET correlation_id = trace_id, trace_id = NULL WHERE trace_id IS NOT NULL;
