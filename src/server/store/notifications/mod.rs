//! Notifications.

pub mod connection_events;
mod credentials_alarm;
pub mod deliveries;
pub mod delivery_log;
pub mod event_feed;
mod mailer_heartbeat;
pub mod outbox;
mod read_markers;
mod recipients;
pub mod test_deliveries;
pub mod webhook_endpoints;
pub mod webhook_events;
pub mod webhook_secrets;
