//! The island around everything that a signed-in person sees. Holds what nested islands share.

use leptos::prelude::*;

use super::toasts::Toasts;
use super::version::ConnectionsVersion;
use super::{copy, events, menu, times, toasts};

/// Provides toasts and the version to nested islands, and starts copy buttons, menus, times and the event stream.
#[island]
pub fn SignedIn(children: Children) -> impl IntoView {
    let toasts = Toasts::new();
    provide_context(toasts);
    let version = ConnectionsVersion::new();
    provide_context(version);
    Effect::new(move |_| {
        copy::listen();
        menu::listen();
        events::listen(version);
        times::start();
    });
    view! {
        {children()}
        {toasts::live_regions(toasts)}
    }
}
