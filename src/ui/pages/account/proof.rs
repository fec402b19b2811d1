//! The page that asks for a proof of identity before a sensitive action.

use leptos::prelude::*;

use super::words;
use crate::model::{ProofMethod, ProofPage, paths};
use crate::ui::components::account_fields::code_field;
use crate::ui::components::provider_button::provider_button;
use crate::ui::components::question_card::answer_buttons;
use crate::ui::components::rendered::{IntoRendered as _, Rendered};
use crate::ui::components::typed::typed;
use crate::ui::context::page;
use crate::ui::layout::Layout;

/// The page at `/account/confirm`.
#[component]
pub fn Proof() -> impl IntoView {
    let proof = page().proof.clone();
    view! {
        <Layout title=words::PROOF_TITLE personal=true>
            <header class="page-head">
                <div>
                    <h1>{words::PROOF_TITLE}</h1>
                    <p class="lead">
                        {words::WHY_A_PROOF}
                    </p>
                </div>
            </header>
            {proof.map(question)}
        </Layout>
    }
}

fn question(asked: ProofPage) -> Rendered {
    let ProofPage { method, next, provider } = asked;
    let (back, typed) = (next.clone(), typed(paths::SESSION_PROOF));
    let field = match (method, provider) {
        (ProofMethod::Provider, Some(provider)) => {
            return view! {
                <section class="card stack">
                    <p>{words::SIGN_IN_AGAIN}</p>
                    {provider_button(words::SIGN_IN, provider)}
                    <a href=back>"Cancel"</a>
                </section>
            }
            .rendered();
        }
        (ProofMethod::Provider, None) => {
            return view! {
                <section class="card stack">
                    <p>{words::SIGN_OUT_AND_IN}</p>
                    <a href=back>"Cancel"</a>
                </section>
            }
            .rendered();
        }
        (ProofMethod::Code, _) => view! {
            {code_field(&typed, "proof", "Code", "proof-hint")}
            <p class="hint" id="proof-hint">
                {words::CODE_HINT}
            </p>
        }
        .rendered(),
        (ProofMethod::Password, _) => view! {
            <label class="field">
                <span>{words::CURRENT_PASSWORD}</span>
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
        .rendered(),
    };
    view! {
        <form class="card stack" method="post" action="/api/session/proof">
            <input type="hidden" name="next" value=next />
            {field}
            {answer_buttons(back, "primary", "Confirm")}
        </form>
    }
    .rendered()
}
