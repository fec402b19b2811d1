//! The page behind the link in a letter that stops further ones. It asks first, because scanners open links, too.

mod words;

use leptos::prelude::*;

use crate::model::UnsubscribePage;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::context::page;
use crate::ui::layout::BareLayout;

/// The page at `/unsubscribe`.
#[component]
pub fn Unsubscribe() -> impl IntoView {
    view! {
        <BareLayout title=words::TITLE>
            {match page().unsubscribe.clone() {
                Some(letters) if letters.is_unsubscribed => done(&letters).rendered(),
                Some(letters) => question(&letters).rendered(),
                None => unknown().rendered(),
            }}
        </BareLayout>
    }
}

fn question(letters: &UnsubscribePage) -> impl IntoView + use<> {
    view! {
        <h1>{words::STOP_THESE_EMAILS}</h1>
        <form class="card stack" method="post" action="/api/unsubscribe">
            <p>{words::what_it_gets(letters)}</p>
            <button class="button primary wide">{words::TITLE}</button>
        </form>
    }
}

fn done(letters: &UnsubscribePage) -> impl IntoView + use<> {
    view! {
        <h1>{words::YOU_ARE_UNSUBSCRIBED}</h1>
        <section class="card stack">
            <p role="status">{words::it_gets_no_more(letters)}</p>
        </section>
    }
}

fn unknown() -> impl IntoView {
    view! {
        <h1>{words::UNKNOWN_LINK}</h1>
        <section class="card stack">
            <p>{words::OPEN_THE_WHOLE_LINK}</p>
        </section>
    }
}
