-- When a consent by a connect link ended, and what became of it, for the browser that sends its callback again.
ALTER TABLE connect_link_states ADD COLUMN ended_at BIGINT;
-- NULL though it has ended: the link was used or cancelled meanwhile.
ALTER TABLE connect_link_states ADD COLUMN outcome TEXT;
-- The links whose consent waits for a member.
CREATE INDEX connect_links_waiting ON connect_links (id) WHERE outcome = 'waiting';
