//! The island around everything that a signed-in person sees. Starts what runs in the browser.

use leptos::prelude::*;

use super::toasts::{self, Toasts};
use super::{actions, live, times};

/// Provides toasts to nested islands, and starts actions, times and the regions' updates.
#[island]
pub fn SignedIn(children: Children) -> impl IntoView {
    let toasts = Toasts::new();
    provide_context(toasts);
    Effect::new(move |_| {
        actions::listen();
        live::start();
        times::start();
    });
    view! {
        {children()}
        {toasts::live_regions(toasts)}
    }
}
