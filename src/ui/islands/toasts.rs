//! Toasts, and the live regions that announce them.
//!
//! Good news disappears by itself; what needs attention stays. Only one of each is shown at a time.

use std::time::Duration;

use leptos::prelude::*;

use crate::ui::components::icons::{CHECK, CROSS, WARNING, icon};

/// How long good news is shown, unless the pointer or the focus is on it.
const GOOD_NEWS_DURATION: Duration = Duration::from_secs(5);

/// Shows toasts. `SignedIn` provides it to the islands.
#[derive(Clone, Copy)]
pub struct Toasts {
    good: RwSignal<Option<&'static str>>,
    attention: RwSignal<Option<&'static str>>,
}

impl Toasts {
    /// Creates the toasts with none shown.
    pub fn new() -> Self {
        Self { good: RwSignal::new(None), attention: RwSignal::new(None) }
    }

    /// Shows good news for five seconds.
    pub fn good(self, text: &'static str) {
        self.good.set(Some(text));
    }

    /// Shows that a connection needs attention, until it is dismissed.
    pub fn attention(self, text: &'static str) {
        self.attention.set(Some(text));
    }
}

/// Renders the two live regions. They exist from the start: one that is inserted with its text isn't announced.
pub fn live_regions(toasts: Toasts) -> impl IntoView {
    let Toasts { good, attention } = toasts;
    let held = RwSignal::new(false);
    Effect::new(move |_| {
        if good.get().is_some()
            && !held.get()
            && let Ok(timer) = set_timeout_with_handle(move || good.set(None), GOOD_NEWS_DURATION)
        {
            on_cleanup(move || timer.clear());
        }
    });
    let dismiss = move |_| {
        attention.set(None);
        // The button that had the focus is gone.
        if let Some(main) = document().get_element_by_id("main") {
            focus(&main);
        }
    };
    view! {
        <div class="toasts">
            <div
                role="status"
                on:mouseenter=move |_| held.set(true)
                on:mouseleave=move |_| held.set(false)
                on:focusin=move |_| held.set(true)
                on:focusout=move |_| held.set(false)
            >
                {move || {
                    good.get()
                        .map(|text| {
                            view! {
                                <div class="toast" data-tone="good">
                                    {icon(CHECK)}
                                    <p>{text}</p>
                                    <button
                                        type="button"
                                        class="icon-button"
                                        aria-label="Close"
                                        on:click=move |_| {
                                            held.set(false);
                                            good.set(None);
                                        }
                                    >
                                        {icon(CROSS)}
                                    </button>
                                </div>
                            }
                        })
                }}
            </div>
            <div role="alert">
                {move || {
                    attention
                        .get()
                        .map(|text| {
                            view! {
                                <div class="toast" data-tone="bad">
                                    {icon(WARNING)}
                                    <p>{text} " " <a href="/settings/integrations">"Open integrations"</a></p>
                                    <button type="button" class="icon-button" aria-label="Dismiss" on:click=dismiss>
                                        {icon(CROSS)}
                                    </button>
                                </div>
                            }
                        })
                }}
            </div>
        </div>
    }
}

/// Focuses an element, if it is focusable.
pub fn focus(element: &web_sys::Element) {
    use wasm_bindgen::JsCast;
    if let Some(element) = element.dyn_ref::<web_sys::HtmlElement>() {
        // Fails only in a detached document.
        let _ = element.focus();
    }
}
