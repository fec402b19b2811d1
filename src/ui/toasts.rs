//! Short messages in a corner of the page, and the live regions that announce them.
//!
//! Good news goes by itself; what needs action stays. One of each at a time, so that nothing is said twice.

use std::time::Duration;

use leptos::prelude::*;

use super::icons::{CHECK, CROSS, WARNING, icon};

/// How long good news stays, unless a pointer or the focus rests on it.
const STAYS: Duration = Duration::from_secs(5);

/// What islands say things through; `SignedIn` provides it.
#[derive(Clone, Copy)]
pub struct Toasts {
    good: RwSignal<Option<&'static str>>,
    attention: RwSignal<Option<&'static str>>,
}

impl Toasts {
    pub fn new() -> Self {
        Self { good: RwSignal::new(None), attention: RwSignal::new(None) }
    }

    /// Announces good news; it leaves after five seconds.
    pub fn good(self, text: &'static str) {
        self.good.set(Some(text));
    }

    /// Announces that a connection needs a person. Stays until it is dismissed.
    pub fn attention(self, text: &'static str) {
        self.attention.set(Some(text));
    }
}

/// The two live regions. They stand in the page from the start: a region that comes with its text isn't announced.
pub fn regions(toasts: Toasts) -> impl IntoView {
    let Toasts { good, attention } = toasts;
    let held = RwSignal::new(false);
    Effect::new(move |_| {
        if good.get().is_some()
            && !held.get()
            && let Ok(timer) = set_timeout_with_handle(move || good.set(None), STAYS)
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

/// Moves the focus, where the element can take it.
pub fn focus(element: &web_sys::Element) {
    use wasm_bindgen::JsCast;
    if let Some(element) = element.dyn_ref::<web_sys::HtmlElement>() {
        // Only a detached document refuses.
        let _ = element.focus();
    }
}
