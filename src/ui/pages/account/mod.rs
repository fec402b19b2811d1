//! A person's own account. Each section is a file; a new one is added to `sections`.

mod email;
mod password;
mod profile;
mod proof;
mod provider;
mod second_factor;
mod sessions;
mod sign_ins;

use leptos::prelude::*;

use crate::api;
use crate::model::{AccountView, paths};
use crate::ui::components::load_failure::load_failure;
use crate::ui::context::page;
use crate::ui::layout::Layout;
pub use proof::Proof;
pub use provider::LinkProvider;

/// The page at `/account`.
#[component]
pub fn Account() -> impl IntoView {
    view! {
        <Layout title="Your account" personal=true>
            {Suspend::new(async move {
                match api::account().await {
                    Ok(view) => loaded(&view).into_any(),
                    Err(error) => load_failure("Your account", &error, paths::ACCOUNT.to_owned()).into_any(),
                }
            })}
        </Layout>
    }
}

fn loaded(view: &AccountView) -> impl IntoView + use<> {
    view! {
        <div class="contents" data-as-of=view.as_of>
            <header class="page-head">
                <div>
                    <h1>"Your account"</h1>
                    <p class="lead address">{view.email.clone()}</p>
                </div>
            </header>
            {sections(view)}
        </div>
    }
}

fn sections(view: &AccountView) -> AnyView {
    if view.managed_by_clerk {
        return managed_by_clerk().into_any();
    }
    (
        profile::profile(view),
        email::email(view),
        password::password(view),
        provider::provider(view),
        second_factor::second_factor(view, &page()),
        sessions::sessions(view),
        sign_ins::sign_ins(view),
    )
        .into_any()
}

fn managed_by_clerk() -> impl IntoView {
    view! {
        <section class="card stack">
            <p>
                "Your account is managed in Clerk: your name, email address, password, second factor and where you are signed in. Open it with your picture at the top of this page."
            </p>
        </section>
    }
}
