//! The page that asks for a proof of identity before a sensitive action.

use leptos::prelude::*;

use crate::model::{ProofMethod, ProofPage, paths};
use crate::ui::components::account_fields::code_field;
use crate::ui::components::provider_button::provider_button;
use crate::ui::components::question_card::answer_buttons;
use crate::ui::components::typed::typed;
use crate::ui::context::page;
use crate::ui::layout::Layout;

/// The page at `/account/confirm`.
#[component]
pub fn Proof() -> impl IntoView {
    let proof = page().proof;
    view! {
        <Layout title="Confirm that it's you" personal=true>
            <header class="page-head">
                <div>
                    <h1>"Confirm that it's you"</h1>
                    <p class="lead">
                        "This action needs a confirmation that is at most ten minutes old. You then return to the page that you came from, where you submit the form again."
                    </p>
                </div>
            </header>
            {proof.map(question)}
        </Layout>
    }
}

fn question(asked: ProofPage) -> AnyView {
    let ProofPage { method, next, provider } = asked;
    let (back, typed) = (next.clone(), typed(paths::SESSION_PROOF));
    let field = match (method, provider) {
        (ProofMethod::Provider, Some(provider)) => {
            return view! {
                <section class="card stack">
                    <p>"Sign in again with the service that you use."</p>
                    {provider_button("Sign in", provider)}
                    <a href=back>"Cancel"</a>
                </section>
            }
            .into_any();
        }
        (ProofMethod::Provider, None) => {
            return view! {
                <section class="card stack">
                    <p>"Sign out, then sign in again."</p>
                    <a href=back>"Cancel"</a>
                </section>
            }
            .into_any();
        }
        (ProofMethod::Code, _) => view! {
            {code_field(&typed, "proof", "Code", "proof-hint")}
            <p class="hint" id="proof-hint">
                "The six digits that your authenticator app shows, or one of your recovery codes."
            </p>
        }
        .into_any(),
        (ProofMethod::Password, _) => view! {
            <label class="field">
                <span>"Current password"</span>
                <input
                    type="password"
                    name="proof"
                    autocomplete="current-password"
                    required=true
                    autofocus=true
                    aria-invalid=typed.invalid("current_password")
                    aria-describedby=typed.described_by("current_password", None)
                />
            </label>
            {typed.error("current_password")}
        }
        .into_any(),
    };
    view! {
        <form class="card stack" method="post" action="/api/session/proof">
            <input type="hidden" name="next" value=next />
            {field}
            {answer_buttons(back, "primary", "Confirm")}
        </form>
    }
    .into_any()
}
