//! The parts of the notifications page: email, webhooks and recent events. Plain HTML and forms.

pub use super::events::events;
pub use super::mail::email_settings;
pub use super::webhooks::{remove_confirmation, webhooks};
