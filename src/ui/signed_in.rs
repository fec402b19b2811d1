//! The island around everything that a signed-in person sees: what nested islands share.

use leptos::prelude::*;

use super::toasts::{self, Toasts};
use super::{copy, events, menu, times};

/// Counts what changed connections, here or elsewhere: a page that shows them reads itself again when it moves.
#[derive(Clone, Copy)]
pub struct Version(pub RwSignal<u32>);

/// Provides toasts and the version to the islands nested in it, and sets menus, times and the page's ear going.
#[island]
pub fn SignedIn(children: Children) -> impl IntoView {
    let toasts = Toasts::new();
    provide_context(toasts);
    let version = Version(RwSignal::new(0));
    provide_context(version);
    Effect::new(move |_| {
        copy::listen();
        menu::listen();
        events::listen(version);
        times::start();
    });
    view! {
        {children()}
        {toasts::regions(toasts)}
    }
}
