//! The page that asks for an account's password, to link it with the identity that the provider vouched for.

use leptos::prelude::*;

use super::{PROBLEM_ID, problem_notice};
use crate::model::{LoginProblem, LoginView, PendingIdentityPage};
use crate::ui::context::page;
use crate::ui::layout::BareLayout;

/// The page at `/login/link`.
#[component]
pub fn SignInLink() -> impl IntoView {
    let LoginView { problem, next, .. } = page().login;
    let waiting = page().pending_identity.and_then(|PendingIdentityPage { provider, email }| Some((provider, email?)));
    view! {
        <BareLayout title="Link your account">
            <h1>"Link your account"</h1>
            {problem.map(problem_notice)}
            {waiting.map(|(provider, email)| password_form(&provider, email, next, problem))}
            <p class="aside"><a href="/login/forgot">"Forgot your password?"</a></p>
            <p class="aside"><a href="/login">"Back to sign in"</a></p>
        </BareLayout>
    }
}

fn password_form(
    provider: &str,
    email: String,
    next: Option<String>,
    problem: Option<LoginProblem>,
) -> impl IntoView + use<> {
    let text = format!(
        "You signed in with {provider}, which is linked to no Evergrant account yet. If you have an account with this \
         address, enter its password once: the two are linked, and you are signed in. If you have none, ask somebody in \
         your organisation for an invitation."
    );
    let (username, is_refused) = (email.clone(), problem.is_some_and(LoginProblem::is_refusal));
    view! {
        <form class="card stack" method="post" action="/api/session/oidc/link">
            {next.map(|next| view! { <input type="hidden" name="next" value=next /> })}
            <p class="address">
                <strong>{email}</strong>
            </p>
            <p>{text}</p>
            // For password managers, which keep the two together.
            <input type="text" name="username" value=username autocomplete="username" hidden=true readonly=true />
            <label class="field">
                <span>"Password of your Evergrant account"</span>
                <input
                    type="password"
                    name="password"
                    autocomplete="current-password"
                    required=true
                    autofocus=true
                    aria-invalid=is_refused.then_some("true")
                    aria-describedby=is_refused.then_some(PROBLEM_ID)
                />
            </label>
            <button class="button primary wide">"Link and sign in"</button>
        </form>
    }
}
