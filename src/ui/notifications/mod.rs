//! The parts of the notifications page: mail, webhooks, and what happened. All of it is HTML and forms.

mod delivery;
mod events;
mod mail;
mod webhooks;

pub use events::events;
pub use mail::mail;
pub use webhooks::{removal, webhooks};
