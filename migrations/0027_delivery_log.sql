-- Webhooks: which events an endpoint gets, and the log of its deliveries.

-- When somebody chose the events in webhook_endpoint_events. NULL: the endpoint gets all, also kinds of later versions.
ALTER TABLE webhook_endpoints ADD COLUMN events_chosen_at BIGINT;
CREATE TABLE webhook_endpoint_events (
    endpoint_id TEXT NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    PRIMARY KEY (endpoint_id, kind)
);

-- When a person last sent the delivery again.
ALTER TABLE deliveries ADD COLUMN resent_at BIGINT;
CREATE INDEX deliveries_resent ON deliveries (org_id, resent_at) WHERE resent_at IS NOT NULL;

-- Each attempt to deliver an event to a webhook. It is kept for as long as its event.
CREATE TABLE delivery_attempts (
    id TEXT PRIMARY KEY,
    delivery_id TEXT NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    attempted_at BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    http_status BIGINT,
    -- What failed, without addresses and secrets. NULL if the event was delivered.
    error TEXT
);
CREATE INDEX delivery_attempts_by_delivery ON delivery_attempts (delivery_id, attempted_at);
