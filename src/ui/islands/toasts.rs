//! Toasts, and the live regions that announce them.
//!
//! What nobody has to act on disappears by itself; what needs attention stays. Only one of each is shown at a time.

use std::time::Duration;

use leptos::prelude::*;

use super::dom::{element_by_id, focus};
use super::ids;
use crate::model::Tone;
use crate::ui::shared::icons::{CHECK, CLOCK, CROSS, WARNING, icon};

/// How long news that nobody has to act on is shown, unless the pointer or the focus is on it.
const NEWS_DURATION: Duration = Duration::from_secs(5);

/// Shows toasts. `SignedIn` provides it to the islands.
#[derive(Clone, Copy)]
pub struct Toasts {
    /// What nobody has to act on.
    news: RwSignal<Option<(Tone, String)>>,
    attention: RwSignal<Option<&'static str>>,
}

impl Toasts {
    /// Creates the toasts with none shown.
    pub fn new() -> Self {
        Self { news: RwSignal::new(None), attention: RwSignal::new(None) }
    }

    /// Shows good news for five seconds.
    pub fn good(self, text: &str) {
        self.news.set(Some((Tone::Good, text.to_owned())));
    }

    /// Shows for five seconds what Evergrant is waiting for.
    pub fn waiting(self, text: String) {
        self.news.set(Some((Tone::Warn, text)));
    }

    /// Shows that a connection needs attention, until it is dismissed.
    pub fn attention(self, text: &'static str) {
        self.attention.set(Some(text));
    }
}

/// Renders the two live regions. They exist from the start: one that is inserted with its text isn't announced.
pub fn live_regions(toasts: Toasts) -> impl IntoView {
    let Toasts { news, attention } = toasts;
    let held = RwSignal::new(false);
    Effect::new(move |_| {
        if news.get().is_some()
            && !held.get()
            && let Ok(timer) = set_timeout_with_handle(move || news.set(None), NEWS_DURATION)
        {
            on_cleanup(move || timer.clear());
        }
    });
    let dismiss = move || {
        attention.set(None);
        // The button that had the focus is gone.
        if let Some(main) = element_by_id(ids::MAIN) {
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
                    let close = move || {
                        held.set(false);
                        news.set(None);
                    };
                    news.get().map(|(tone, text)| toast(tone, text, "Close", close))
                }}
            </div>
            <div role="alert">
                {move || {
                    let link = view! { <a href="/settings/integrations">"Open integrations"</a> };
                    attention.get().map(|text| toast(Tone::Bad, (text, " ", link), "Dismiss", dismiss))
                }}
            </div>
        </div>
    }
}

/// Renders a toast with a button of this name that removes it.
fn toast(
    tone: Tone,
    content: impl IntoView + 'static,
    label: &'static str,
    close: impl Fn() + 'static,
) -> impl IntoView {
    let path = match tone {
        Tone::Good => CHECK,
        Tone::Bad => WARNING,
        _ => CLOCK,
    };
    view! {
        <div class="toast" data-tone=tone.as_str()>
            {icon(path)}
            <p>{content}</p>
            <button type="button" class="icon-button" aria-label=label on:click=move |_| close()>
                {icon(CROSS)}
            </button>
        </div>
    }
}
