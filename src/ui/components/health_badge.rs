//! The badge with a connection's state.

use leptos::prelude::*;

use super::badge::Badge;
use super::time;
use crate::model::{ConnectionView, Health, Tone};
use crate::ui::shared::icons::{CHECK, CLOCK, SLASH, TURN, WARNING};

/// Renders a connection's state, with the time of the next retry if one is scheduled.
pub fn health_badge(one: &ConnectionView) -> impl IntoView + use<> {
    let again = one.next_attempt_at.filter(|_| one.health == Health::Retrying);
    badge_of(one.health).render_with(again.map(|at| (" at ", time::time_of_day(at))))
}

/// Returns a state's badge.
pub fn badge_of(health: Health) -> Badge {
    match health {
        Health::Connected => Badge::new(Tone::Good, CHECK, "Connected"),
        Health::Refreshing => Badge::new(Tone::Info, TURN, "Refreshing"),
        Health::Retrying => Badge::new(Tone::Warn, CLOCK, "Retrying"),
        Health::NeedsReauth => Badge::new(Tone::Bad, WARNING, "Reconnect needed"),
        Health::Disconnected => Badge::new(Tone::Quiet, SLASH, "Disconnected"),
    }
}
