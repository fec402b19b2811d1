-- What caused the last failure of an active grant, as the reports of refreshes say it.
ALTER TABLE integration_grants ADD COLUMN last_failure TEXT;
