//! The page in place of one that failed.

use leptos::prelude::*;

use crate::model::FailurePage;
use crate::ui::layout::BareLayout;

/// Says that it failed, and offers to try again or to sign out.
pub fn failure(failure: FailurePage) -> impl IntoView {
    let FailurePage { id, again, has_session } = failure;
    let way_out = match has_session {
        true => view! {
            <form method="post" action="/api/session/logout">
                <button class="button">"Sign out"</button>
            </form>
        }
        .into_any(),
        false => view! { <a class="button" href="/login">"Sign in"</a> }.into_any(),
    };
    view! {
        <BareLayout title="Something went wrong">
            <h1>"Something went wrong"</h1>
            <section class="card stack">
                <p>"Evergrant couldn't answer this request. Your connections keep working. Try again in a moment."</p>
                <p class="meta">
                    "If this keeps happening, give your administrator this reference: " <code>{id}</code>
                </p>
                <div class="dialog-actions">
                    {way_out}
                    <a class="button primary" href=again>
                        "Try again"
                    </a>
                </div>
            </section>
        </BareLayout>
    }
}
