CREATE TRIGGER audit_events_unchanged BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only');
END;
CREATE TRIGGER audit_events_kept BEFORE DELETE ON audit_events
WHEN OLD.at >= (SELECT kept_from FROM audit_horizon)
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only');
END;
