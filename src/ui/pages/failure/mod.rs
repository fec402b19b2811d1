//! The page in place of one that failed.

mod words;

use leptos::prelude::*;

use crate::model::FailurePage;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::layout::BareLayout;

/// Says that it failed, and offers to try again or to sign out.
pub fn failure(failure: FailurePage) -> impl IntoView {
    let FailurePage { id, again, has_session } = failure;
    let way_out = match has_session {
        true => view! {
            <form method="post" action="/api/session/logout">
                <button class="button">{words::SIGN_OUT}</button>
            </form>
        }
        .rendered(),
        false => view! { <a class="button" href="/login">{words::SIGN_IN}</a> }.rendered(),
    };
    view! {
        <BareLayout title=words::TITLE>
            <h1>{words::TITLE}</h1>
            <section class="card stack">
                <p>{words::WHAT_HAPPENED}</p>
                <p class="meta">
                    {words::GIVE_THIS_REFERENCE} " " <code>{id}</code>
                </p>
                <div class="dialog-actions">
                    {way_out}
                    <a class="button primary" href=again>
                        {words::TRY_AGAIN}
                    </a>
                </div>
            </section>
        </BareLayout>
    }
}
