//! Notifications.

pub mod connection_events;
pub mod contacts;
mod credentials_alarm;
pub mod deliveries;
pub mod delivery_log;
pub mod event_feed;
mod mailer_heartbeat;
pub mod outbox;
mod read_markers;
mod recipients;
pub mod reconnect_letters;
pub mod test_deliveries;
mod unsubscribing;
pub mod webhook_endpoints;
pub mod webhook_events;
pub mod webhook_secrets;
