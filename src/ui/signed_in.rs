//! The island around everything that a signed-in person sees: what nested islands share.

use leptos::prelude::*;

use super::toasts::{self, Toasts};
use super::{menu, times};

/// Counts what changed connections behind the page's back: a list of them reads itself again when it moves.
#[derive(Clone, Copy)]
pub struct Version(pub RwSignal<u32>);

/// Provides toasts and the version to the islands nested in it, and sets menus and times going.
#[island]
pub fn SignedIn(children: Children) -> impl IntoView {
    let toasts = Toasts::new();
    provide_context(toasts);
    provide_context(Version(RwSignal::new(0)));
    Effect::new(|_| {
        menu::listen();
        times::start();
    });
    view! {
        {children()}
        {toasts::regions(toasts)}
    }
}
