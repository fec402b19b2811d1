//! The OpenID Connect provider: linking it, the page that asks to confirm that, and unlinking it.

use leptos::prelude::*;

use super::words;
use crate::model::{AccountView, PendingIdentityPage, ProviderLink, ProviderSignIn, Tone, paths};
use crate::ui::components::badge::Badge;
use crate::ui::components::provider_button::provider_button;
use crate::ui::components::question_card::answer_buttons;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::time;
use crate::ui::context::page;
use crate::ui::layout::Layout;

/// Where linking starts.
const START: &str = "/api/session/oidc?link=1";

/// Renders the section. The demo login has none.
pub fn provider(view: &AccountView) -> impl IntoView + use<> {
    let provider = view.provider.clone().filter(|_| !view.is_demo)?;
    let heading = words::sign_in_with(&provider.name);
    let state = match provider.linked_since {
        Some(since) => linked(since, view.has_password).rendered(),
        None => not_linked(provider).rendered(),
    };
    Some(view! {
        <section aria-labelledby="provider">
            <div class="section-head">
                <h2 id="provider">{heading}</h2>
            </div>
            {state}
        </section>
    })
}

fn linked(since: i64, has_password: bool) -> impl IntoView {
    let unlink = if has_password {
        view! {
            <form method="post" action="/api/account/unlink-provider">
                <button class="button danger">"Unlink"</button>
            </form>
        }
        .rendered()
    } else {
        view! {
            <p class="hint">
                {words::PASSWORD_BEFORE_UNLINKING}
            </p>
        }
        .rendered()
    };
    view! {
        <div class="card stack">
            <p>{words::linked_since(Badge::plain(Tone::Good, "Linked").render(), time::date(since))}</p>
            {unlink}
        </div>
    }
}

fn not_linked(provider: ProviderSignIn) -> impl IntoView {
    view! {
        <div class="card stack">
            <p>{words::LINKING_ADDS_A_WAY}</p>
            {provider_button("Link", ProviderLink { name: provider.name, path: START.to_owned() })}
        </div>
    }
}

/// The page at `/account/link`.
#[component]
pub fn LinkProvider() -> impl IntoView {
    view! {
        <Layout title=words::LINK_TITLE personal=true>
            <header class="page-head">
                <div>
                    <h1>{words::LINK_TITLE}</h1>
                </div>
            </header>
            {match page().pending_identity.clone() {
                Some(pending) => question(pending).rendered(),
                None => nothing_waits().rendered(),
            }}
        </Layout>
    }
}

fn question(pending: PendingIdentityPage) -> impl IntoView {
    let PendingIdentityPage { provider, email } = pending;
    let account = words::account_at(email, &provider);
    let own = page().session.as_ref().map(|session| session.email.clone());
    let (account, own) = (view! { <strong>{account}</strong> }, view! { <strong>{own}</strong> });
    view! {
        <form class="card stack" method="post" action="/api/account/link-provider">
            <p>{words::link_question(account, own, provider)}</p>
            {answer_buttons(paths::ACCOUNT, "primary", "Link")}
        </form>
    }
}

fn nothing_waits() -> impl IntoView {
    view! {
        <section class="card stack">
            <p>{words::NOTHING_TO_LINK}</p>
            <a href="/account">{words::BACK_TO_ACCOUNT}</a>
        </section>
    }
}
