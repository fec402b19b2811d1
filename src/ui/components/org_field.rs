//! The hidden field by which a form names the organization that it was rendered for.

use leptos::prelude::*;

use crate::ui::context::page;

/// Renders the field. The server refuses the form if the person works in another organization by then.
pub fn org_field() -> impl IntoView {
    let page = page();
    let org = page.session.as_ref().and_then(|session| session.org.as_ref());
    org.map(|org| view! { <input type="hidden" name="org_id" value=org.id.0.clone() /> })
}
