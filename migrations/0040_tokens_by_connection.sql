-- Finds when a key last took a token of a connection, for the connection's page.

CREATE INDEX audit_events_tokens_by_connection ON audit_events (subject_id, actor_id, at) WHERE action = 'token.vended';
