//! The title of a page.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::model::Page;
use crate::ui::context::page;

/// Sets the title of a signed-in person's page: what it is about, the organization, the app. A page sets it again once it
/// has read what it is about.
pub fn page_title(about: &str) -> impl IntoView + use<> {
    let page = page();
    let prefix = error_prefix(&page);
    let org = page.session.as_ref().and_then(|session| session.org.as_ref().or(session.locked_org.as_ref()));
    let org = org.map(|org| format!(" · {}", org.name)).unwrap_or_default();
    let title = format!("{prefix}{about}{org} · Evergrant");
    document_title(&title)
}

/// Sets the title of the page, in which names of organizations and tenants are. `leptos_meta` writes the text as it is
/// into the element, so it is escaped here, and nowhere else may a title be set.
pub fn document_title(text: &str) -> impl IntoView + use<> {
    view! { <Title text=escaped(text) /> }
}

/// Returns what a title begins with if the page says that a form was refused.
pub fn error_prefix(page: &Page) -> &'static str {
    if page.has_error() { "Error: " } else { "" }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
