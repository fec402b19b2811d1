//! What members see of an organization that requires a second factor: a notice before the deadline, and afterwards
//! nothing but how to set one up.

use leptos::prelude::*;

use crate::model::{SessionView, paths};
use crate::ui::components::time;
use crate::ui::shared::icons::{CLOCK, icon};

/// Renders the notice that a second factor will be needed.
pub fn factor_notice(session: &SessionView) -> impl IntoView + use<> {
    let org = session.org.as_ref().map(|org| org.name.clone()).unwrap_or_default();
    session.factor_due.map(|due| {
        view! {
            <div class="notice" data-tone="warn" role="status">
                {icon(CLOCK)}
                <p>
                    <strong>{format!("{org} requires a second factor")}</strong> " from " {time::absolute(due)} " on. "
                    <a href="/account#second-factor">"Set yours up"</a> " before then, or you lose access until you do."
                </p>
            </div>
        }
    })
}

/// Says how to get back into an organization whose deadline is over.
pub fn factor_required(org: &str) -> impl IntoView + use<> {
    view! {
        <section class="empty">
            <h1>"Set up a second factor"</h1>
            <p>
                <strong>{org.to_owned()}</strong>
                " requires a second factor of its members. You have access again as soon as you have set one up."
            </p>
            <a class="button primary" href="/account#second-factor">
                "Go to your account"
            </a>
            <a href=paths::ORGANIZATIONS>"All organisations"</a>
        </section>
    }
}
