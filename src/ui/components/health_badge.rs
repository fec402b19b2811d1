//! The badge with a connection's state.

use leptos::prelude::*;

use maud::{Markup, html};

use super::badge::Badge;
use super::rendered::IntoRendered as _;
use super::time;
use crate::model::{ConnectionView, Health, Tone};
use crate::ui::shared::icons::{CHECK, CLOCK, SLASH, TURN, WARNING, icon};

/// Renders a connection's state, with the time of the next retry if one is scheduled.
pub fn health_badge(one: &ConnectionView) -> Markup {
    let again = one.next_attempt_at.filter(|_| one.health == Health::Retrying);
    let again = html! { @if let Some(at) = again { " at " (time::time_of_day(at).markup()) } };
    badge_of(one.health).markup_with(&again)
}

/// Renders how many connections are in a state.
pub fn count_badge(health: Health, count: impl IntoView) -> impl IntoView {
    let Badge { tone, icon: path, label } = badge_of(health);
    view! { <span class="badge" data-tone=tone.as_str()>{path.map(icon)} {count} " " {label}</span> }
}

/// Returns a state's badge.
fn badge_of(health: Health) -> Badge {
    let (tone, path) = match health {
        Health::Connected => (Tone::Good, CHECK),
        Health::Refreshing => (Tone::Info, TURN),
        Health::Retrying => (Tone::Warn, CLOCK),
        Health::NeedsReauth => (Tone::Bad, WARNING),
        Health::Moved | Health::Disconnected => (Tone::Quiet, SLASH),
    };
    Badge::new(tone, path, health.label())
}
