//! A person's own account. Each section is a file; a new one with a form is added to `sections`.

mod email;
mod password;
mod profile;
mod proof;
mod provider;
mod second_factor;
mod sessions;
mod sign_ins;
mod words;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::api;
use crate::model::{AccountView, paths};
use crate::ui::components::live_body::around_live_body;
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::rendered::{IntoRendered as _, Rendered};
use crate::ui::context::page;
use crate::ui::layout::Layout;
pub use proof::Proof;
pub use provider::LinkProvider;

/// The page at `/account`.
#[component]
pub fn Account() -> impl IntoView {
    // Set by the link that removes something.
    let asked = use_query_map().read_untracked().get("remove");
    view! {
        <Layout title=words::TITLE personal=true>
            {Suspend::new(async move {
                match api::account().await {
                    Ok(view) => loaded(&view, asked.as_deref()).rendered(),
                    Err(error) => load_failure(words::TITLE, &error, paths::ACCOUNT.to_owned()).rendered(),
                }
            })}
        </Layout>
    }
}

fn loaded(view: &AccountView, asked: Option<&str>) -> Rendered {
    let head = view! {
        <header class="page-head">
            <div>
                <h1>{words::TITLE}</h1>
                <p class="lead address">{view.email.clone()}</p>
            </div>
        </header>
    };
    if view.managed_by_clerk {
        return (head, managed_by_clerk(), profile::profile(view)).rendered();
    }
    let lists = (sessions::sessions(view), sign_ins::sign_ins(view));
    around_live_body((head, sections(view, asked)).rendered(), (view.as_of, lists.rendered()), ().rendered())
}

/// Renders what the person changes.
fn sections(view: &AccountView, asked: Option<&str>) -> Rendered {
    (
        profile::profile(view),
        email::email(view),
        password::password(view),
        provider::provider(view),
        second_factor::second_factor(view, &page(), asked),
    )
        .rendered()
}

fn managed_by_clerk() -> impl IntoView {
    view! {
        <section class="card stack">
            <p>
                {words::MANAGED_BY_CLERK}
            </p>
        </section>
    }
}
