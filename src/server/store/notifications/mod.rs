//! Notifications.

pub mod connection_events;
pub mod contacts;
pub mod credentials_alarm;
pub mod deliveries;
pub mod delivery_log;
pub mod event_feed;
pub mod listed_endpoints;
pub mod mail_limits;
mod mailer_heartbeat;
pub mod moved_contacts;
pub mod outbox;
pub mod read_markers;
pub mod recipients;
pub mod reconnect_letters;
pub mod test_deliveries;
mod unsubscribing;
pub mod webhook_endpoints;
pub mod webhook_events;
pub mod webhook_secrets;
