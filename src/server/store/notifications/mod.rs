//! Notifications.

pub mod alerts;
pub mod connection_events;
pub mod deliveries;
pub mod outbox;
pub mod webhook_endpoints;
