-- What became of a consent, for the browser that sends its callback again. NULL until it has ended.
ALTER TABLE oauth_states ADD COLUMN outcome TEXT;
