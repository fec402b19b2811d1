//! What became of a consent by a connect link.

use leptos::prelude::*;

use super::words;
use crate::model::ConnectLinkPage;
use crate::ui::shared::icons::{WARNING, icon};

/// Says why the last consent connected nothing, above the form that tries again.
pub fn problem(link: &ConnectLinkPage) -> impl IntoView + use<> {
    let text = words::problem(link)?;
    Some(view! {
        <div class="notice" data-tone="bad" role="alert">
            {icon(WARNING)}
            <p>{text}</p>
        </div>
    })
}

/// Says how a link ended.
pub fn ended(link: &ConnectLinkPage) -> impl IntoView + use<> {
    let (title, text) = words::ended(link);
    view! {
        <h1>{title}</h1>
        <section class="card stack">
            <p role="status">{text}</p>
        </section>
    }
}
