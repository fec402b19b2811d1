//! The title of a page.

use leptos::prelude::*;
use leptos_meta::Title;

/// Sets the title of the page, in which names of organizations and tenants are. `leptos_meta` writes the text as it is
/// into the element, so it is escaped here, and nowhere else may a title be set.
pub fn document_title(text: &str) -> impl IntoView + use<> {
    view! { <Title text=escaped(text) /> }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
