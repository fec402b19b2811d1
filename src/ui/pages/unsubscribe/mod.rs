//! The page behind the link in a letter that stops further ones. It asks first, because scanners open links, too.

use leptos::prelude::*;

use crate::model::UnsubscribePage;
use crate::ui::context::page;
use crate::ui::layout::BareLayout;

/// The page at `/unsubscribe`.
#[component]
pub fn Unsubscribe() -> impl IntoView {
    view! {
        <BareLayout title="Unsubscribe">
            {match page().unsubscribe {
                Some(letters) if letters.is_unsubscribed => done(&letters).into_any(),
                Some(letters) => question(&letters).into_any(),
                None => unknown().into_any(),
            }}
        </BareLayout>
    }
}

fn question(letters: &UnsubscribePage) -> impl IntoView + use<> {
    view! {
        <h1>"Stop these emails?"</h1>
        <form class="card stack" method="post" action="/api/unsubscribe">
            <p>
                {format!(
                    "{} gets an email when a connection of {} needs reconnecting to Xero. From now on it would get none.",
                    letters.email,
                    letters.organisation,
                )}
            </p>
            <button class="button primary wide">"Unsubscribe"</button>
        </form>
    }
}

fn done(letters: &UnsubscribePage) -> impl IntoView + use<> {
    view! {
        <h1>"You are unsubscribed"</h1>
        <section class="card stack">
            <p role="status">
                {format!(
                    "{} gets no more emails about the connections of {}. The links in earlier ones no longer work, and you can close this page.",
                    letters.email,
                    letters.organisation,
                )}
            </p>
        </section>
    }
}

fn unknown() -> impl IntoView {
    view! {
        <h1>"This link doesn't work here"</h1>
        <section class="card stack">
            <p>"Open the whole link again, as it is in the email, in this browser."</p>
        </section>
    }
}
