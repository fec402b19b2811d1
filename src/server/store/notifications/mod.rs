//! Notifications.

pub mod connection_events;
mod credentials_alarm;
pub mod deliveries;
pub mod outbox;
mod read_markers;
mod recipients;
pub mod webhook_endpoints;
