//! The button that signs in with the OpenID Connect provider.

use leptos::prelude::*;

use crate::model::ProviderLink;

/// Renders the button. It is a link, because browsers hold the redirects of a form to the page's
/// Content-Security-Policy, and the provider's addresses are only known once it answers.
pub fn provider_button(verb: &str, provider: ProviderLink) -> impl IntoView + use<> {
    let label = format!("{verb} with {}", provider.name);
    view! {
        <a class="button wide" href=provider.path rel="external">
            {label}
        </a>
    }
}
