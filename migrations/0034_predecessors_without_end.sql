-- A predecessor is tried whenever the current token is refused: the end of its replay window was of no use if a wrong clock
-- had written it.
ALTER TABLE integration_grants DROP COLUMN previous_until;
