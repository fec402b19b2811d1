//! The OpenID Connect provider: linking it, the page that asks to confirm that, and unlinking it.

use leptos::prelude::*;

use crate::model::{AccountView, PendingIdentityPage, ProviderLink, ProviderSignIn, Tone, paths};
use crate::ui::components::badge::Badge;
use crate::ui::components::provider_button::provider_button;
use crate::ui::components::question_card::answer_buttons;
use crate::ui::components::time;
use crate::ui::context::page;
use crate::ui::layout::Layout;

/// Where linking starts.
const START: &str = "/api/session/oidc?link=1";

/// Renders the section. The demo login has none.
pub fn provider(view: &AccountView) -> impl IntoView + use<> {
    let provider = view.provider.clone().filter(|_| !view.is_demo)?;
    let heading = format!("Sign-in with {}", provider.name);
    let state = match provider.linked_since {
        Some(since) => linked(since, view.has_password).into_any(),
        None => not_linked(provider).into_any(),
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
        .into_any()
    } else {
        view! {
            <p class="hint">
                "You sign in with nothing else. To unlink it, set a password first: sign out, then choose \"Forgot your password?\"."
            </p>
        }
        .into_any()
    };
    view! {
        <div class="card stack">
            <p>{Badge::plain(Tone::Good, "Linked").render()} " since " {time::date(since)} "."</p>
            {unlink}
        </div>
    }
}

fn not_linked(provider: ProviderSignIn) -> impl IntoView {
    view! {
        <div class="card stack">
            <p>"Once it is linked, you can sign in with it, too. Your password keeps working."</p>
            {provider_button("Link", ProviderLink { name: provider.name, path: START.to_owned() })}
        </div>
    }
}

/// The page at `/account/link`.
#[component]
pub fn LinkProvider() -> impl IntoView {
    view! {
        <Layout title="Link a way to sign in" personal=true>
            <header class="page-head">
                <div>
                    <h1>"Link a way to sign in"</h1>
                </div>
            </header>
            {match page().pending_identity {
                Some(pending) => question(pending).into_any(),
                None => nothing_waits().into_any(),
            }}
        </Layout>
    }
}

fn question(pending: PendingIdentityPage) -> impl IntoView {
    let PendingIdentityPage { provider, email } = pending;
    let account = email.map_or_else(|| format!("this account of {provider}"), |email| format!("{email} at {provider}"));
    let (name, email) = (provider, page().session.map(|session| session.email));
    view! {
        <form class="card stack" method="post" action="/api/account/link-provider">
            <p>
                "Link " <strong>{account}</strong> " to your Evergrant account " <strong>{email}</strong> "? "
                {format!("Whoever can sign in to it at {name} can then sign in here as you.")}
            </p>
            {answer_buttons(paths::ACCOUNT, "primary", "Link")}
        </form>
    }
}

fn nothing_waits() -> impl IntoView {
    view! {
        <section class="card stack">
            <p>"Nothing waits to be linked in this browser. It may have taken too long."</p>
            <a href="/account">"Back to your account"</a>
        </section>
    }
}
